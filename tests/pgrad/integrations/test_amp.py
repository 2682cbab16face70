"""Mixed precision in an ordinary loop: GradScaler, autocast, parameters in bfloat16, clipping."""

import itertools

import pytest
import torch
from torch import nn

from pgrad import PGrad
from pgrad.reference import principal_gradient
from tests.pgrad.integrations.problem import DEVICES, LENGTH, loader, net, optimizer, plain, vector


def scaled(model, opt, device="cpu", dtype=None, overflow=None, clip=None, scaler=None):
    """unscale, clip, step, update: the usual order. Returns (position, parameters) after every batch."""
    scaler = scaler or torch.amp.GradScaler(device, init_scale=2.0**8, growth_interval=1000)
    seen = []
    for n, (x, y) in enumerate(loader()):
        opt.zero_grad()
        with torch.autocast(device, dtype=dtype, enabled=dtype is not None):
            loss = nn.functional.cross_entropy(model(x.to(device)), y.to(device))
        scaler.scale(loss).backward()
        if n == overflow:
            next(model.parameters()).grad.fill_(torch.inf)
        scaler.unscale_(opt)
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        scaler.step(opt)
        scaler.update()
        seen.append((opt.rollout_position, vector(model)))
    return seen


@pytest.mark.parametrize("clip", [None, 0.1])
def test_scaling_changes_no_bit(clip):
    """The scale is a power of two: scaled gradients have the digits of the unscaled ones."""
    model, expected = net(), net()
    points = plain(expected, optimizer(expected.parameters()), clip=clip)
    seen = scaled(model, optimizer(model.parameters()), clip=clip)
    assert [position for position, _ in seen] == [1, 2, 0] * 3
    assert all(torch.equal(point, other) for (_, point), other in zip(seen, points, strict=True))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("overflow", [0, 1, 2])  # first, inner and last step of a roll-out
def test_a_skipped_step_is_no_point_of_the_roll_out(overflow, device):
    model = net().to(device)
    opt = optimizer(model.parameters())
    scaler = torch.amp.GradScaler(device, init_scale=2.0**8)
    seen = scaled(model, opt, device, torch.float16, overflow, scaler=scaler)
    expected = [1, 2, 0, 1, 2, 0, 1, 2]
    expected.insert(overflow, expected[overflow - 1] if overflow else 0)
    assert [position for position, _ in seen] == expected
    before = seen[overflow - 1][1] if overflow else vector(net().to(device))
    assert torch.equal(seen[overflow][1], before)
    assert scaler.get_scale() == 2.0**7
    assert opt.nonfinite_rollouts == 0
    assert opt.last_update.length > 0


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("overflow", [1, 2])
def test_float16_with_a_skipped_step_goes_where_the_reference_goes_from_its_points(overflow, device):
    model = net().to(device)
    opt = optimizer(model.parameters())
    walks = [[vector(model)]]
    opt.inner.register_step_post_hook(lambda *_: walks[-1].append(vector(model)))
    opt.outer.register_step_post_hook(lambda *_: walks.append([vector(model)]))
    scaled(model, opt, device, torch.float16, overflow)
    assert [len(walk) for walk in walks] == [LENGTH + 1, LENGTH + 1, LENGTH]  # eight steps are left of nine
    for walk, (after, *_) in itertools.pairwise(walks):
        points = torch.stack(walk).double().cpu()
        step = 0.5 * principal_gradient(points, 4)
        assert (points[0] - after.double().cpu() - step).norm() < 1e-4 * step.norm()


@pytest.mark.parametrize("device", DEVICES)
def test_an_inner_optimizer_that_unscales_by_itself(device):
    """Fused Adam looks at the scaler's verdict itself when it is the scaler's optimizer; inside PGrad it is not."""
    runs = []
    for fused in (False, True):
        model = net().to(device)

        def inner(params, lr, fused=fused):
            return torch.optim.Adam(params, lr=lr, fused=fused)

        opt = PGrad(model.parameters(), lr=0.01, rollout_length=LENGTH, inner=inner)
        seen = scaled(model, opt, device, overflow=4)
        assert torch.equal(seen[4][1], seen[3][1])
        runs.append(seen[-1][1])
    torch.testing.assert_close(*runs)


def test_a_scaler_refuses_closures():
    """torch's own rule: where closures are needed, use bfloat16, which needs no scaler."""
    model = net()
    opt = optimizer(model.parameters())
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(model(torch.ones(1, 6)).sum()).backward()
    with pytest.raises(RuntimeError, match="Closure use is not currently supported"):
        scaler.step(opt, closure=lambda: 0.0)
    assert opt.rollout_position == 0


@pytest.mark.parametrize("device", DEVICES)
def test_autocast_around_the_step_does_not_lower_the_outer_update(device):
    """An enabled autocast region would run the Gram product in bfloat16, if it were not switched off there."""
    results = []
    for enabled in (False, True):
        model = net().to(device)
        opt = optimizer(model.parameters())
        for x, y in loader():
            opt.zero_grad()
            nn.functional.cross_entropy(model(x.to(device)), y.to(device)).backward()
            with torch.autocast(device, dtype=torch.bfloat16, enabled=enabled):
                opt.step()
        results.append((vector(model), opt.last_update.eigenvalues))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


@pytest.mark.parametrize("device", DEVICES)
def test_rollout_of_closures_under_autocast_is_the_loop(device):
    batches = [(x.to(device), y.to(device)) for x, y in loader()]
    models = net().to(device), net().to(device)
    by_step, by_rollout = (optimizer(model.parameters()) for model in models)

    def backward(model, x, y):
        with torch.autocast(device, dtype=torch.bfloat16):
            loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        return loss

    for x, y in batches:
        by_step.zero_grad()
        backward(models[0], x, y)
        by_step.step()
    for start in range(0, 9, LENGTH):
        part = batches[start : start + LENGTH]
        by_rollout.rollout([lambda x=x, y=y: backward(models[1], x, y) for x, y in part], shuffle=False)
    assert torch.equal(vector(models[0]), vector(models[1]))


@pytest.mark.parametrize("device", DEVICES)
def test_bfloat16_parameters_have_displacements_in_float32(device):
    """The outer step is that of the reference in float64 on the recorded points, rounded once to bfloat16."""
    model = net().to(device, torch.bfloat16)
    opt = PGrad(model.parameters(), lr=0.02, rollout_length=4, outer_lr=1.0, inner=torch.optim.SGD)
    points = [vector(model)]
    for x, y in list(loader())[:4]:
        opt.zero_grad()
        nn.functional.cross_entropy(model(x.to(device, torch.bfloat16)).float(), y.to(device)).backward()
        if opt.rollout_position == 3:
            assert opt.state_dict()["state"][0]["pgrad"]["displacements"].dtype == torch.float32
            # SGD's last step by hand: step() goes straight on to the outer one.
            points.append(
                torch.cat([torch.add(p, p.grad, alpha=-0.02).reshape(-1) for p in model.parameters()]).detach()
            )
        opt.step()
        points.append(vector(model))
    found = points.pop()
    walk = torch.stack(points).double().cpu()
    expected = walk[0] - principal_gradient(walk, 4)
    # g is rounded to bfloat16 when it becomes a gradient, and the difference again.
    error = (found.double().cpu() - expected).abs()
    assert (error <= 2 * torch.finfo(torch.bfloat16).eps * walk[0].abs().clamp_min(1e-2)).all()


def test_clipping_bounds_an_inner_step():
    """With SGD inside, a clipped step is no longer than lr times the bound."""
    model = net()
    opt = PGrad(model.parameters(), lr=1.0, rollout_length=9, inner=torch.optim.SGD)
    start, points = vector(model), []
    points = plain(model, opt, clip=0.01)[:8]
    lengths = [float((b - a).norm()) for a, b in zip([start, *points], points, strict=False)]
    assert max(lengths) <= 0.01 * (1 + 1e-4)
    assert min(lengths) > 0


def test_autocast_sees_the_anchor_inside_and_the_inner_iterate_outside():
    """Within one autocast block torch keeps the weights that it has cast; they must not outlive a swap."""
    model = torch.nn.Linear(4, 3)
    opt = PGrad(model.parameters(), lr=0.5, rollout_length=3, inner=torch.optim.SGD)
    x = torch.randn(2, 4)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        at_start = model(x)
    model(x).square().sum().backward()
    opt.step()
    with torch.autocast("cpu", torch.bfloat16):  # with gradients: only then are casts kept
        outside = model(x).detach()
        with opt.at_anchor():
            assert torch.equal(model(x).detach(), at_start)
        assert torch.equal(model(x).detach(), outside)
    assert not torch.equal(outside, at_start)
