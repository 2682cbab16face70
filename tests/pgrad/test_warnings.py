"""A warning of the optimizer: everything is whole when it is given, and it points at the user's line."""

import inspect
import warnings

import pytest
import torch
from lightning.fabric import Fabric
from torch import nn

import pgrad
from tests.pgrad.problems import loss, model, train, vector


def sampler():
    return pgrad.DomainBatchSampler([0, 1, 2] * 8, 4, generator=torch.Generator().manual_seed(0))


def optimizer(net, length=3, **options):
    return pgrad.PGrad(net.parameters(), 1e-2, length, **options)


def sets_weights(net, opt):
    train(net, opt, 0, 2)
    with torch.no_grad():
        net[0].weight.fill_(0.5)
    train(net, opt, 2, 3)


def sets_weights_at_the_anchor(net, opt):
    train(net, opt, 0, 2)
    with opt.at_anchor(), torch.no_grad():
        net[0].weight.fill_(0.5)


def mixes_domains(net, opt):
    for domains in (0, 0, 0):
        opt.zero_grad()
        loss(net, 0).backward()
        opt.step(domain=domains)


def forgets_the_sampler(net, opt):
    opt.rollout_length = sampler()
    train(net, opt, 0, 3)


def breaks(net, opt):
    opt.rollout_length = batches = sampler()
    for _ in range(2):
        for n, _ in enumerate(batches):
            if n == 2:
                break
            train(net, opt, n, n + 1)


def diverges(net, opt):
    train(net, opt, 0, 2)
    net[0].weight.grad[0, 0] = torch.inf
    opt.step()


def loads_other_settings(net, opt):
    saved = optimizer(model(), 4).state_dict()
    net.load_state_dict(model().state_dict())
    opt.load_state_dict(saved)


def loads_without_the_model(net, opt):
    other = model(seed=3)
    saved = optimizer(other)
    train(other, saved, 0, 2)
    opt.load_state_dict(saved.state_dict())
    train(net, opt, 2, 3)


ACTS = [sets_weights, sets_weights_at_the_anchor, mixes_domains, forgets_the_sampler, breaks, diverges]
ACTS += [loads_other_settings, loads_without_the_model]


@pytest.mark.parametrize("act", ACTS)
def test_a_warning_that_is_an_error_leaves_everything_whole(act):
    """As it does when it is printed: what follows is the same, but for the step in which it was raised."""
    ends = []
    for action in ("error", "always"):
        net = model()
        opt = optimizer(net)
        with warnings.catch_warnings(record=True) as given:
            warnings.simplefilter(action)
            raised = None
            try:
                act(net, opt)
            except (UserWarning, RuntimeWarning) as warning:
                raised = warning
        assert (raised is not None) == (action == "error")
        assert len(given) == (action == "always")
        if act in (sets_weights, breaks, loads_without_the_model):  # noticed before the step, which then is not made
            assert opt.rollout_position == (0 if action == "error" else 2 if act is breaks else 1)
            opt.forget_rollout()
            net.load_state_dict(model(seed=5).state_dict())
            opt.state.clear()
        ends.append((opt.rollout_position, vector(net)))
        opt.rollout_length = 3
        train(net, opt, 3, 6)
        assert opt.rollout_position == 0
        assert opt.last_update is not None
        ends.append((0, vector(net)))
    assert all(here[0] == there[0] for here, there in zip(ends[:2], ends[2:], strict=True))
    assert all(torch.equal(here[1], there[1]) for here, there in zip(ends[:2], ends[2:], strict=True))


@pytest.mark.parametrize("act", ACTS)
def test_a_warning_points_at_the_line_of_the_user(act):
    net = model()
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        act(net, optimizer(net))
    (warning,) = given
    lines, first = inspect.getsourcelines(act)
    steps = inspect.getsourcelines(train)
    here = warning.filename == __file__ and first < warning.lineno < first + len(lines)
    in_the_loop = warning.filename == inspect.getsourcefile(train) and "step(" in steps[0][warning.lineno - steps[1]]
    assert here or in_the_loop


def test_a_warning_points_past_the_wrapper_of_a_framework():
    fabric = Fabric(accelerator="cpu")
    net = model()
    wrapped, opt = fabric.setup(net, optimizer(net))
    fabric.backward(nn.functional.cross_entropy(wrapped(torch.ones(2, 6)), torch.tensor([0, 1])))
    opt.step()
    with torch.no_grad():
        net[0].weight.fill_(0.5)
    with pytest.warns(UserWarning, match="set from outside") as given:
        opt.step()
    assert given[0].filename == __file__
