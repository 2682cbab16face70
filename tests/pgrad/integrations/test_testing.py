"""The contract suite on our optimizer, on torch's own, and on wrappers of others with what they are known to break."""

import functools

import pytest
import pytorch_optimizer
import timm.optim
import torch

from pgrad import PGrad
from pgrad.testing import OptimizerContract


class TestPGrad(OptimizerContract):
    cycle = 3

    def make(self, params):
        return PGrad(params, lr=0.01, rollout_length=3, outer_lr=0.5)


class TestPGradWithMomentumOutside(OptimizerContract):
    cycle = 4

    def make(self, params):
        outer = functools.partial(torch.optim.SGD, momentum=0.9)
        inner = functools.partial(torch.optim.AdamW, amsgrad=True)
        return PGrad(params, lr=0.01, rollout_length=4, n_components=None, inner=inner, outer=outer)


class TestLookaheadAsPGrad(OptimizerContract):
    """One step a roll-out: the outer step goes a part of the way that the inner one went."""

    def make(self, params):
        return PGrad(params, lr=0.1, rollout_length=1, outer_lr=0.5, inner=torch.optim.SGD)


TORCH = {
    "SGD": functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": functools.partial(torch.optim.Adam, lr=0.01),
    "AdamW": functools.partial(torch.optim.AdamW, lr=0.01, foreach=True),
    "RMSprop": functools.partial(torch.optim.RMSprop, lr=0.01),
    "Adagrad": functools.partial(torch.optim.Adagrad, lr=0.01),
    "NAdam": functools.partial(torch.optim.NAdam, lr=0.01),
    "Adafactor": functools.partial(torch.optim.Adafactor, lr=0.01),
}
CHECKS = sorted(name for name in dir(OptimizerContract) if name.startswith("test_"))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", TORCH)
def test_torch_optimizers_keep_the_contract(name, check):
    contract = OptimizerContract()
    contract.make = TORCH[name]
    getattr(contract, check)()


def known(check, raises):
    """The check of that name, expected to fail: an xfail on a method of its own, not on the shared one."""

    def method(self):
        getattr(OptimizerContract, check)(self)

    return pytest.mark.xfail(strict=True, raises=raises, reason=REASONS[check])(method)


REASONS = {
    "test_add_param_group": "hands its own defaults to the base optimizer, whose groups need other keys",
    "test_closure": "returns no loss, or that of another point",
    "test_deepcopy": "Optimizer.__getstate__ keeps defaults, state and param_groups; the wrapper's fields are lost",
    "test_hooks": "Optimizer.__init__ is not called, so the tables of hooks are missing",
    "test_pickle": "as with deepcopy",
    "test_resume": "the state of the base optimizer is not in state_dict",
    "test_resume_in_place": "as with resume",
}


class TestLookaheadOfPytorchOptimizer(OptimizerContract):
    cycle = 3

    def make(self, params):
        return pytorch_optimizer.Lookahead(torch.optim.Adam(params, lr=0.01), k=3, alpha=0.5)

    test_deepcopy = known("test_deepcopy", AttributeError)
    test_hooks = known("test_hooks", AttributeError)
    test_pickle = known("test_pickle", AttributeError)


class TestLookaheadOfTimm(OptimizerContract):
    cycle = 3

    def make(self, params):
        return timm.optim.Lookahead(torch.optim.Adam(params, lr=0.01), k=3, alpha=0.5)

    test_deepcopy = known("test_deepcopy", AttributeError)
    test_hooks = known("test_hooks", AttributeError)
    test_pickle = known("test_pickle", AttributeError)


class TestSAMOfPytorchOptimizer(OptimizerContract):
    needs_closure = True

    def make(self, params):
        base = functools.partial(torch.optim.SGD, momentum=0.9)
        return pytorch_optimizer.SAM(params, base_optimizer=base, lr=0.1)

    test_add_param_group = known("test_add_param_group", KeyError)
    test_closure = known("test_closure", AssertionError)
    test_deepcopy = known("test_deepcopy", AttributeError)
    test_pickle = known("test_pickle", AttributeError)
    test_resume = known("test_resume", AssertionError)
    test_resume_in_place = known("test_resume_in_place", AssertionError)


# ---------------------------------------------------------------------- every check can fail: one broken optimizer each


class Broken(torch.optim.SGD):
    """SGD with momentum, whole; the sub-classes break one promise each."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=lr, momentum=0.9)


class NotAnOptimizer:
    """A wrapper that passes everything on, and that schedulers refuse."""

    def __init__(self, params):
        self.wrapped = Broken(params)

    def __getattr__(self, name):
        return getattr(self.wrapped, name)


class Mute(Broken):
    def __repr__(self):
        return "an optimizer"


class AcceptsNothing(Broken):
    def __init__(self, params, lr=0.1):
        super().__init__(list(params) or [torch.zeros(1)], lr=lr)


class TakesNamesForOrder(Broken):
    def step(self, closure=None):
        if "param_names" in self.param_groups[0]:
            return None
        return super().step(closure)


class Still(Broken):
    def step(self, closure=None):
        return closure() if closure else None


class DropsTheLoss(Broken):
    def step(self, closure=None):
        super().step(closure)


class RunsTheClosureWithoutGradients(Broken):
    @torch.no_grad()
    def step(self, closure=None):
        loss = closure() if closure else None
        super().step()
        return loss


class AlwaysReturnsSomething(Broken):
    def step(self, closure=None):
        return super().step(closure) or 0.0


class EatsGradients(Broken):
    def step(self, closure=None):
        loss = super().step(closure)
        self.zero_grad()
        return loss


class NeverZeroes(Broken):
    def zero_grad(self, set_to_none=True):
        super().zero_grad(set_to_none or True)


class MovesFrozenOnes(Broken):
    def step(self, closure=None):
        loss = super().step(closure)
        with torch.no_grad():
            for p in self.param_groups[0]["params"]:
                p.mul_(0.99)
        return loss


class OneRateForAll(Broken):
    def step(self, closure=None):
        for group in self.param_groups:
            group["lr"] = self.defaults["lr"]
        return super().step(closure)


class Forgetful(Broken):
    def state_dict(self):
        return {**super().state_dict(), "state": {}}


class LoadsOnlyOnce(Broken):
    def load_state_dict(self, state_dict):
        if not self.state:
            super().load_state_dict(state_dict)


class LosesStateOnLoad(Broken):
    def load_state_dict(self, state_dict):
        super().load_state_dict({**state_dict, "state": {}})


class KeepsBooksOfItsOwn(Broken):
    """The plain wrapper's mistake: what it needs is neither in state nor in param_groups."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr)
        self.count = 0

    def step(self, closure=None):
        self.count += 1
        return super().step(closure)


class AcceptsAnyState(Broken):
    def load_state_dict(self, state_dict):
        try:
            super().load_state_dict(state_dict)
        except ValueError:
            return


class IgnoresNewGroups(Broken):
    def add_param_group(self, param_group):
        if not self.param_groups:
            super().add_param_group(param_group)


class KeepsItsRate(Broken):
    def step(self, closure=None):
        kept = [group["lr"] for group in self.param_groups]
        for group in self.param_groups:
            group["lr"] = 0.1
        loss = super().step(closure)
        for group, lr in zip(self.param_groups, kept, strict=True):
            group["lr"] = lr
        return loss


class StateWithoutHooks(Broken):
    def state_dict(self):
        hooks, self._optimizer_state_dict_post_hooks = self._optimizer_state_dict_post_hooks, {}
        state = super().state_dict()
        self._optimizer_state_dict_post_hooks = hooks
        return state


class SkippedStepsCount(Broken):
    """Claims to look at the scaler's verdict itself, so that the scaler calls ``step`` on an overflow too."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr)
        self._step_supports_amp_scaling = True


BROKEN = {
    "test_is_a_torch_optimizer": NotAnOptimizer,
    "test_repr": Mute,
    "test_no_parameters_are_refused": AcceptsNothing,
    "test_named_parameters": TakesNamesForOrder,
    "test_parameters_move": Still,
    "test_closure": DropsTheLoss,
    "test_step_without_closure_returns_none": AlwaysReturnsSomething,
    "test_gradients_are_left_as_they_are": EatsGradients,
    "test_zero_grad": NeverZeroes,
    "test_frozen_and_unused_parameters_stay": MovesFrozenOnes,
    "test_groups_have_their_own_learning_rate": OneRateForAll,
    "test_resume": Forgetful,
    "test_resume_in_place": LoadsOnlyOnce,
    "test_loading_its_own_state_changes_nothing": LosesStateOnLoad,
    "test_deepcopy": KeepsBooksOfItsOwn,
    "test_pickle": KeepsBooksOfItsOwn,
    "test_state_of_another_model_is_refused": AcceptsAnyState,
    "test_add_param_group": IgnoresNewGroups,
    "test_schedulers": KeepsItsRate,
    "test_hooks": StateWithoutHooks,
    "test_gradient_scaling": SkippedStepsCount,
}


@pytest.mark.parametrize("check", CHECKS)
def test_a_broken_optimizer_fails(check):
    broken = BROKEN[check]

    def verdict(make):
        contract = OptimizerContract()
        contract.make = make
        getattr(contract, check)()

    verdict(Broken)
    lost_fields = check in ("test_deepcopy", "test_pickle")
    with pytest.raises(AttributeError if lost_fields else AssertionError):
        verdict(broken)


def test_a_closure_that_runs_without_gradients_fails():
    contract = OptimizerContract()
    contract.make = RunsTheClosureWithoutGradients
    with pytest.raises(RuntimeError, match="does not require grad"):
        contract.test_closure()


def test_a_contract_without_make_says_what_to_define():
    with pytest.raises(NotImplementedError, match=r"OptimizerContract must define make"):
        OptimizerContract().test_resume()
