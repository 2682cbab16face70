"""How far the sweeps of a store are: a table, or a line of each."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from benchmarks.commands import say
from benchmarks.sweeps.glance import SweepState
from benchmarks.sweeps.left import Speeds, duration, seconds_left

USUAL = ("finished", "failed", "running", "pending")
OPEN = ("pending", "running")
NAMES = {"pending": "waiting"}


def show_sweeps(console: Console, sweeps: Sequence[SweepState], speeds: Speeds) -> None:
    """A row for each sweep of a store, and for each later stage of one."""
    counts = [sweep.counts() for sweep in sweeps]
    others = sorted({status for found in counts for status in found} - set(USUAL))
    shown = (*USUAL[:1], *others, *USUAL[1:])
    columns = ("sweep", *(NAMES.get(status, status) for status in shown), "time left", "data sets")
    rows = [
        (*(str(sweep.number), *(str(found[status]) for status in shown)), _left(sweep, speeds) or "?", _what(sweep))
        for sweep, found in zip(sweeps, counts, strict=True)
    ]
    say.rows(console, columns, rows, text=("data sets",))
    if any(map(is_open, sweeps)):
        say.line(console, "Time left is that of one worker, by the runs that are done.")


def line_of(sweep: SweepState, speeds: Speeds) -> str:
    """The same of one sweep, to read in a log.

    Example:
        >>> from benchmarks.sweeps.glance import Group
        >>> groups = (Group("digits", "erm", "finished", 3, 30), Group("digits", "erm", "pending", 2, 20))
        >>> line_of(SweepState(1, {"datasets": ["digits"]}, groups), {("digits", "erm"): 0.5})
        'sweep 1 (digits): 3 of 5 runs have ended, 2 waiting, about 10 s of one worker left'
    """
    counts = sweep.counts()
    ended = counts.total() - sum(counts[status] for status in OPEN)
    parts = [f"sweep {sweep.number} ({_what(sweep)}): {ended} of {counts.total()} runs have ended"]
    wrong = [status for status in sorted(counts) if status not in ("finished", *OPEN)]
    parts += [f"{counts[name]} {NAMES.get(name, name)}" for name in (*wrong, "running", "pending") if counts[name]]
    if is_open(sweep) and (left := _left(sweep, speeds)) is not None:
        parts.append(f"about {left} of one worker left")
    return ", ".join(parts)


def is_open(sweep: SweepState) -> bool:
    """Whether runs are under way, or wait."""
    counts = sweep.counts()
    return any(counts[status] for status in OPEN)


def _left(sweep: SweepState, speeds: Speeds) -> str | None:
    ahead = [vars(group) for group in sweep.groups if group.status in OPEN]
    seconds = seconds_left(ahead, speeds, 1)
    return None if seconds is None else duration(seconds)


def _what(sweep: SweepState) -> str:
    """Its data sets, and what a later stage does."""
    stage = sweep.config.get("stage")
    return ", ".join(sweep.config["datasets"]) + (f"; {stage}" if stage else "")
