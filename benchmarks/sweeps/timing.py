"""How long a sweep will take on this machine: a few steps of each kind, timed before the first run.

A kind is an algorithm on a data set. One roll-out is made first and not counted; then as many updates as fill
`SECONDS`, one roll-out at least; then one evaluation, as a checkpoint has it. Reading the data is not counted: workers
do it once.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks.datasets import DATASETS, MultiDomainData
from benchmarks.datasets.cache import Recipe
from benchmarks.datasets.lookup import SCHEMES
from benchmarks.runs.config import RunConfig
from benchmarks.runs.foresight import Foreseen, foresee
from benchmarks.runs.outputs import Place
from benchmarks.runs.runner import prepare
from benchmarks.runs.view import Training
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.launcher_config import InProcess

SECONDS = 0.5
"""Of timed updates for each kind."""


@dataclass(frozen=True)
class Timed:
    """What was found.

    Attributes:
        speeds: (data set, algorithm) -> seconds of a gradient evaluation, its share of the evaluations among it.
        failed: (data set, algorithm) -> why a run of it cannot begin.
    """

    speeds: dict[tuple[str, str], float] = field(default_factory=dict)
    failed: dict[tuple[str, str], str] = field(default_factory=dict)


def is_at_hand(name: str) -> bool:
    """Whether a data set needs no preparation, is prepared already, or is the user's own: nothing is fetched then."""
    factory = DATASETS[name].factory
    return not isinstance(factory, Recipe) or name.partition(":")[0] in SCHEMES or factory.path.exists()


def at_hand(name: str) -> MultiDomainData | None:
    """The data set if it is at hand, else None; it is not kept in memory.

    Raises:
        ValueError, RuntimeError, OSError, ImportError: if it cannot be used, with the reason.
    """
    return DATASETS[name].factory() if is_at_hand(name) else None


def foreseen(sweep: SweepConfig, dataset: str, data: MultiDomainData) -> list[Foreseen]:
    """What can be told of the runs of a sweep on a data set."""
    settings = sweep.datasets[dataset].settings(sweep.settings)
    return foresee(dataset, DATASETS[dataset], data, settings, sweep.training_sets(dataset), sweep.seeds)


def time_steps(
    sweep: SweepConfig,
    known: Iterable[tuple[str, str]] = (),
    seconds: float = SECONDS,
    folder: Path | None = None,
    budget: float = math.inf,
) -> Timed:
    """Times each kind of a sweep that is at hand and not `known`, with as many threads as a worker has.

    Args:
        sweep: Whose kinds are timed.
        known: Kinds that are not.
        seconds: Of timed updates for each.
        folder: Where data and features are prepared, for workers to find them; None keeps nothing.
        budget: Seconds of timing, without preparation, after which the kinds that are left stay unknown.
    """
    kinds = {(run.dataset, run.algorithm): run for run in sweep.first_runs()}
    found, skipped, spent = Timed(), set(known), 0.0
    with _threads(sweep):
        for kind, run in kinds.items():
            if kind in skipped or not is_at_hand(run.dataset):
                continue
            if spent >= budget:
                break
            try:
                training = prepare(run, Place(folder, device=_device(sweep))).training
                start = _now()
                found.speeds[kind] = _seconds_of_an_evaluation(training, run, seconds)
                spent += _now() - start
            except Exception as error:  # noqa: BLE001  whatever goes wrong is what a run would say
                found.failed[kind] = f"{type(error).__name__}: {error}"
    return found


class _threads:
    """Torch's threads are those of a worker inside."""

    def __init__(self, sweep: SweepConfig) -> None:
        self.number = 0 if isinstance(sweep.launcher, InProcess) else sweep.launcher.threads

    def __enter__(self) -> None:
        self.before = torch.get_num_threads()
        if self.number:
            torch.set_num_threads(self.number)

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self.before)


def _device(sweep: SweepConfig) -> str:
    launcher = sweep.launcher
    gpus = 0 if isinstance(launcher, InProcess) else launcher.gpus
    wanted = torch.cuda.device_count() if gpus is None else gpus
    return "cuda" if wanted and torch.cuda.is_available() else "cpu"


def _seconds_of_an_evaluation(training: Training, run: RunConfig, seconds: float) -> float:
    stream = iter(training.source)
    algorithm = training.algorithm
    rollout = run.splits * len(training.validation)
    least = -(-rollout // training.cost)

    def update() -> None:
        inputs, labels, domain = next(stream)
        if domain is not None:
            algorithm.begin(domain)
        algorithm.update(inputs, labels)

    for _ in range(least):
        update()
    start = _now()
    for made in itertools.count(1):
        update()
        spent = _now() - start
        if made % least == 0 and spent >= seconds:
            break
    start = _now()
    algorithm.validate(training.validation_loss)
    with algorithm.evaluated() as model:
        training.evaluate(model)
    evaluation = _now() - start
    paid = training.checkpoints[-1][0]
    return spent / (made * training.cost) + evaluation * len(training.checkpoints) / paid


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
