"""Does ``report``."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from benchmarks.base.wording import count
from benchmarks.commands import say
from benchmarks.reports import overview as side_by_side
from benchmarks.reports.page import Report
from benchmarks.reports.request import Request
from benchmarks.reports.rungs import sources as rungs_of
from benchmarks.reports.watch import follow
from benchmarks.runs import plugins
from benchmarks.sweeps.store import StoreError

__all__ = ["report"]

TOLD = 12
"""Comparisons in words; all are on the page."""


def report(
    runs: tuple[str, ...],
    *,
    output: Path | None,
    selection: str,
    baseline: tuple[str, ...],
    compare: tuple[str, ...],
    held_out: tuple[str, ...],
    overview: bool,
    watch: int | None,
    plugin: tuple[str, ...],
    seed: int,
    refit: bool = False,
) -> int:
    """See `benchmarks.commands.words.report`."""
    console = say.console()
    try:
        folder = output or _beside(runs[0])
        runs, rungs = rungs_of(runs)
        overview = overview or rungs
        plugins.load(plugin)
        request = Request(runs, selection, baseline, compare, held_out, seed, refit)
        if overview:
            say.line(console, f"Page: {side_by_side.write(request, folder)}")
        elif watch is not None:
            say.line(console, f"Page: {folder / 'report.html'}")
            follow(runs, watch, lambda refresh, progress: request.report(folder, refresh, progress))
        else:
            made, number = request.report(folder)
            _tell(console, made)
            say.line(console, f"{count(number, 'run')}. Page: {folder / 'report.html'}")
    except (ValueError, ImportError, OSError, StoreError) as error:
        return say.refuse(str(error))
    return 0


def _tell(console: Console, made: Report) -> None:
    for text in (*made.warnings, *made.cautions):
        say.line(console, text, style="bold red")
    for text in (sentence for one in made.confirmed for sentence in one.sentences):
        say.line(console, text)
    for edge in made.edges:
        say.line(console, f"AT THE EDGE: {edge.sentence}")
    lines = [made.answer[0].line, *made.answer[0].notes] if made.answer else []
    lines += [f"To add seeds: {made.more_seeds}"] * bool(made.more_seeds)
    lines += [one.sentence for one in made.verdicts[:TOLD]]
    if len(made.verdicts) > TOLD:
        lines.append(f"And {len(made.verdicts) - TOLD} more comparisons on the page.")
    for text in lines:
        say.line(console, text)


def _beside(run: str) -> Path:
    if "://" in run:
        raise ValueError("--output must say where the report goes, because the runs are in a database")
    path = Path(run)
    return (path if path.is_dir() else path.parent) / "report"
