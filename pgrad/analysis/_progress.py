"""What a long computation says on stderr: its cost before, how far it is meanwhile."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

__all__ = ["Progress", "Teller"]

# Gets what is computed, how much of it is done, and how much there is at least.
Teller = Callable[[str, int, int], None]


class Progress:
    """Counts steps, and tells of them.

    Args:
        tell: True for a line on stderr, False for silence, or a function ``(what, done, at_least)``.
        what: what is computed.
        at_least: how many steps that takes at least.
        cost: said once before the first step, on stderr.
    """

    def __init__(self, tell: bool | Teller, what: str, at_least: int, cost: str = "") -> None:
        if not (isinstance(tell, bool) or callable(tell)):
            raise TypeError(f"progress must be True, False or a function (what, done, at_least), got {tell!r}")
        self._tell, self._what, self._at_least = tell, what, at_least
        self._begin, self.done = time.monotonic(), 0
        if tell is True:
            sys.stderr.write(f"{what}: {cost}\n" if cost else f"{what}\n")

    def step(self) -> None:
        """One more is done."""
        self.done += 1
        if callable(self._tell):
            self._tell(self._what, self.done, self._at_least)
        elif self._tell:
            each = (time.monotonic() - self._begin) / self.done
            sys.stderr.write(f"\r  {self.done} of at least {self._at_least}, {each:.2g} s each ")
            sys.stderr.flush()

    def end(self) -> None:
        """All is done."""
        if self._tell is True:
            sys.stderr.write("\n")
