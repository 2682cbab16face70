"""Which transformation is fitted for a run."""

from __future__ import annotations

from benchmarks.datasets import DATASETS, Fit
from benchmarks.models.backbones import PREFIX


def fit_of(dataset: str, model: str | None) -> Fit | None:
    """That of the data set, unless it gives way to the constants that a network of timm brings for its pictures.

    Example:
        >>> fit_of("rotated-digits", "mlp") is None
        True
    """
    entry = DATASETS[dataset]
    return None if entry.fit_yields and (model or "").startswith(PREFIX) else entry.fit
