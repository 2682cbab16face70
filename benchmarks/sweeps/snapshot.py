"""What a coordinator tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.sweeps.store.states import DECIDED


@dataclass(frozen=True)
class Snapshot:
    """The state of a sweep.

    Attributes:
        counts: Runs by status.
        workers: How many are at work for this coordinator.
        lost: Attempts that this coordinator has given up.
        note: The last thing that went wrong, or "".
        sweep_id: Number of the sweep, or of its stage.
    """

    counts: dict[str, int]
    workers: int = 0
    lost: int = 0
    note: str = ""
    sweep_id: int | None = None

    @property
    def total(self) -> int:
        """All runs."""
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        """Runs that have ended."""
        return sum(self.counts[status] for status in DECIDED)


Watch = Callable[[Snapshot], None]
"""Is told how far the sweep is."""
