"""What others do to the parameters, the groups and the sampler of a PGrad: it is followed, and said once.

Weights that somebody sets in the middle of a roll-out end it and are the new anchor; a model that was not loaded with
its optimizer is noticed; the roll-outs keep in phase with the loops over the sampler that deals their batches.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pgrad._engine import sharding
from pgrad._engine.fingerprint import samples
from pgrad._engine.groups import follow_groups
from pgrad._notices import Notices, unequal_parts
from pgrad._settings import Settings, Shared

__all__ = ["ONE_DOMAIN", "Following"]

ONE_DOMAIN = "every mini-batch of a roll-out must be of one domain, as those of pgrad.DomainBatchSampler"


class Following(Settings):
    """An optimizer with roll-outs that takes note of what others did between two of its steps."""

    _notices: Notices
    _given_up: int = Shared()  # type: ignore[assignment]
    _domains: tuple[int | str | None, ...] = Shared()  # type: ignore[assignment]
    _loaded: dict[Tensor, list[float]] = Shared()  # type: ignore[assignment]

    def _follow_from_here(self) -> None:
        """Nothing has happened yet."""
        self._notices = Notices()
        self._given_up = 0  # roll-outs in a row that ended because weights were set
        self._domains = ()  # of the inner steps so far
        self._loaded = {}  # some values that the parameters should have since a state dict was loaded

    def _begin_anew(self) -> None:
        """The parameters, as they are, are an anchor."""
        self._phase.end(self._sampler, self._position)
        self._position, self._domains = 0, ()
        self._trajectory.forget()

    def _own_parameters(self) -> set[Tensor]:
        return {p for group in self.param_groups for p in group["params"]}

    # ---------------------------------------------------------------------------------------- groups and weights

    def _follow(self, stepping: bool = False) -> None:
        """Take note of groups that were changed, and of weights that were set: they end the roll-out."""
        follow_groups(self.inner, self.outer)
        if self._loaded:
            self._follow_model()
        elif self._position > 0 and self._trajectory.moved(self._position, wait=not stepping):
            if stepping and sharding.is_checking(self.check_ranks):
                self._trajectory.remember_move()  # all ranks must do the same: they are compared at the outer step
            else:
                self._give_up_roll_out()

    def _is_elsewhere(self) -> bool:
        """Whether the parameters are not where the roll-out is: it is only read, and nothing follows from it yet.

        Other weights may be there for a while (an average), or those of a checkpoint may still be on their way.
        """
        follow_groups(self.inner, self.outer)
        if self._loaded:
            return not self._has_its_model()
        return self._position > 0 and self._trajectory.moved(self._position)

    def _has_its_model(self) -> bool:
        """Whether the model has been loaded with the state dict that was loaded."""
        if not _have_values(self._loaded):
            return False
        self._loaded = {}
        self._trajectory.arrived(self._position)
        return True

    def _follow_model(self) -> None:
        """Since a state dict was loaded, the model should have been loaded with it, before or after."""
        if self._has_its_model():
            return
        dropped, self._loaded = self._position, {}
        self._begin_anew()
        self._notices.give(
            "model",
            "the weights are not those with which the optimizer's state_dict was saved"
            + (f", so that the {dropped} steps of its roll-out were dropped" if dropped else "")
            + ": load the model's own state_dict of that moment too (outside at_anchor, as the optimizer's), or "
            "make a new optimizer",
        )

    def _give_up_roll_out(self, steps: int | None = None) -> None:
        done = f"after {self._position}" if steps is None else f"somewhere in the {steps}"
        self._begin_anew()
        self._given_up += 1
        self._notices.give(
            "weights",
            f"parameters were set from outside {done} of {self._length} steps of a roll-out (a "
            "checkpoint, an average, a projection), so that it ended without an outer step and these weights are the "
            "new anchor: change them at rollout_position 0, after finish_rollout() or discard_rollout(), in a hook of "
            "opt.inner, or say so by forget_rollout()",
        )
        if self._given_up == 3:
            self._notices.give(
                "weights again",
                "the last 3 roll-outs all ended so, without an outer step: something writes to the parameters between "
                "steps, as nn.Embedding(max_norm=...) does whenever it is called, and the inner optimizer alone trains "
                "the model; do it after each inner step, opt.inner.register_step_post_hook(...), so that it is part of "
                "the step",
            )

    # --------------------------------------------------------------------------------------------------- the sampler

    def _follow_sampler(self) -> None:
        """A new loop over the sampler starts with a roll-out, and so must the optimizer.

        Its gradient is there already, so that the parameters may not move now: they are the anchor as they are.
        """
        if self._lost_sampler:
            self._notices.give(
                "copy",
                "a copy of the optimizer does not know the sampler that the original was made with, and cannot keep "
                "in phase with it: set opt.rollout_length = sampler",
            )
        loop = getattr(self._sampler, "loops", None)
        if loop is not None and loop != self._phase.loop:
            self._enter_loop(loop, self._sampler.entry_position)
        self._phase.count(self._sampler)
        missed = self._phase.take_missed()
        if missed:
            self._leave_out(missed)
        if self._phase.accumulates_surely(self._length or 1):
            self._notices.give(
                "accumulation",
                "several batches of the sampler went into one step (gradient accumulation), and with them several "
                "domains: rollout_length counts steps, and each batch is one of them; let batch_size be all examples "
                "of a step and cut every batch into parts in the loop, with a backward() for each part and one step(), "
                "and let the accumulation of a framework be 1",
            )

    def _leave_out(self, missed: int) -> None:
        """Batches of the sampler made no step (a GradScaler, a `continue`): its roll-out ends sooner by so many."""
        steps = self._position
        at = steps + self._phase.skipped + missed
        if at < (self._length or 1):
            self._phase.skipped += missed
            return
        if steps > 0:
            self._begin_anew()
            self._notices.give(
                "left out",
                f"the last batches of a roll-out made no step (a GradScaler or a `continue` skipped them), and the "
                f"gradient of the next one was there already: {steps} steps stand without an outer step, and the next "
                "roll-out is in phase",
            )
        self._phase.skipped = at % (self._length or 1)

    def _enter_loop(self, loop: int, entry: int) -> None:
        position = self._position
        is_known, done = self._phase.loop is not None, position + self._phase.skipped
        if entry == done:
            self._phase.enter(loop, self._phase.skipped)
            return
        if position > 0:
            self._begin_anew()
        left_out = self._phase.left_out
        self._phase.enter(loop, entry)
        if is_known and position == 0 and entry == 0:  # the loop before was left after a roll-out that was finished
            return
        why = "the loop before was left by a break, a GradScaler skipped steps, or not both were resumed"
        remedy = "call finish_rollout() or discard_rollout() before leaving a loop, and load the state_dict of both"
        if self._phase.accumulates:
            why = "several batches of the loop before went into each step, so that it did not end with a roll-out"
            remedy = "let every batch of the sampler be one step"
        elif left_out:
            why = (
                "batches of the loop before made no step: a GradScaler or a `continue` skipped some, or the optimizer "
                "was made within the loop"
            )
            remedy = "a few of them do no harm; make the optimizer before the loop"
        self._notices.give(
            "phase",
            f"a loop over the sampler entered at step {entry} of a roll-out, but {done} of {self._length} steps "
            f"were done ({why})"
            + ("; these steps stand without an outer step, so that both are in phase" if position > 0 else "")
            + f": {remedy}",
        )

    def _check_data(self, domains: tuple[int | str, ...] | None) -> None:
        """At the end of a whole roll-out: whether the batches were those that it is made for."""
        if self._phase.is_forgotten(self._sampler):
            self._notices.give(
                "sampler",
                "the sampler that was given as rollout_length has dealt no batch of this roll-out: pass it to the "
                f"loader too, DataLoader(dataset, batch_sampler=sampler); {ONE_DOMAIN}",
            )
        unequal = unequal_parts(domains) if domains and not hasattr(self._sampler, "group_ids") else None
        if unequal:
            self._notices.give("parts", unequal)


def _have_values(expected: dict[Tensor, list[float]]) -> bool:
    """Whether some values of each parameter are these, up to a conversion to its dtype."""
    found = samples(expected)
    for p, here, there in zip(expected, found, expected.values(), strict=True):
        if here is None:
            continue
        real = torch.empty((), dtype=p.dtype, device="cpu").real.dtype
        converted = torch.tensor(there, dtype=torch.float64, device="cpu").to(real).double()
        if not torch.equal(torch.tensor(here, dtype=torch.float64, device="cpu").nan_to_num(), converted.nan_to_num()):
            return False
    return True
