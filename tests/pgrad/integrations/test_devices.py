"""On the CPU, and on a CUDA device where there is one: the same training as on the CPU in float64 without PGrad."""

import functools
import io

import pytest
import torch
from torch import nn

from pgrad import PGrad
from tests.pgrad.integrations.problem import DEVICES, LENGTH, dense, distance, loader, net, vector

ADAM, MOMENTUM = torch.optim.Adam, functools.partial(torch.optim.SGD, momentum=0.9)
KINDS = [{"foreach": False}, {"foreach": True}, {"fused": True}]
CAPTURABLE = [{"capturable": True, "foreach": True}, {"capturable": True, "fused": True}]


def trained(device, start=0, stop=9, model=None, opt=None, dtype=torch.float64, **options):
    model = model or net().to(device, dtype)
    opt = opt or PGrad(model.parameters(), **{"lr": 0.01, "rollout_length": LENGTH, "outer_lr": 0.5, **options})
    for x, y in list(loader())[start:stop]:
        opt.zero_grad()
        nn.functional.cross_entropy(model(x.to(device, dtype)), y.to(device)).backward()
        opt.step()
    return model, opt


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("options", KINDS, ids=str)
@pytest.mark.parametrize("inner", [ADAM, MOMENTUM], ids=["Adam", "SGD"])
def test_every_kind_of_inner_optimizer(inner, options, device):
    model, _ = trained(device, inner=functools.partial(inner, **options))
    assert distance(model, dense(inner)) < 1e-9


@pytest.mark.cuda
@pytest.mark.parametrize("options", CAPTURABLE, ids=str)
def test_capturable_inner_optimizers_outside_a_graph(options):
    model, _ = trained("cuda", inner=functools.partial(ADAM, **options))
    assert distance(model, dense(ADAM)) < 1e-9


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("fused", [False, True])
def test_outer_optimizers(fused, device):
    """Momentum outside, fused or not, gets gradients that are views of the displacements' memory."""

    def outer(params, lr):
        return torch.optim.SGD(params, lr=lr, momentum=0.9, fused=fused)

    model, _ = trained(device, inner=torch.optim.SGD, outer=outer)
    expected, _ = trained("cpu", inner=torch.optim.SGD, outer=MOMENTUM)
    assert distance(model, vector(expected)) < 1e-9


@pytest.mark.parametrize("device", DEVICES)
def test_displacements_in_host_memory(device):
    model, opt = trained(device, 0, 2, trajectory_device="cpu")
    rows = opt.state_dict()["state"][0]["pgrad"]["displacements"]
    assert rows.device.type == "cpu"
    assert rows.is_pinned() == (device == "cuda")
    trained(device, 2, 9, model, opt)
    assert distance(model, dense(ADAM)) < 1e-9


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_displacements_of_less_precision_in_host_memory(dtype, device):
    """They are rounded where the parameters are, before they go: the walk is the same as with rows beside them."""
    model, _ = trained(device, trajectory_device="cpu", trajectory_dtype=dtype)
    expected, _ = trained("cpu", trajectory_dtype=dtype)
    assert distance(model, vector(expected)) < 1e-6
    assert distance(model, dense(ADAM)) < (1e-6 if dtype == torch.float32 else 1e-3)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("place", [None, "cpu"])
def test_resume_in_the_middle_of_a_roll_out(place, device):
    """Bit for bit, through a file."""
    model, opt = trained(device, 0, 5, dtype=torch.float32, trajectory_device=place)
    file = io.BytesIO()
    torch.save((model.state_dict(), opt.state_dict()), file)
    trained(device, 5, 9, model, opt, torch.float32)
    file.seek(0)
    weights, state = torch.load(file, weights_only=True)
    again, fresh = trained(device, 0, 0, dtype=torch.float32, trajectory_device=place)
    again.load_state_dict(weights)
    fresh.load_state_dict(state)
    trained(device, 5, 9, again, fresh, torch.float32)
    assert torch.equal(vector(again), vector(model))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("place", [None, "cpu"])
def test_a_roll_out_that_diverged_ends_at_its_anchor(place, device):
    model, opt = trained(device, 0, 4, trajectory_device=place, nonfinite="raise")
    with opt.at_anchor():
        anchor = vector(model)
    for p in model.parameters():
        p.grad.fill_(torch.inf)
    opt.step()
    with pytest.raises(FloatingPointError, match="left the finite numbers"):
        opt.step()
    assert torch.equal(vector(model), anchor)
    trained(device, 3, 6, model, opt)
    assert vector(model).isfinite().all()
