"""From the options of the command to its files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.reports.constant import warnings_of
from benchmarks.reports.load import completed
from benchmarks.reports.selection import Selection
from benchmarks.runs.config import Settings
from benchmarks.studies.quick import screen
from benchmarks.studies.quick.figure import draw
from benchmarks.studies.quick.tables import long_table, markdown, summarize
from benchmarks.sweeps.config import Overrides, SweepConfig
from benchmarks.sweeps.coordinator import perform
from benchmarks.sweeps.launcher_config import InProcess, Local
from benchmarks.sweeps.store import Store

SETTINGS = {
    "rotated-digits": Settings(rollouts=100, evaluate_every=20, batch_size=32, splits=3, width=64),
    "coloured-digits": Settings(rollouts=100, evaluate_every=20, batch_size=32, splits=3, width=64),
}


def experiment(
    datasets: Sequence[str], algorithms: Sequence[str], seeds: int, points: int, rollouts: int | None
) -> SweepConfig:
    """The quick comparison or a part of it; `rollouts` replaces the length of the runs on every data set."""
    length = {} if rollouts is None else {"rollouts": rollouts}
    return SweepConfig(
        datasets={name: Overrides(**{**SETTINGS[name].model_dump(), **length}) for name in datasets},
        algorithms=tuple(algorithms),
        seeds=tuple(range(seeds)),
        points=points,
    )


def compare(sweep: SweepConfig, output: Path, workers: int, console: Console) -> int:
    """Does the runs, prints the tables and writes everything into `output`; returns the number of failed runs."""
    start = time.perf_counter()
    # The networks are too small for a GPU.
    engine = InProcess() if workers == 1 else Local(workers=workers, gpus=0)
    sweep = sweep.model_copy(update={"launcher": engine})
    with Store(output / "store.sqlite") as store, screen.progress(console) as watch:
        records = perform(sweep, store, output, watch=watch, retry_failed=True)
    failed = [record for record in records if record["status"] == "failed"]

    datasets = list(sweep.datasets)
    selection = Selection.of([completed(dict(record)) for record in records])
    rows = summarize(selection, datasets, sweep.algorithms)
    selection.selected.to_csv(output / "selected.csv", index=False)
    long_table(rows).to_csv(output / "table.csv", index=False, float_format="%.4f")
    warnings = warnings_of(selection)
    (output / "table.md").write_text(markdown(rows, len(failed), warnings), encoding="utf-8")
    draw(rows, records, output / "figure.png")

    screen.warnings(console, warnings)
    screen.tables(console, rows)
    screen.rollouts(console, records, datasets)
    screen.failures(console, failed)
    seconds = time.perf_counter() - start
    console.print(f"{len(records)} runs, {seconds:.0f} s. Records, tables and picture: {output}", soft_wrap=True)
    return len(failed)
