"""Does ``status``."""

from __future__ import annotations

from collections import Counter

from rich.console import Console

from benchmarks.base.called import called
from benchmarks.commands import say
from benchmarks.commands.following import follow
from benchmarks.commands.states import show_sweeps
from benchmarks.sweeps.glance import Cause, Glance

DIVERGED = "diverged"


def status_command(address: str, watch: int | None = None) -> int:
    """See `benchmarks.commands.words.status`."""
    console = say.console()
    if watch is not None:
        try:
            follow(address, console, watch)
        except KeyboardInterrupt:
            return 130
    with Glance(address) as store:
        sweeps, causes, speeds = store.sweeps(), store.causes(), store.speeds()
    if not sweeps:
        say.line(console, "The store has no sweep; it holds what was imported, if anything.")
    else:
        show_sweeps(console, sweeps, speeds)
    tell_causes(console, causes)
    return 0


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
