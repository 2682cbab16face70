"""The command ``report``."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from benchmarks.reports.load import load
from benchmarks.reports.page import Report, build
from benchmarks.reports.selection import Selection
from benchmarks.runs import plugins
from benchmarks.runs.rules import VALIDATION
from benchmarks.sweeps.edges import edges
from benchmarks.sweeps.store import StoreError

__all__ = ["report"]

_Words = Parameter(consume_multiple=True, negative="")


def report(
    runs: Annotated[tuple[str, ...], Parameter(negative="")],
    /,
    *,
    output: Path | None = None,
    selection: str = VALIDATION,
    baseline: Annotated[tuple[str, ...], _Words] = (),
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
        Rule: validation, validation-loss, leave-one-domain-out, both, last or oracle; with -shared behind its name one
        choice for all seeds.
    baseline:
        Algorithms that the others are compared with; by default erm and reptile, where they have runs.
    plugin:
        Modules or files of your own that register data sets and algorithms.
    seed:
        Of the bootstrap.
    """
    errors = Console(stderr=True)
    try:
        if not runs:
            raise ValueError("RUNS must name a folder of a sweep, a file of records or a store")
        folder = output or _beside(runs[0])
        plugins.load(plugin)
        loaded = load(runs)
        made = build(loaded, Selection.of(loaded.records, selection, baseline), seed)
        write(made, folder)
    except (ValueError, ImportError, OSError, StoreError) as error:
        errors.print(str(error), markup=False, soft_wrap=True, style="red")
        return 2
    console = Console()
    for text in made.warnings:
        console.print(text, markup=False, highlight=False, soft_wrap=True, style="bold red")
    for edge in edges(loaded.records, selection):
        console.print(f"AT THE EDGE: {edge.sentence}", markup=False, highlight=False, soft_wrap=True)
    for one in made.verdicts:
        console.print(one.sentence, markup=False, highlight=False, soft_wrap=True)
    console.print(f"{len(loaded.records)} runs. Page: {folder / 'report.html'}", markup=False, soft_wrap=True)
    return 0


def _beside(run: str) -> Path:
    if "://" in run:
        raise ValueError("--output must say where the report goes, because the runs are in a database")
    path = Path(run)
    return (path if path.is_dir() else path.parent) / "report"


def write(report: Report, folder: Path) -> None:
    """Writes every file whole; the page is the last."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    (folder / "tables").mkdir(exist_ok=True)
    for section in report.sections:
        for picture in section.pictures:
            _write(folder / "pictures" / f"{_file_name(picture.name)}.svg", picture.svg)
    for table in report.tables():
        name = _file_name(table.name)
        _write(folder / "tables" / f"{name}.csv", table.numbers.to_csv(index=False).encode())
        _write(folder / "tables" / f"{name}.tex", table.latex().encode())
    warnings = "".join(f"**{text}**\n\n" for text in report.warnings)
    facts = "\n".join(f"- {fact}" for fact in report.facts)
    verdicts = "\n".join(f"- {one.sentence}" for one in report.verdicts) or "None."
    tables = "\n".join(table.markdown() for table in report.tables())
    text = f"# Comparison on {report.title}\n\n{warnings}{facts}\n\n## Verdicts\n\n{verdicts}\n\n{tables}"
    _write(folder / "report.md", text.encode())
    _write(folder / "report.html", report.html().encode())


def _file_name(name: str) -> str:
    """The names of data sets may be paths; two names never give the same file."""
    plain = re.sub(r"[^\w .,%°=+-]+", "_", name)
    return name if plain == name else f"{plain[:80]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)
