"""Every check of the contract can fail: one broken average each."""

import copy

import pytest
import torch

from pgrad.averaging import EMA
from pgrad.testing import AverageContract

CHECKS = sorted(name for name in dir(AverageContract) if name.startswith("test_"))


class Right(EMA):
    """Whole; the sub-classes break one promise each."""

    def __init__(self, model):
        super().__init__(model, decay=0.8)


class AnswersTooSoon(Right):
    def average(self):
        return super().average() if self.ready else {}


class TakesEveryPointTwice(Right):
    def follow(self, optimizer):
        optimizer.register_step_post_hook(lambda *_: self.update())
        return super().follow(optimizer)


class Disturbs(Right):
    def update(self):
        super().update()
        with torch.no_grad():
            next(self._model.parameters()).mul_(1.001)


class RestoresByArithmetic(Right):
    def applied(self):
        outer = super().applied()
        parameters = list(self._model.parameters())

        class Block:
            def __enter__(self):
                return outer.__enter__()

            def __exit__(self, *error):
                leave = outer.__exit__(*error)
                with torch.no_grad():
                    for p in parameters:
                        p.add_(0.1).sub_(0.1)
                return leave

        return Block()


class LetsStepsPass(Right):
    def follow(self, optimizer):
        optimizer.register_step_post_hook(lambda *_: self._after())
        return self

    def _after(self):
        try:
            self.update()
        except RuntimeError:
            return


class CountsSkippedSteps(Right):
    def follow(self, optimizer):
        optimizer.register_step_post_hook(lambda *_: self.update())
        return self


class TakesInnerIterates(Right):
    def follow(self, optimizer):
        getattr(optimizer, "inner", optimizer).register_step_post_hook(lambda *_: self.update())
        return self


class AveragesBuffers(Right):
    def update(self):
        super().update()
        with torch.no_grad():
            for buffer in self._model.buffers():
                buffer.zero_()


class ForgetsItsCount(Right):
    def state_dict(self):
        return {**super().state_dict(), "count": 0}


class SharesItsCopies(Right):
    def __deepcopy__(self, memo):
        twin = type(self)(copy.deepcopy(self._model, memo))
        twin._mean, twin._count = self._mean, self._count
        return twin


class AcceptsAnyState(Right):
    def load_state_dict(self, state_dict):
        try:
            super().load_state_dict(state_dict)
        except ValueError:
            return


class StaysNarrow(Right):
    def update(self):
        super().update()
        dtypes = {name: p.dtype for name, p in self._model.named_parameters()}
        self._mean = {name: mean.to(dtypes[name]).to(mean.dtype) for name, mean in self._mean.items()}


class ForgetsLateOnes(Right):
    def __init__(self, model):
        super().__init__(model)
        self.names = {name for name, _ in model.named_parameters()}

    def average(self):
        return {name: value for name, value in super().average().items() if name in self.names}


class FollowsAnyone(Right):
    def follow(self, optimizer):
        return self


BROKEN = {
    "test_nothing_before_the_first_point": (AnswersTooSoon, AssertionError),
    "test_follow_is_update_after_every_step": (TakesEveryPointTwice, AssertionError),
    "test_training_does_not_notice": (Disturbs, AssertionError),
    "test_applied_and_back": (RestoresByArithmetic, AssertionError),
    "test_no_step_inside_applied": (LetsStepsPass, AssertionError),
    "test_steps_that_are_no_points": (CountsSkippedSteps, AssertionError),
    "test_points_of_roll_outs_are_anchors": (TakesInnerIterates, AssertionError),
    "test_applied_in_a_roll_out": (RestoresByArithmetic, AssertionError),
    "test_only_parameters": (AveragesBuffers, AssertionError),
    "test_resume": (ForgetsItsCount, AssertionError),
    "test_copies": (SharesItsCopies, AssertionError),
    "test_other_states_are_refused": (AcceptsAnyState, AssertionError),
    "test_half_precision": (StaysNarrow, AssertionError),
    "test_parameters_that_come_later": (ForgetsLateOnes, KeyError),
    "test_a_foreign_optimizer_is_refused": (FollowsAnyone, AssertionError),
}


@pytest.mark.parametrize("check", CHECKS)
def test_a_broken_average_fails(check):
    broken, error = BROKEN[check]

    def verdict(make):
        contract = AverageContract()
        contract.make = make
        getattr(contract, check)()

    verdict(Right)
    with pytest.raises(error):
        verdict(broken)


def test_a_contract_without_make_says_what_to_define():
    with pytest.raises(NotImplementedError, match="AverageContract must define make"):
        AverageContract().test_resume()
