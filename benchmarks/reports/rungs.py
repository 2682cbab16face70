"""The folder of a choice as a source of a report: its rungs have runs of different lengths, and stand side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

RUNGS = "rungs"
"""In the output of ``choose``, the folder with a file of records for each rung."""


def sources(runs: Sequence[str]) -> tuple[tuple[str, ...], bool]:
    """The runs, with the files of its rungs in the place of the folder of a choice; and whether there are several.

    Example:
        >>> sources(["runs/sweep"])
        (('runs/sweep',), False)
    """
    found: list[str] = []
    several = False
    for run in runs:
        files = sorted((Path(run) / RUNGS).glob("*.jsonl")) if "://" not in run else []
        found += map(str, files) if files else [run]
        several = several or len(files) > 1
    return tuple(found), several
