"""Where the roll-outs of an optimizer are among those of the sampler that deals its batches.

The optimizer sees gradients, and the sampler batches. A roll-out of the sampler is T batches, and that of the optimizer
ends with it: one that begins in its middle, after a roll-out that was finished early or dropped, is shorter by what was
gone then. So both are in phase again, without a batch that is thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Phase"]

_AHEAD = 2  # batches that may be given before the first step: some loaders are one ahead
_SOME = 3  # steps with several batches each, before it is said


@dataclass
class Phase:
    """Counts of the loops over one sampler.

    Attributes:
        loop: the number of the loop that the last step belonged to; None before there is one.
        skipped: steps of the sampler's roll-out that were gone when the optimizer's began, 0 .. T - 1.
        steps: steps made in this loop.
        given: batches of it that were given, as far as it is known.
        single: steps for which one batch was given.
        several: steps for which there were more.
        left_out: whether batches of this loop made no step: more than one before its first, or between two.
    """

    loop: int | None = None
    skipped: int = 0
    steps: int = 0
    given: int = 0
    single: int = 0
    several: int = 0
    left_out: bool = False

    def count(self, sampler: Any) -> None:
        """A step is made, with what has been given since the last one."""
        given = getattr(sampler, "given", None)
        if given is None:
            return
        more = given - self.given > 1
        if self.steps:
            self.several, self.single = self.several + more, self.single + (not more)
            self.left_out |= more
        else:
            self.left_out = given > _AHEAD
        self.steps, self.given = self.steps + 1, given

    def enter(self, loop: int | None, skipped: int = 0) -> None:
        """Another loop, or none that is known of."""
        self.loop, self.skipped, self.steps, self.given, self.left_out = loop, skipped, 0, 0, False

    def end(self, sampler: Any, steps: int) -> None:
        """A roll-out ended after so many steps, before that of the sampler."""
        in_a_loop = self.loop is not None and self.loop == getattr(sampler, "loops", None)
        self.skipped = self.skipped + steps if in_a_loop else 0

    def is_forgotten(self, sampler: Any) -> bool:
        """Whether there were more steps than batches: they come from elsewhere."""
        return getattr(sampler, "loops", None) == 0 or self.steps > self.given > 0

    @property
    def accumulates(self) -> bool:
        """Whether several batches go into one step, as a rule."""
        return self.several > self.single

    def accumulates_surely(self, length: int) -> bool:
        """Whether that holds for a whole roll-out or more; a scaler may skip single steps."""
        return self.accumulates and self.several >= max(length - 1, _SOME)
