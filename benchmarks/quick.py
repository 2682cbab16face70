"""The quick comparison: two embedded sets of real digits, about two minutes on two cores."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks import screen
from benchmarks.experiment import Experiment, Settings, perform
from benchmarks.figure import draw
from benchmarks.report import long_table, markdown, selections, summarize
from benchmarks.store import Store

SETTINGS = {
    "rotated-digits": Settings(rollouts=140, evaluate_every=20, batch_size=32, splits=3, width=64),
    "coloured-digits": Settings(rollouts=150, evaluate_every=25, batch_size=32, splits=3, width=64),
}


def experiment(
    datasets: Sequence[str], algorithms: Sequence[str], seeds: int, points: int, rollouts: int | None
) -> Experiment:
    """The quick comparison or a part of it; `rollouts` replaces the length of the runs on every data set."""
    settings = {name: SETTINGS[name] for name in datasets}
    if rollouts is not None:
        settings = {name: dataclasses.replace(old, rollouts=rollouts) for name, old in settings.items()}
    return Experiment(settings=settings, algorithms=tuple(algorithms), seeds=seeds, points=points)


def compare(experiment: Experiment, output: Path, workers: int, console: Console) -> int:
    """Does the runs, prints the tables and writes everything into `output`; returns the number of failed runs."""
    start = time.perf_counter()
    with screen.progress(console) as update:
        records = perform(experiment, Store(output / "records.jsonl"), workers, update)
    failed = [record for record in records if record["status"] == "failed"]

    datasets = list(experiment.settings)
    selected = selections(records)
    rows = summarize(selected, datasets, experiment.algorithms, experiment.seeds)
    selected.to_csv(output / "selected.csv", index=False)
    long_table(rows).to_csv(output / "table.csv", index=False, float_format="%.4f")
    (output / "table.md").write_text(markdown(rows, len(failed)), encoding="utf-8")
    draw(rows, records, output / "figure.png")

    screen.tables(console, rows)
    screen.rollouts(console, records, datasets)
    screen.failures(console, failed)
    seconds = time.perf_counter() - start
    console.print(f"{len(records)} runs, {seconds:.0f} s. Records, tables and picture: {output}", soft_wrap=True)
    return len(failed)
