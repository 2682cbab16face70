"""A stored run of PGrad, done once more under a recorder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

import pgrad
from benchmarks.runs.config import RunConfig
from benchmarks.runs.outputs import Place
from benchmarks.runs.runner import prepare
from benchmarks.runs.training import train
from benchmarks.runs.view import Outcome, Score
from pgrad.analysis.measures import Row


def recorded(config: RunConfig, folder: Path) -> list[Row]:
    """Trains as the run did, and returns a row for each of its roll-outs.

    Args:
        config: Of a run whose optimizer is a `pgrad.PGrad` that keeps its points.
        folder: With prepared data.

    Raises:
        ValueError: if the algorithm makes no such roll-outs, or the data and the settings do not go together.
        DivergedError: if the loss is no longer finite.
    """
    made = prepare(config, Place(folder))
    optimizer = made.training.algorithm.optimizer
    if not isinstance(optimizer, pgrad.PGrad) or optimizer.aggregation is pgrad.aggregation.displacement:
        raise ValueError(
            f"{config.algorithm} keeps no points of roll-outs: name a run of pgrad, or of another algorithm with "
            "principal directions"
        )
    outcome: Outcome = {}
    with pgrad.analysis.Recorder(optimizer).attach() as recorder:
        train(made.training, outcome, _Unheard())
    return recorder.rows


class _Unheard:
    """Its checkpoints are in the store already."""

    def checkpoint(
        self, model: nn.Module, step: int, point: Mapping[str, Score], scores: Mapping[str, Any]
    ) -> None: ...
