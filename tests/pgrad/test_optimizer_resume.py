"""Kill and resume in the middle of a roll-out, bit for bit, in a fresh object, for every inner optimizer of torch."""

import copy
import functools
import io
import pickle

import pytest
import torch
from torch import nn

import pgrad
from tests.pgrad.problems import DOMAINS, loss, model, train, vector

SKIPPED = {
    "Optimizer": "the base class",
    "SparseAdam": "needs sparse gradients: test_optimizer_contract.py",
    "Muon": "matrices only: tested on its own below",
}
OPTIMIZERS = {
    name: cls
    for name, cls in vars(torch.optim).items()
    if isinstance(cls, type) and issubclass(cls, torch.optim.Optimizer) and name not in SKIPPED
}
VARIANTS = {
    "SGD momentum": functools.partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    "Adam amsgrad": functools.partial(torch.optim.Adam, amsgrad=True, weight_decay=0.1),
    "Adam foreach": functools.partial(torch.optim.Adam, foreach=True),
    "AdamW fused": functools.partial(torch.optim.AdamW, fused=True),
    "Adam maximize": functools.partial(torch.optim.Adam, maximize=True),
}
INNER = OPTIMIZERS | VARIANTS
SLOW = pytest.mark.slow


def saved(*states):
    """Through a file, as a checkpoint is, with the safe loader."""
    file = io.BytesIO()
    torch.save(states, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def make(net, inner, **options):
    outer = options.pop("outer", functools.partial(torch.optim.SGD, momentum=0.9))
    return pgrad.PGrad(net.parameters(), 1e-2, rollout_length=4, inner=inner, outer=outer, **options)


@pytest.mark.parametrize("killed", [0, 1, 3, 4, 6])
@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW if name == "LBFGS" else ()) for name in INNER])
def test_resume_is_bit_exact(name, killed):
    straight, opt = model(), None
    opt = make(straight, INNER[name])
    train(straight, opt, 0, 10)

    first = model()
    killed_opt = make(first, INNER[name])
    train(first, killed_opt, 0, killed)
    weights, state = saved(first.state_dict(), killed_opt.state_dict())
    second = model(seed=99)
    second.load_state_dict(weights)
    resumed = make(second, INNER[name])
    resumed.load_state_dict(state)
    assert resumed.rollout_position == killed % 4
    train(second, resumed, killed, 10)
    assert torch.equal(vector(second), vector(straight))


def test_every_optimizer_of_torch_is_there():
    assert {"Adam", "AdamW", "SGD", "LBFGS", "Adafactor", "RMSprop", "Rprop", "Adagrad"} <= set(INNER)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch.optim.Muon came with torch 2.9")
def test_resume_with_muon():
    nets = [nn.Linear(6, 2, bias=False) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    opts = [make(net, torch.optim.Muon) for net in nets]
    train(nets[0], opts[0], 0, 10)
    train(nets[1], opts[1], 0, 6)
    weights, state = saved(nets[1].state_dict(), opts[1].state_dict())
    fresh = nn.Linear(6, 2, bias=False)
    fresh.load_state_dict(weights)
    opt = make(fresh, torch.optim.Muon)
    opt.load_state_dict(state)
    train(fresh, opt, 6, 10)
    assert torch.equal(fresh.weight, nets[0].weight)


@pytest.mark.parametrize(
    "options", [{"trajectory_dtype": torch.bfloat16}, {"trajectory_dtype": torch.float64}, {"outer": torch.optim.Adam}]
)
def test_resume_with_options(options):
    net = model()
    opt = make(net, torch.optim.Adam, **options)
    train(net, opt, 0, 6)
    weights, state = saved(net.state_dict(), opt.state_dict())
    other = model(seed=5)
    other.load_state_dict(weights)
    resumed = make(other, torch.optim.Adam, **options)
    resumed.load_state_dict(state)
    for a, b in ((net, opt), (other, resumed)):
        train(a, b, 6, 12)
    assert torch.equal(vector(net), vector(other))


def test_resume_in_half_precision_keeps_float32_displacements():
    nets = [model(torch.bfloat16) for _ in range(2)]
    opts = [make(net, torch.optim.SGD) for net in nets]
    train(nets[0], opts[0], 0, 7)
    _, state = saved(0, opts[0].state_dict())
    assert state["state"][0]["pgrad"]["displacements"].dtype == torch.float32
    nets[1].load_state_dict(nets[0].state_dict())
    opts[1].load_state_dict(state)
    for net, opt in zip(nets, opts, strict=True):
        train(net, opt, 7, 12)
    assert torch.equal(vector(nets[0]), vector(nets[1]))


def test_resume_with_shuffled_roll_outs():
    def run(net, opt, generator, rollouts):
        for _ in range(rollouts):
            opt.rollout([functools.partial(backward, net, step) for step in range(DOMAINS)], generator=generator)

    def backward(net, step):
        value = loss(net, step)
        value.backward()
        return value

    net, generator = model(), torch.Generator().manual_seed(3)
    opt = pgrad.PGrad(net.parameters(), 1e-2, rollout_length=None)
    run(net, opt, generator, 2)
    weights, state, random = saved(net.state_dict(), opt.state_dict(), generator.get_state())
    run(net, opt, generator, 2)

    other, fresh = model(seed=4), torch.Generator()
    resumed = pgrad.PGrad(other.parameters(), 1e-2, rollout_length=None)
    other.load_state_dict(weights)
    resumed.load_state_dict(state)
    fresh.set_state(random)
    run(other, resumed, fresh, 2)
    assert torch.equal(vector(net), vector(other))


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))], ids=["copy", "pickle"]
)
@pytest.mark.parametrize("position", [0, 3])
def test_model_and_optimizer_can_be_duplicated_together(duplicate, position):
    net = model()
    opt = make(net, torch.optim.Adam)
    scheduler = torch.optim.lr_scheduler.StepLR(opt, 2)  # patches opt.step
    train(net, opt, 0, 4 + position)
    scheduler.step()
    twin, twin_opt = duplicate((net, opt))
    assert twin_opt.state is twin_opt.inner.state
    assert twin_opt.param_groups is twin_opt.inner.param_groups
    assert twin_opt.rollout_position == position
    for a, b in ((net, opt), (twin, twin_opt)):
        train(a, b, 4 + position, 12)
    assert torch.equal(vector(net), vector(twin))
    assert not any(p is q for p, q in zip(net.parameters(), twin.parameters(), strict=True))


def test_a_loaded_optimizer_owns_its_displacements():
    net, twin = model(), model()
    opts = [make(net, torch.optim.Adam), make(twin, torch.optim.Adam)]
    train(net, opts[0], 0, 3)
    state = opts[0].state_dict()
    twin.load_state_dict(net.state_dict())
    opts[1].load_state_dict(copy.deepcopy(state))
    anchor = state["state"][0]["pgrad"]["anchor"].clone()
    train(net, opts[0], 3, 9)
    with opts[1].at_anchor():
        assert torch.equal(next(twin.parameters()), anchor)


def test_the_state_dict_is_small_at_the_anchor():
    net = model()
    opt = pgrad.PGrad(net.parameters(), rollout_length=3)
    train(net, opt, 0, 3)
    entry = opt.state_dict()["state"][0]
    assert set(entry) == {"step", "exp_avg", "exp_avg_sq"}
    train(net, opt, 3, 5)
    extra = opt.state_dict()["state"][0]["pgrad"]
    assert extra["displacements"].shape == (1, 8, 6)


@pytest.mark.parametrize("aggregation", [pgrad.aggregation.principal, pgrad.aggregation.displacement])
@pytest.mark.parametrize("dtype", [None, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("complete", ["saved", "copied"])
def test_the_state_dict_is_as_large_as_what_was_done(dtype, aggregation, complete):
    """In the middle: the anchor, the displacements so far but the last one, and the moments of Adam."""
    weight, other = nn.Parameter(torch.ones(30, 40)), nn.Parameter(torch.ones(800))
    opt = pgrad.PGrad([weight, other], 1e-2, 9, aggregation=aggregation, trajectory_dtype=dtype)
    elements = weight.numel() + other.numel()
    for step in range(9):
        weight.grad, other.grad = torch.randn(30, 40), torch.randn(800)
        opt.step()
        state, buffer = opt.state_dict(), io.BytesIO()
        torch.save(copy.deepcopy(state) if complete == "copied" else state, buffer)
        rows = max(opt.rollout_position - 1, 0) if aggregation is pgrad.aggregation.principal else 0
        expected = elements * (4 * (2 + (opt.rollout_position > 0)) + rows * (dtype or torch.float32).itemsize)
        assert expected <= buffer.tell() <= expected + 10_000, step


def test_counts_survive():
    net = model()
    opt = make(net, torch.optim.Adam)
    opt.nonfinite_rollouts = 7
    other = make(model(), torch.optim.Adam)
    other.load_state_dict(opt.state_dict())
    assert other.nonfinite_rollouts == 7
