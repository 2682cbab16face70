"""The table: a row for each domain, outcomes with 95 % intervals over episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import binomtest

from benchmarks.base.metrics import bounded, estimate
from benchmarks.studies.play.episodes import Played


def interval(outcomes: Sequence[float]) -> tuple[float, float, float]:
    """Mean, low and high: Wilson's interval where every outcome is 0 or 1, else Student's t, on the scale of logits
    where all outcomes are in 0..1.

    Example:
        >>> [round(number, 2) for number in interval([1.0] * 8 + [0.0] * 2)]
        [0.8, 0.49, 0.94]
    """
    values = np.asarray(outcomes, dtype=np.float64)
    if np.isin(values, (0.0, 1.0)).all():
        found = binomtest(int(values.sum()), len(values)).proportion_ci(method="wilson")
        return float(values.mean()), float(found.low), float(found.high)
    told = estimate(values)
    told = bounded(told) if values.min() >= 0.0 and values.max() <= 1.0 else told
    return told.mean, told.low, told.high


def said(played: Played) -> str:
    """``0.80 [0.49, 0.94]``."""
    mean, low, high = interval(played.outcomes)
    return f"{mean:.2f}" if np.isnan(low) else f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def rows(found: Mapping[str, Mapping[str, Played]], held_out: Sequence[str]) -> list[dict[str, str]]:
    """Domain -> who played -> what came of it, as rows; the first who played is the model."""
    table = []
    for domain, players in found.items():
        model = next(iter(players.values()))
        agreement = f"{model.agreed / model.asked:.2f}" if model.asked else "-"
        row = {"domain": domain, "in training": "no" if domain in held_out else "yes"}
        table.append({**row, **{name: said(own) for name, own in players.items()}, "model's agreement": agreement})
    return table
