"""Does ``status``."""

from __future__ import annotations

from collections import Counter

from rich.console import Console

from benchmarks.base.called import called
from benchmarks.commands import say
from benchmarks.sweeps.glance import Cause, Glance, SweepState
from benchmarks.sweeps.left import Speeds, duration, seconds_left

USUAL = ("finished", "failed", "running", "pending")
NAMES = {"pending": "waiting"}
DIVERGED = "diverged"


def status_command(address: str) -> int:
    """See `benchmarks.commands.words.status`."""
    console = say.console()
    with Glance(address) as store:
        sweeps, causes, speeds = store.sweeps(), store.causes(), store.speeds()
    if not sweeps:
        say.line(console, "The store has no sweep; it holds what was imported, if anything.")
    else:
        _show_sweeps(console, sweeps, speeds)
    tell_causes(console, causes)
    return 0


def _show_sweeps(console: Console, sweeps: list[SweepState], speeds: Speeds) -> None:
    counts = [sweep.counts() for sweep in sweeps]
    others = sorted({status for found in counts for status in found} - set(USUAL))
    shown = (*USUAL[:1], *others, *USUAL[1:])
    columns = ("sweep", *(NAMES.get(status, status) for status in shown), "time left", "data sets")
    rows = []
    for sweep, found in zip(sweeps, counts, strict=True):
        ahead = [vars(group) for group in sweep.groups if group.status in ("pending", "running")]
        left = seconds_left(ahead, speeds, 1)
        rows.append(
            (
                *(str(sweep.number), *(str(found[status]) for status in shown)),
                *("?" if left is None else duration(left), ", ".join(sweep.config["datasets"])),
            )
        )
    say.rows(console, columns, rows, text=("data sets",))
    if any(found["pending"] or found["running"] for found in counts):
        say.line(console, "Time left is that of one worker, by the runs that are done.")


def tell_causes(console: Console, causes: list[Cause]) -> None:
    """A line for each cause of failures, and what can be done; runs that diverged are counted."""
    _tell_diverged(console, [cause for cause in causes if cause.failure == DIVERGED])
    causes = [cause for cause in causes if cause.failure != DIVERGED]
    if not causes:
        return
    number = sum(len(cause.keys) for cause in causes)
    say.line(console, f"{_runs(number)} failed, by cause:", style="bold red")
    for cause in causes:
        where = f"{_most(cause.algorithms)} on {_most(cause.datasets)}"
        say.line(console, f"  {len(cause.keys)} x {cause.error} [{cause.failure}; {where}; first: {cause.keys[0]}]")
    say.line(console, f"All about one: {called('show', 'KEY')}. Some once more: {called('again', 'KEY')}.")
    say.line(console, "All of them once more: the sweep's own command with --retry-failed.")


def _tell_diverged(console: Console, causes: list[Cause]) -> None:
    if causes:
        number = sum(len(cause.keys) for cause in causes)
        algorithms = sum((cause.algorithms for cause in causes), Counter[str]())
        say.line(console, f"{_runs(number)} diverged, which is a result: {_most(algorithms, 5)}.")


def _runs(number: int) -> str:
    return f"{number} run" if number == 1 else f"{number} runs"


def _most(names: Counter[str], limit: int = 2) -> str:
    some = [name for name, _ in names.most_common(limit)]
    return ", ".join(some) + (f" and {len(names) - limit} more" if len(names) > limit else "")
