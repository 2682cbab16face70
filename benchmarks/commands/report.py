"""The command ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from rich.console import Console

from benchmarks.reports import overview as side_by_side
from benchmarks.reports.page import Report
from benchmarks.reports.request import Request
from benchmarks.reports.text import count
from benchmarks.reports.watch import follow
from benchmarks.runs import plugins
from benchmarks.runs.protocol import TRAINING_DOMAIN
from benchmarks.sweeps.store import StoreError

__all__ = ["report"]

TOLD = 12
"""Comparisons in words; all are on the page."""

_Words = Parameter(consume_multiple=True, negative="")
_Seconds = Parameter(validator=cyclopts.validators.Number(gte=1))


def report(
    runs: Annotated[tuple[str, ...], Parameter(negative="")],
    /,
    *,
    output: Path | None = None,
    selection: str = TRAINING_DOMAIN,
    baseline: Annotated[tuple[str, ...], _Words] = (),
    compare: Annotated[tuple[str, ...], _Words] = (),
    held_out: Annotated[tuple[str, ...], _Words] = (),
    overview: Annotated[bool, Parameter(negative="")] = False,
    watch: Annotated[int | None, _Seconds] = None,
    plugin: Annotated[tuple[str, ...], _Words] = (),
    seed: int = 0,
) -> int:
    """Make one page, and its tables, from the records of runs.

    Parameters
    ----------
    runs:
        Folders of sweeps, files of records (.jsonl, .jsonl.xz), or stores; all of them go into one report.
    output:
        Folder for report.html, report.md, the tables as CSV and LaTeX, and the pictures; by default the folder
        "report" in the first of RUNS.
    selection:
        Method: training-domain, last, leave-one-domain-out or oracle.
    baseline:
        Algorithms that the others are compared with; by default erm and reptile, where they have runs.
    compare:
        The algorithms that the report is about; by default all. Few comparisons need fewer seeds for a verdict.
    held_out:
        The held-out sets that the report is about, domains joined by +; by default those that the sweep was asked for.
    overview:
        Set RUNS side by side on one page, overview.html, instead: they may have other settings and data sets.
    watch:
        Make the page anew every so many seconds while runs end, until all have.
    plugin:
        Modules or files of your own that register data sets and algorithms.
    seed:
        Of the bootstrap.
    """
    errors, console = Console(stderr=True), Console()
    try:
        if not runs:
            raise ValueError("RUNS must name a folder of a sweep, a file of records or a store")
        folder = output or _beside(runs[0])
        plugins.load(plugin)
        request = Request(runs, selection, baseline, compare, held_out, seed)
        if overview:
            page = side_by_side.write(request, folder)
            console.print(f"Page: {page}", markup=False, soft_wrap=True)
        elif watch is not None:
            console.print(f"Page: {folder / 'report.html'}", markup=False, soft_wrap=True)
            follow(runs, watch, lambda refresh, progress: request.report(folder, refresh, progress))
        else:
            made, number = request.report(folder)
            _tell(console, made)
            console.print(f"{count(number, 'run')}. Page: {folder / 'report.html'}", markup=False, soft_wrap=True)
    except (ValueError, ImportError, OSError, StoreError) as error:
        errors.print(str(error), markup=False, soft_wrap=True, style="red")
        return 2
    return 0


def _tell(console: Console, made: Report) -> None:
    for text in made.warnings:
        console.print(text, markup=False, highlight=False, soft_wrap=True, style="bold red")
    lines = [made.answer[0].line, *made.answer[0].notes] if made.answer else []
    lines += [f"To add seeds: {made.more_seeds}"] * bool(made.more_seeds)
    lines += [one.sentence for one in made.verdicts[:TOLD]]
    if len(made.verdicts) > TOLD:
        lines.append(f"And {len(made.verdicts) - TOLD} more comparisons on the page.")
    for text in lines:
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _beside(run: str) -> Path:
    if "://" in run:
        raise ValueError("--output must say where the report goes, because the runs are in a database")
    path = Path(run)
    return (path if path.is_dir() else path.parent) / "report"
