"""``report`` and ``results``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from benchmarks.base.errors import ConfigError
from benchmarks.commands.kinds import Natural, Positive, Words
from benchmarks.commands.places import output_folder, require_records
from benchmarks.commands.say import refusing


@refusing
def report_command(
    runs: Annotated[tuple[str, ...], Parameter(negative="")],
    /,
    *,
    output: Path | None = None,
    selection: str = "validation",
    baseline: Words = (),
    compare: Words = (),
    held_out: Words = (),
    overview: Annotated[bool, Parameter(negative="")] = False,
    watch: Positive | None = None,
    plugin: Words = (),
    seed: Natural = 0,
    refit: Annotated[bool, Parameter(negative="")] = False,
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
    refit:
        Report on the choices that were trained again on training and validation parts, instead of what was chosen.
    """
    if not runs:
        raise ConfigError("RUNS must name a folder of a sweep, a file of records or a store")
    for source in runs:
        require_records(source)
    if output is not None:
        output_folder(output)
    from benchmarks.commands import report

    return report.report(
        runs,
        output=output,
        selection=selection,
        baseline=baseline,
        compare=compare,
        held_out=held_out,
        overview=overview,
        watch=watch,
        plugin=plugin,
        seed=seed,
        refit=refit,
    )


@refusing
def results_command() -> int:
    """Write the tables of docs/results, and the picture of docs/results.md, anew from the committed records."""
    from benchmarks.commands import results

    return results.results_command()
