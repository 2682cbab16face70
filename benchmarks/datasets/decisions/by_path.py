"""What ``decisions:PATH`` leads to: logged decisions, jobs of a cluster, Minari's data sets, or battles."""

from __future__ import annotations

from benchmarks.datasets.base import DatasetEntry
from benchmarks.datasets.decisions import job_own, minari_logs, own_logs, pokemon_folder
from benchmarks.datasets.decisions.job_logs import ENDINGS
from benchmarks.datasets.decisions.sets import DecisionSet
from benchmarks.datasets.named import taken_apart


def entry(rest: str) -> DatasetEntry:
    """The data set that stands after ``decisions:``.

    Raises:
        ValueError: If it cannot be used, and why.
    """
    path, _ = taken_apart("decisions", rest)
    if job_own.of_jobs(path):
        return job_own.entry(rest)
    if minari_logs.of_minari(path):
        return minari_logs.entry(rest)
    if pokemon_folder.of_battles(path):
        return pokemon_folder.entry(rest)
    if path.is_dir():
        raise ValueError(
            f"decisions: {path} is a folder without what is read from one: job logs ({' or '.join(ENDINGS)}), data "
            f"sets of Minari or logs of Pokémon Showdown ({', '.join(pokemon_folder.ENDINGS)}); name a Parquet file or "
            "JSON lines"
        )
    return own_logs.entry(rest)


def game_set(rest: str) -> tuple[DecisionSet | None, str]:
    """The set that can be played, and the options of its name; None where a log is all there is.

    Raises:
        ValueError: If there is one, and it cannot be used.
    """
    path, _ = taken_apart("decisions", rest)
    return job_own.decision_set(rest) if job_own.of_jobs(path) else (None, "")
