"""Every mistake in the table of docs/frameworks.md is made here, and has to be answered in the words of that table."""

import copy
import functools
import re
import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import pgrad
from tests.docs.pages import ROOT
from tests.pgrad.problems import model, train

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs/frameworks.md").read_text(encoding="utf-8").split("## What it notices")[1].splitlines()
    if line.startswith("| ") and not line.startswith(("| you", "| ---"))
]


def optimizer(net, length=4, **options):
    return pgrad.PGrad(net.parameters(), 1e-2, length, **options)


def make(**options):
    return lambda: pgrad.PGrad(model().parameters(), 1e-2, **{"rollout_length": 4, **options})


class WeightsBeside(torch.optim.SGD):
    """Steps from weights that it keeps beside the parameters."""

    @torch.no_grad()
    def step(self, closure=None):
        for p in (p for group in self.param_groups for p in group["params"] if p.grad is not None):
            own = self.state[p].setdefault("own", p.detach().clone())
            p.copy_(own.sub_(p.grad, alpha=self.param_groups[0]["lr"]))


def sampler():
    return pgrad.DomainBatchSampler([0, 1, 2] * 24, 8, 2, torch.Generator().manual_seed(0))


DATA = TensorDataset(torch.randn(72, 6), torch.arange(72) % 2)


def run(net, opt, loader, stop):
    batches = iter(loader)
    for _ in range(stop):
        x, y = next(batches)
        opt.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        opt.step()


def forgets_the_sampler():
    net = model()
    run(net, optimizer(net, sampler()), DataLoader(DATA, 8), 6)


def looks_at_a_batch():
    net, ours = model(), sampler()
    next(iter(DataLoader(DATA, batch_sampler=ours)))
    run(net, optimizer(net, ours), DataLoader(DATA, 8), 6)


def accumulates():
    net, ours = model(), sampler()
    opt = optimizer(net, ours)
    for n, (x, y) in enumerate(DataLoader(DATA, batch_sampler=ours)):
        nn.functional.cross_entropy(net(x), y).backward()
        if n % 2:
            opt.step()
            opt.zero_grad()


def finishes_in_a_loop():
    net, ours = model(), sampler()
    opt = optimizer(net, ours)
    for n, (x, y) in enumerate(DataLoader(DATA, batch_sampler=ours)):
        if n == 3:
            opt.finish_rollout()
        opt.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        opt.step()
    assert opt.rollout_position == 0


def begins_a_second_loop():
    loader = DataLoader(DATA, batch_sampler=sampler())
    for _ in loader:
        next(iter(loader))


def breaks():
    net, ours = model(), sampler()
    opt = optimizer(net, ours)
    for _ in range(2):
        run(net, opt, DataLoader(DATA, batch_sampler=ours), 2)


def resumes_the_optimizer_alone():
    net, ours = model(), sampler()
    opt = optimizer(net, ours)
    run(net, opt, DataLoader(DATA, batch_sampler=ours), 2)
    other = sampler()
    resumed = optimizer(net, other)
    resumed.load_state_dict(opt.state_dict())
    run(net, resumed, DataLoader(DATA, batch_sampler=other), 1)


def labels(*domains):
    def steps():
        opt = optimizer(model(), 3)
        for domain in domains:
            opt.step(domain=domain)

    return steps


def workers_ahead():
    ours = sampler()
    _ = next(iter(DataLoader(DATA, batch_sampler=ours, num_workers=1)))
    ours.state_dict()


def loads_in_the_middle(inside=False):
    net = model()
    opt = optimizer(net)
    train(net, opt, 0, 6)
    if inside:
        with opt.at_anchor():
            net.load_state_dict(model(seed=3).state_dict())
    else:
        net.load_state_dict(model(seed=3).state_dict())
        train(net, opt, 6, 7)


def saves_while_an_average_is_in():
    net = model()
    opt = optimizer(net)
    train(net, opt, 0, 6)
    own = copy.deepcopy(net.state_dict())
    net.load_state_dict(model(seed=3).state_dict())
    opt.state_dict()
    net.load_state_dict(own)
    train(net, opt, 6, 9)


def swaps_and_goes_on():
    net = model()
    opt = optimizer(net)
    for step in range(9):
        train(net, opt, step, step + 1)
        own = copy.deepcopy(net.state_dict())
        net.load_state_dict(model(seed=3).state_dict())
        net.load_state_dict(own)
        for p in net.parameters():
            p.detach().clamp_(-100, 100)
            p.data = p.data.clone()
        net, opt = copy.deepcopy((net, opt))
        opt.load_state_dict(copy.deepcopy(opt.state_dict()))


def copies_with_a_sampler():
    net = model()
    net, opt = copy.deepcopy((net, optimizer(net, sampler())))
    train(net, opt, 0, 1)


def loads_the_optimizer_alone():
    net = model()
    opt = optimizer(net)
    train(net, opt, 0, 4)
    other = model(seed=3)
    resumed = optimizer(other)
    resumed.load_state_dict(opt.state_dict())
    train(other, resumed, 4, 5)


def loads_other_settings(steps):
    net = model()
    opt = optimizer(net, 3)
    train(net, opt, 0, steps)
    optimizer(net, 4).load_state_dict(opt.state_dict())


def loads_another_order():
    net, twin = model(), model()
    opt = pgrad.PGrad(net.named_parameters(), 1e-2, 4)
    train(net, opt, 0, 4)
    other = pgrad.PGrad(list(twin.named_parameters())[::-1], 1e-2, 4)
    twin.load_state_dict(net.state_dict())
    other.load_state_dict(copy.deepcopy(opt.state_dict()))
    train(twin, other, 4, 5)


def loads_into_a_compiled_model():
    net = model()
    opt = pgrad.PGrad(net.named_parameters(), 1e-2, 4)
    train(net, opt, 0, 4)
    compiled = torch.compile(net, backend="eager")
    pgrad.PGrad(compiled.named_parameters(), 1e-2, 4).load_state_dict(copy.deepcopy(opt.state_dict()))


def loads_other_names():
    net = model()
    opt = pgrad.PGrad(net.named_parameters(), 1e-2, 4)
    pgrad.PGrad([(f"net.{n}", p) for n, p in net.named_parameters()], 1e-2, 4).load_state_dict(opt.state_dict())


def edits_groups():
    net = model()
    opt = pgrad.PGrad([{"params": net[0].parameters()}, {"params": net[2].parameters()}], 1e-2, 4)
    train(net, opt, 0, 6)
    opt.param_groups = [dict(group) for group in opt.param_groups]
    opt.param_groups[0]["params"].pop()
    opt.param_groups.pop()
    opt.param_groups[0]["params"].append(net[2].bias)
    opt.state = opt.state
    train(net, opt, 6, 9)


def sets(position):
    net = model()
    opt = optimizer(net)
    train(net, opt, 0, position)
    opt.trajectory_dtype, opt.trajectory_device = torch.bfloat16, "cpu"
    opt.rollout_length, opt.n_components, opt.aggregation = 3, 2, pgrad.aggregation.displacement


def converts():
    net = model()
    opt = optimizer(net)
    train(net, opt, 0, 2)
    net.double()
    train(net, opt, 2, 3)


def steps_at_the_anchor():
    net = model()
    opt = optimizer(net)
    train(net, opt, 0, 2)
    with opt.at_anchor():
        train(net, opt, 2, 3)


def goes_to_the_anchor_inside_an_average():
    net = model()
    opt = optimizer(net)
    average = pgrad.averaging.EMA(net).follow(opt)
    train(net, opt, 0, 6)
    with average.applied(), opt.at_anchor():
        net(DATA.tensors[0])


def captures():
    with pytest.MonkeyPatch.context() as patch:  # there may be no device: torch is made to say so
        patch.setattr(torch.cuda, "is_initialized", lambda: True)
        patch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
        optimizer(model()).step()


def shares_memory():
    weight = nn.Parameter(torch.ones(3))
    same = nn.Parameter(weight.data)
    weight.grad, same.grad = torch.ones(3), torch.ones(3)
    pgrad.PGrad([weight, same], 1e-2, 4).step()


def diverges():
    net = model()
    opt = optimizer(net)
    train(net, opt, 0, 3)
    net[0].weight.grad[0, 0] = torch.inf
    opt.step()


MISTAKES = [  # in the order of the table
    lambda: pgrad.PGrad(model().parameters(), 1e-2),
    make(weight_decay=0.1),
    make(outer=functools.partial(torch.optim.SGD, lr=0.5)),
    lambda: pgrad.PGrad([{"params": model().parameters(), "outer_lr": 0.5}], 1e-2, 4),
    lambda: setattr(optimizer(model()), "inner", torch.optim.SGD),
    make(n_component=3),
    make(inner="adamw"),
    make(inner=WeightsBeside),
    make(outer=WeightsBeside),
    make(inner=functools.partial(pgrad.PGrad, rollout_length=2)),
    make(outer=torch.optim.LBFGS),
    forgets_the_sampler,
    looks_at_a_batch,
    accumulates,
    finishes_in_a_loop,
    begins_a_second_loop,
    breaks,
    resumes_the_optimizer_alone,
    labels([0, 1], 2, 0),
    labels("a", "b", "a"),
    labels("a", "a", "a"),
    lambda: pgrad.DomainBatchSampler([0] * 200 + [1] * 10, 10),
    workers_ahead,
    loads_in_the_middle,
    functools.partial(loads_in_the_middle, inside=True),
    saves_while_an_average_is_in,
    swaps_and_goes_on,
    copies_with_a_sampler,
    loads_the_optimizer_alone,
    functools.partial(loads_other_settings, 3),
    functools.partial(loads_other_settings, 5),
    loads_another_order,
    loads_into_a_compiled_model,
    loads_other_names,
    edits_groups,
    functools.partial(sets, 4),
    functools.partial(sets, 2),
    converts,
    steps_at_the_anchor,
    goes_to_the_anchor_inside_an_average,
    captures,
    shares_memory,
    diverges,
]
ANSWERS = {"warning": Warning, "the anchor": RuntimeWarning}


@pytest.mark.parametrize(("row", "mistake"), list(zip(ROWS, MISTAKES, strict=True)), ids=[row[0] for row in ROWS])
def test_the_table_of_notices(row, mistake):
    _, answer, said = row
    kind = re.match(r"\w+Error|warning|nothing|the anchor", answer).group()
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        if kind.endswith("Error"):
            with pytest.raises(Exception, match=re.escape(said.strip("`"))) as error:
                mistake()
            assert error.type.__name__ == kind
            assert not given
            return
        mistake()
    if kind == "nothing":
        assert said == ""
        assert not given
    else:
        assert [said.strip("`") in str(warning.message) for warning in given] == [True]
        assert issubclass(given[0].category, ANSWERS[kind])
