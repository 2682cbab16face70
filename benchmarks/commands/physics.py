"""Does ``physics``: the tables of docs/physics.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from tabulate import tabulate

from benchmarks.algorithms import ALGORITHMS
from benchmarks.base.errors import require_known
from benchmarks.datasets.bethe_heitler import ENTRIES, SETTINGS
from benchmarks.studies.physics import baselines as tables
from benchmarks.studies.physics.agreement import agreement


def _print(rows: Iterable[Mapping[str, Any]]) -> int:
    print(tabulate(list(rows), headers="keys", tablefmt="github", disable_numparse=True))
    return 0


def _length(rollouts: int) -> Any:
    torch.set_num_threads(1)  # the networks are too small for more
    every = min(tables.LENGTH.evaluate_every, rollouts)
    return tables.LENGTH.model_copy(update={"rollouts": rollouts, "evaluate_every": every})


def settings() -> int:
    """See `benchmarks.commands.words.physics`, as for the others."""
    return _print(tables.settings())


def agreement_command() -> int:
    """The cross section beside that of gepard."""
    return _print(agreement())


def baselines(datasets: tuple[str, ...], algorithms: tuple[str, ...], seeds: int, rollouts: int) -> int:
    """RMS pulls on every setting held out in turn."""
    datasets = datasets or tuple(ENTRIES)
    require_known("--datasets", datasets, ENTRIES)
    require_known("--algorithms", algorithms, ALGORITHMS)
    return _print(tables.baselines(datasets, algorithms, seeds, _length(rollouts)))


def uncertainty(
    datasets: tuple[str, ...], algorithm: str, held_out: tuple[str, ...], replicas: int, rollouts: int
) -> int:
    """Noise of the training data, and ignorance."""
    datasets, held_out = datasets or tuple(ENTRIES), held_out or tuple(SETTINGS)
    require_known("--datasets", datasets, ENTRIES)
    require_known("--algorithm", (algorithm,), ALGORITHMS)
    require_known("--held-out", held_out, SETTINGS)
    return _print(tables.noise_and_ignorance(datasets, algorithm, held_out, replicas, _length(rollouts)))
