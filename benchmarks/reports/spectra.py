"""What the roll-outs of the runs looked like, and what a random walk of as many steps would look like."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch

import pgrad
from benchmarks.base.metrics import Matrix
from benchmarks.reports.selection import Selection


@dataclass(frozen=True)
class Agreement:
    """Means over the runs of one algorithm on one data set whose roll-outs are equally long.

    Attributes:
        spectrum: ``[T]``, explained-variance ratios.
        cosines: One of each run: of the principal gradient with theta_0 - theta_T.
        null_cosine: The same of a random walk, with as many directions as the runs used.
    """

    dataset: str
    algorithm: str
    spectrum: Matrix
    cosines: tuple[float, ...]
    null_cosine: float
    runs: int

    @property
    def steps(self) -> int:
        """T."""
        return len(self.spectrum)

    @property
    def cosine(self) -> float:
        """The mean over the runs."""
        return float(np.mean(self.cosines)) if self.cosines else float("nan")


def agreements(selection: Selection) -> list[Agreement]:
    """Of all runs that the selection method chose and that recorded spectra."""
    found: list[Agreement] = []
    for dataset in selection.datasets:
        for algorithm in selection.algorithms_on(dataset):
            lengths: dict[int, list[tuple[list[float], list[float], float]]] = {}
            for _, record in selection.chosen_runs(dataset, algorithm):
                diagnostics = record.get("diagnostics") or {}
                spectrum = diagnostics.get("explained_variance_ratio")
                if spectrum:
                    used = record["config"]["hparams"].get("n_components")
                    null = random_walk_cosine(len(spectrum), None if used is None else int(used))
                    lengths.setdefault(len(spectrum), []).append((spectrum, diagnostics.get("cosine", []), null))
            found.extend(_mean(dataset, algorithm, members) for members in lengths.values())
    return found


def _mean(dataset: str, algorithm: str, members: list[tuple[list[float], list[float], float]]) -> Agreement:
    return Agreement(
        dataset=dataset,
        algorithm=algorithm,
        spectrum=np.mean([spectrum for spectrum, _, _ in members], axis=0),
        cosines=tuple(float(np.mean(cosines)) for _, cosines, _ in members if cosines),
        null_cosine=float(np.mean([null for _, _, null in members])),
        runs=len(members),
    )


@functools.cache
def random_walk_cosine(steps: int, n_components: int | None) -> float:
    """The cosine of the principal gradient with theta_0 - theta_T for a random walk in high dimension.

    There, independent isotropic increments are orthonormal, so that <x_i, x_j> = min(i, j).

    Example:
        >>> round(random_walk_cosine(9, 4), 3)
        0.937
    """
    numbers = torch.arange(steps + 1, dtype=torch.float64)
    return pgrad.principal_weights(torch.minimum(numbers[:, None], numbers[None, :]), n_components).cosine
