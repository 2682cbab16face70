"""What torch puts around a step, and what others do to the step of a class or of one optimizer, is still there."""

import functools

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

import pgrad


def two_steps(opt, weight):
    for _ in range(2):
        opt.zero_grad()
        weight.square().sum().backward()
        opt.step()


@pytest.fixture
def weight():
    return torch.nn.Parameter(torch.ones(3))


class Plain(torch.optim.SGD):
    """An inner optimizer of which others may change the class."""

    def step(self, closure=None):
        return super().step(closure)


def test_the_profiler_names_every_step(weight):
    opt = pgrad.PGrad([weight], rollout_length=2)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        two_steps(opt, weight)
    counts = {event.key: event.count for event in found.key_averages()}
    assert counts["Optimizer.step#PGrad.step"] == counts["Optimizer.step#Adam.step"] == 2
    assert counts["Optimizer.step#SGD.step"] == 1


def test_a_step_that_others_put_around_that_of_the_class_is_taken(weight, monkeypatch):
    opt = pgrad.PGrad([weight], lr=0.1, rollout_length=2, inner=Plain)
    before, seen = Plain.step, []

    @functools.wraps(before)
    def counted(self, *args, **kwargs):
        seen.append(type(self).__name__)
        return before(self, *args, **kwargs)

    monkeypatch.setattr(Plain, "step", counted)
    two_steps(opt, weight)
    assert seen == ["Plain", "Plain"]


def test_a_step_of_one_inner_optimizer_that_was_replaced_is_taken(weight):
    opt = pgrad.PGrad([weight], lr=0.1, rollout_length=2)
    scheduler = torch.optim.lr_scheduler.StepLR(opt.inner, 1)  # it counts the steps in a step of its own
    two_steps(opt, weight)
    scheduler.step()
    assert opt.param_groups[0]["lr"] == pytest.approx(0.01)


def test_a_hook_may_change_the_arguments_of_the_step(weight):
    opt = pgrad.PGrad([weight], rollout_length=2)
    opt.register_step_pre_hook(lambda _, args, kwargs: (args, {**kwargs, "domain": opt.rollout_position}))
    two_steps(opt, weight)
    assert opt.last_update.domains == (0, 1)
