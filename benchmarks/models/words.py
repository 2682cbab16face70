"""The words that configure a model, apart from all that carries them out."""

from __future__ import annotations

import re
from typing import Literal

FULL, FROZEN = "full", "frozen"
BatchNorm = Literal["train", "frozen-statistics", "frozen"]
BATCH_NORM: tuple[BatchNorm, ...] = ("train", "frozen-statistics", "frozen")


def trained_stages(tuning: str) -> int | None:
    """K of ``last-K``; None for the other words.

    Raises:
        ValueError: If it is none of the words.

    Example:
        >>> trained_stages("last-2"), trained_stages("full")
        (2, None)
    """
    if tuning in (FULL, FROZEN):
        return None
    found = re.fullmatch(r"last-([1-9][0-9]*)", tuning)
    if found is None:
        raise ValueError(f"must be 'full', 'frozen', or 'last-K' for the last K stages (last-1, ...); found {tuning!r}")
    return int(found[1])


def known_tuning(tuning: str) -> str:
    """The same word.

    Raises:
        ValueError: If it is not known.
    """
    trained_stages(tuning)
    return tuning
