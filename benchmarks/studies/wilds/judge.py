"""The official evaluation of a run's model, while it is trained and in the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from benchmarks.algorithms import Setup
from benchmarks.runs.view import Scores
from benchmarks.studies.wilds.config import TEST, Where, WildsConfig, part
from pgrad.integrations import wilds

__all__ = ["Judge"]


@dataclass(frozen=True)
class Judge:
    """Evaluates models on the splits of a data set.

    Attributes:
        config, where: Of the run.
        dataset: The whole data set.
        prepare: The transform of one input.
    """

    config: WildsConfig
    where: Where
    dataset: Any
    prepare: Callable[[Any], Any] | None

    def evaluate(self, model: nn.Module, splits: Sequence[str] | None) -> dict[str, wilds.Evaluation]:
        """`pgrad.integrations.wilds.evaluate`, as the run is configured."""
        return wilds.evaluate(
            model,
            self.dataset,
            splits,
            transform=self.prepare,
            batch_size=self.config.eval_batch_size,
            device=self.where.device,
            num_workers=self.where.workers,
        )

    def scores(self, model: nn.Module) -> Scores:
        """The metric on the splits that choose and that are held out; None where it is not defined.

        Raises:
            ValueError: if the results have no such metric.
        """
        metric, found = self.config.metric, self.evaluate(model, (wilds.SELECTION_SPLIT, TEST))
        scores: dict[str, float | None] = {}
        for split, evaluation in found.items():
            results = evaluation.results
            if metric not in results:
                known = ", ".join(key for key in results if ":" not in key)
                raise ValueError(
                    f"metric of {self.config.name} with these options must be one of {known}; got {metric!r}"
                )
            scores[part(split, self.config.fold)] = results[metric] if math.isfinite(results[metric]) else None
        return Scores(scores)

    @torch.no_grad()
    def validation_loss(self, model: nn.Module, setup: Setup) -> float:
        """The mean loss on the split that chooses; the model is in training mode before and after."""
        subset = self.dataset.get_subset(wilds.SELECTION_SPLIT, transform=self.prepare)
        loader = DataLoader(
            subset,
            batch_size=self.config.eval_batch_size,
            collate_fn=subset.collate,
            generator=torch.Generator(),
            num_workers=self.where.workers,
        )
        total = 0.0
        model.eval()
        for inputs, labels, _ in loader:
            total += float(setup.risk(model, inputs.to(self.where.device), labels)) * len(inputs)
        model.train()
        return total / len(subset)
