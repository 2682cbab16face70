"""A training run by roll-outs, ready to be walked: what the looks at it share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

import pgrad
from benchmarks.base.losses import Loss
from benchmarks.base.seeds import seed_from
from benchmarks.datasets import DATASETS
from benchmarks.models import build
from benchmarks.runs.config import RunConfig
from benchmarks.runs.features import featured, frozen_backbone
from benchmarks.runs.prepared import prepared
from benchmarks.runs.protocol import Split, batches, fitted, leave_out

INNERS: dict[str, tuple[Callable[..., Optimizer], float]] = {
    "adam": (torch.optim.Adam, 1e-3),
    "adam-beta1-0": (partial(torch.optim.Adam, betas=(0.0, 0.999)), 1e-3),
    "sgd": (torch.optim.SGD, 5e-2),
}
"""Optimizers inside, and their learning rates."""


@dataclass(frozen=True)
class Begun:
    """A run before its first step.

    Attributes:
        model: in training mode.
        optimizer: of its roll-outs.
        trained: the parameters that it moves.
        split: the data.
        loss: of outputs and labels.
        lr: of the optimizer inside.
        length: inner steps of a roll-out.
        order: of the mini-batches.
    """

    model: nn.Module
    optimizer: pgrad.PGrad
    trained: list[nn.Parameter]
    split: Split
    loss: Loss
    lr: float
    length: int
    order: Iterator[Tensor]

    def rollouts(self, number: int) -> Iterator[int]:
        """Walks so many roll-outs; after each one its number, from 1, with the model at the anchor."""
        split = self.split
        for done in range(1, number + 1):
            for _ in range(self.length):
                index = next(self.order)
                self.optimizer.zero_grad()
                self.loss(self.model(split.inputs[index]), split.labels[index]).backward()
                self.optimizer.step(domain=int(split.domains[index[0]]))
            yield done


def begin(
    config: RunConfig,
    inner: str,
    folder: Path | None,
    lr: float | None = None,
    aggregation: pgrad.aggregation.Aggregation = pgrad.aggregation.principal,
) -> Begun:
    """Data, network and optimizer of a run; the same seed gives the same network and mini-batches.

    Args:
        config: data set, network, held-out domains and seed; its algorithm and hyper-parameters do not count.
        inner: one of `INNERS`.
        folder: with prepared data; None for none.
        lr: learning rate inside; None for that of `INNERS`.
        aggregation: of the roll-outs.

    Raises:
        ValueError: if the data and the settings do not go together.
    """
    whole = prepared(config.dataset, folder)
    backbone = frozen_backbone(config, whole.input_shape)
    data = whole if backbone is None else featured(config.dataset, backbone, folder)
    split = fitted(leave_out(data, config.held_out, config.seed), DATASETS[config.dataset].fit)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_from("initialisation", config.dataset, config.seed))
        cut = backbone.cut if backbone else None
        shape = whole.input_shape if cut else tuple(split.inputs.shape[1:])
        model = build(config, shape, data.n_outputs, cut)
    length = config.splits * len(split.validation)
    factory, rate = INNERS[inner]
    rate = rate if lr is None else lr
    trained = [p for p in model.parameters() if p.requires_grad]
    opt = pgrad.PGrad(
        trained, lr=rate, rollout_length=length, inner=factory, aggregation=aggregation, nonfinite="raise"
    )
    seed = seed_from("order", config.dataset, config.held_out[0], config.seed)
    order = batches("single-domain", split.domains, config.batch_size, config.splits, seed=seed)
    return Begun(model.train(), opt, trained, split, DATASETS[config.dataset].loss, rate, length, order)
