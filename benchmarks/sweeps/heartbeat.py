"""What a sweep says where nobody watches a terminal: lines in a pipe, a file, or the log of a batch system."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


class State(Protocol):
    """What is told: see `benchmarks.sweeps.coordinator.Snapshot`."""

    @property
    def counts(self) -> dict[str, int]: ...
    @property
    def lost(self) -> int: ...
    @property
    def note(self) -> str: ...


EVERY = 30.0
"""Seconds between two lines if nothing but the number of runs has changed: the sign that the sweep is alive."""


@dataclass
class Heartbeat:
    """Says a line at the beginning, at once when something goes wrong, every `every` seconds, and at the end.

    Attributes:
        say: Takes a line.
        left: Tells how long it will take yet, or ""; asked only for a line that is said.
        every: Seconds.
        clock: Seconds that never go back.

    Example:
        >>> from types import SimpleNamespace
        >>> state = SimpleNamespace(counts={"finished": 3, "failed": 0, "running": 2, "pending": 7}, lost=0, note="")
        >>> Heartbeat(lambda text: print(text[9:]), lambda: "about 5 min left")(state)
        3 of 12 runs done, 2 running, 7 waiting, about 5 min left
    """

    say: Callable[[str], None]
    left: Callable[[], str] = lambda: ""
    every: float = EVERY
    clock: Callable[[], float] = time.monotonic
    _said: float | None = field(default=None, init=False)
    _wrong: tuple[int, int] = field(default=(0, 0), init=False)
    _ended: bool = field(default=False, init=False)

    def __call__(self, now: State) -> None:
        """Looks whether there is something to say."""
        counts = now.counts
        end = not counts["pending"] and not counts["running"]
        wrong = (counts["failed"], now.lost)
        due = self._said is None or self.clock() - self._said >= self.every
        if not (due or wrong != self._wrong or (end and not self._ended)):
            return
        self._said, self._wrong, self._ended = self.clock(), wrong, end
        self.say(f"{datetime.now():%H:%M:%S} {self._line(now, end)}")

    def _line(self, now: State, end: bool) -> str:
        counts = now.counts
        ahead = counts["running"] + counts["pending"]
        total = sum(counts.values())
        parts = [f"{total - ahead} of {total} runs done"]
        parts += [f"{counts[name]} {name}" for name in ("failed", "diverged") if counts.get(name)]
        if not end:
            parts += [f"{counts['running']} running", f"{counts['pending']} waiting"]
            parts += [left] if (left := self.left()) else []
        line = ", ".join(parts)
        if now.lost:
            line += f"; {now.lost} attempts lost and done again"
        return line + (f"; {now.note}" if now.note else "")
