"""How long a sweep will take yet, by what its runs took so far; and seconds to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Speeds = Mapping[tuple[str, str], float]
"""(data set, algorithm) -> seconds of a gradient evaluation."""


def seconds_left(ahead: Iterable[Mapping[str, Any]], speeds: Speeds, workers: int) -> float | None:
    """Seconds until the sweep is done, if every run takes as long as those before; None if there were none.

    Args:
        ahead: Rows with ``dataset``, ``algorithm``, ``status`` and ``evaluations``; running ones count half.
        speeds: Of earlier runs.
        workers: At work.
    """
    total = 0.0
    for row in ahead:
        speed = speed_of(speeds, row["dataset"], row["algorithm"])
        if speed is None:
            return None
        total += speed * (row["evaluations"] or 0) * (0.5 if row["status"] == "running" else 1.0)
    return total / workers


def speed_of(speeds: Speeds, dataset: str, algorithm: str) -> float | None:
    """Of this algorithm on this data set; if it is new there, the mean of the others."""
    if (dataset, algorithm) in speeds:
        return speeds[dataset, algorithm]
    others = [speed for (where, _), speed in speeds.items() if where == dataset]
    return sum(others) / len(others) if others else None


def duration(seconds: float) -> str:
    """Seconds to read.

    Example:
        >>> duration(42.4), duration(330), duration(9000)
        ('42 s', '6 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
