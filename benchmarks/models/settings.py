"""What configures a model, apart from all that carries it out."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from benchmarks.base.config import Count, Frozen

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
        raise ValueError(f"must be 'full', 'frozen', or 'last-K' for the last K stages (last-1, ...); got {tuning!r}")
    return int(found[1])


def known_tuning(tuning: str) -> str:
    """The same word.

    Raises:
        ValueError: If it is not known.
    """
    trained_stages(tuning)
    return tuning


Depth = Annotated[int, Field(ge=0)]
Tuning = Annotated[str, AfterValidator(known_tuning)]


class ModelSettings(Frozen):
    """What decides the network of a run.

    Attributes:
        model: Name in the registry of models, or ``timm:NAME``; None in a sweep is the data set's own.
        width: Hidden units of the network.
        depth: Hidden layers of the MLP, or of the head on a network of timm; None for 1 and 0.
        weights: Of a network of timm: see `benchmarks.models.weights`.
        tuning: Which part of it is trained: see `benchmarks.models.tuning`.
        batch_norm: What its BatchNorm layers do meanwhile: see there.
        image_size: Pixels that its pictures are enlarged or reduced to; None for what the network needs.
    """

    model: str | None = None
    width: Count = 64
    depth: Depth | None = None
    weights: str = "none"
    tuning: Tuning = "full"
    batch_norm: BatchNorm | None = None
    image_size: Count | None = None
