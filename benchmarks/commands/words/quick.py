"""``quick``: the comparison that takes two minutes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.base.errors import require_known
from benchmarks.commands.early import known
from benchmarks.commands.kinds import Positive, Words
from benchmarks.commands.places import output_folder
from benchmarks.commands.say import refusing

DATASETS = ("rotated-digits", "coloured-digits")


@refusing
def quick_command(
    *,
    output: Path = Path("runs/quick"),
    datasets: Words = DATASETS,
    algorithms: Words = ("erm", "pgrad", "reptile"),
    seeds: Positive = 4,
    points: Positive = 2,
    rollouts: Positive | None = None,
    workers: Positive | None = None,
) -> int:
    """Compare algorithms on held-out domains of rotated and coloured handwritten digits, in about two minutes.

    Runs that the output folder holds already are not done again, if the code is the same.

    Parameters
    ----------
    output:
        Folder for records, tables and picture.
    datasets:
        Names of data sets.
    algorithms:
        Names of algorithms.
    seeds:
        Number of seeds: data split, initialisation and order of the batches.
    points:
        Points of random search for each algorithm, seed and held-out domain; the first one is the defaults.
    rollouts:
        Length of every run in roll-outs, instead of the data set's own.
    workers:
        Processes; by default one for each core.
    """
    output_folder(output)
    require_known("--datasets", datasets, DATASETS)
    require_known("--algorithms", algorithms, known("algorithms"))
    from benchmarks.commands import quick

    return quick.quick_command(output, datasets, algorithms, seeds, points, rollouts, workers)
