"""A comparison: which runs it consists of, and doing those that are not done yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.algorithms import ALGORITHMS
from benchmarks.datasets import DATASETS
from benchmarks.environment import environment
from benchmarks.launch import launch
from benchmarks.runner import Record, run
from benchmarks.search import draw
from benchmarks.seeds import seed_from
from benchmarks.spec import RunSpec
from benchmarks.store import Store


@dataclass(frozen=True)
class Settings:
    """How the runs on one data set are made; the fields are those of :class:`benchmarks.spec.RunSpec`."""

    rollouts: int
    evaluate_every: int
    batch_size: int
    splits: int
    width: int


@dataclass(frozen=True)
class Experiment:
    """Data sets x held-out domains x seeds x points of random search x algorithms."""

    settings: Mapping[str, Settings]
    algorithms: tuple[str, ...]
    seeds: int
    points: int

    def specs(self) -> list[RunSpec]:
        """All runs.  Algorithms alternate, so that an unfinished comparison is unfinished for all of them alike."""
        return [
            RunSpec(
                dataset=dataset,
                algorithm=algorithm,
                held_out=held_out,
                seed=seed,
                point=point,
                hparams=draw(ALGORITHMS[algorithm].space, point, seed_from(dataset, held_out, seed)),
                **vars(settings),
            )
            for dataset, settings in self.settings.items()
            for seed in range(self.seeds)
            for held_out in DATASETS[dataset].domains
            for point in range(self.points)
            for algorithm in self.algorithms
        ]


def finished(store: Store, code: str) -> dict[str, Record]:
    """The finished runs that the present code made, by key.

    A failed run is not finished: it is tried again, and its record stays.  A key that comes twice counts once.
    """
    return {
        record["key"]: record
        for record in store.read()
        if record["status"] == "finished" and record["environment"]["code"] == code
    }


def perform(experiment: Experiment, store: Store, workers: int, progress: Callable[[int, int], None]) -> list[Record]:
    """Does the runs that the store does not hold, stores each as it ends, and returns the records of all of them.

    `progress(done, total)` is called at the start and after each run.
    """
    specs = experiment.specs()
    made_with: dict[str, Any] = environment()
    records = finished(store, made_with["code"])
    records = {spec.key(): records[spec.key()] for spec in specs if spec.key() in records}
    progress(len(records), len(specs))
    missing = [spec for spec in specs if spec.key() not in records]
    for record in launch(run, missing, workers):
        record["environment"] = made_with
        store.append(record)
        records[record["key"]] = record
        progress(len(records), len(specs))
    return [records[spec.key()] for spec in specs]
