"""Does ``quick``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import joblib

from benchmarks.algorithms import ALGORITHMS
from benchmarks.base.errors import require_known
from benchmarks.commands.say import console
from benchmarks.studies.quick import SETTINGS, compare, experiment


def quick_command(
    output: Path,
    datasets: Sequence[str],
    algorithms: Sequence[str],
    seeds: int,
    points: int,
    rollouts: int | None,
    workers: int | None,
) -> int:
    """See `benchmarks.commands.words.quick`."""
    require_known("--datasets", datasets, SETTINGS)
    require_known("--algorithms", algorithms, ALGORITHMS)
    plan = experiment(datasets, algorithms, seeds, points, rollouts)
    failed = compare(plan, output, workers or joblib.cpu_count(), console())
    return 1 if failed else 0
