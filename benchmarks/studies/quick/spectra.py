"""What the roll-outs looked like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

import pgrad
from benchmarks.base.metrics import Matrix


def mean_spectra(records: Iterable[Mapping[str, Any]], dataset: str) -> dict[str, Matrix]:
    """Explained-variance ratios ``[T]`` by algorithm: the mean over all roll-outs of its runs with default settings."""
    found = _diagnostics(records, dataset, "explained_variance_ratio")
    return {name: np.mean(np.array(values), axis=0) for name, values in found.items()}


def rollout_summary(records: Iterable[Mapping[str, Any]], dataset: str) -> str:
    """The first component against the random walk, and the cosine of g with theta_0 - theta_T; empty without any."""
    records = list(records)
    cosines = _diagnostics(records, dataset, "cosine")
    lines = []
    for name, spectrum in mean_spectra(records, dataset).items():
        null = float(pgrad.random_walk_spectrum(len(spectrum))[0])
        lines.append(
            f"{dataset}, {name}, roll-outs of {len(spectrum)} steps: first component {spectrum[0]:.1%} of the variance "
            f"(random walk {null:.1%}), cosine of g with theta_0 - theta_T {np.mean(cosines[name]):.3f}"
        )
    return "\n".join(lines)


def _diagnostics(records: Iterable[Mapping[str, Any]], dataset: str, key: str) -> dict[str, list[list[float]]]:
    found: dict[str, list[list[float]]] = {}
    for record in records:
        config = record["config"]
        value = record.get("diagnostics", {}).get(key)
        if value is not None and config["dataset"] == dataset and config["point"] == 0:
            found.setdefault(config["algorithm"], []).append(value)
    return found
