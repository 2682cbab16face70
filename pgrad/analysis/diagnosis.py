"""Whether the principal gradient of a run is anything but its displacement, in a few numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pgrad.analysis.measures import Row, number

__all__ = ["Diagnosis", "diagnose"]

_ONE = 0.99  # a cosine; its angle is 8 degrees
_OTHER = 0.9  # 26 degrees


@dataclass(frozen=True)
class Diagnosis:
    """What the roll-outs of a run look like.

    Attributes:
        verdict: "one direction" if 95 % of the roll-outs have a cosine of at least 0.99, "another direction" if half of
            them have one below 0.9, else "nearly one direction".
        quantiles: 5 %, 50 % and 95 % over the roll-outs, by the name of a number.
        rollouts: how many.
    """

    verdict: str
    quantiles: dict[str, tuple[float, float, float]]
    rollouts: int


def diagnose(rows: Sequence[Row]) -> Diagnosis:
    """Is this a run where the components differ from the displacement?

    Args:
        rows: of a `pgrad.analysis.Recorder`. Those in which nothing moved (a learning rate of zero) are left out.

    Returns:
        Quantiles of: the cosine of the outer gradient with the displacement; the angle between them, in degrees; the
        share of the first component, and what a random walk has less of it (excess); straightness; disagreement, where
        domains were named.

    Raises:
        ValueError: if no roll-out moved, or none kept its points: with ``aggregation=pgrad.aggregation.displacement``
            none does.

    Example:
        >>> points = torch.tensor([[0.0, 0.0], [1.0, 0.1], [2.0, 0.0]], dtype=torch.float64)
        >>> import pgrad
        >>> diagnose([pgrad.analysis.measures(pgrad.principal_weights(points @ points.T))]).verdict
        'one direction'
    """
    pointed = [row for row in rows if number(row, "points") > 2]
    if not pointed:
        raise ValueError(
            "rows must be of roll-outs of at least two steps whose points were all kept (aggregation=pgrad.aggregation."
            f"principal), got {len(rows)} rows without"
        )
    kept = [row for row in pointed if number(row, "path") > 0]
    if not kept:
        raise ValueError(f"rows must be of roll-outs that moved, got {len(pointed)} in which no parameter changed")
    cosine = _column(kept, "cosine")
    first = _column(kept, "explained/1")
    found = {
        "cosine with the displacement": cosine,
        "angle, in degrees": cosine.clamp(-1, 1).acos() * 180 / math.pi,
        "share of the first component": first,
        "excess over a random walk": first - _column(kept, "null/1"),
        "straightness": _column(kept, "straightness"),
        "disagreement of domains": _column(kept, "disagreement"),
    }
    verdict = "nearly one direction"
    if float(torch.quantile(cosine, 0.05)) >= _ONE:
        verdict = "one direction"
    elif float(cosine.median()) < _OTHER:
        verdict = "another direction"
    return Diagnosis(verdict, {name: _quantiles(values) for name, values in found.items() if len(values)}, len(kept))


def _column(rows: Sequence[Row], name: str) -> Tensor:
    """Its numbers; rows that have none are left out, unless the others need them."""
    if name in ("straightness", "disagreement"):
        rows = [row for row in rows if row.get(name) is not None]
    return torch.tensor([number(row, name) for row in rows], dtype=torch.float64, device="cpu")


def _quantiles(values: Tensor) -> tuple[float, float, float]:
    at = torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64, device="cpu")
    low, middle, high = torch.quantile(values, at).tolist()
    return low, middle, high
