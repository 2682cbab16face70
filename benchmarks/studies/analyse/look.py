"""Training runs with looks at their roll-outs: overlaps with the top eigenspace, beside nulls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

import pgrad
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

EXAMPLES = 2000  # of the training parts, over which curvature is taken
LAST = 8  # roll-outs that a look is at
COMPONENTS = 4
DRAWS = 40  # of each null


@dataclass(frozen=True)
class Look:
    """One look at the last roll-outs of a run.

    Attributes:
        inner: the optimizer inside.
        seed: of the run.
        inner_steps: done so far.
        loss: mean over the examples.
        size: number of parameters.
        top: eigenvalues of the Hessian, largest first.
        bend: lr times the number of steps times the largest eigenvalue, where lr is that of plain gradient descent;
            None for Adam.
        cosine: of the principal gradient with the displacement, mean over the roll-outs.
        shares: [roll-outs] in the top eigenspace, by what is looked at.
        nulls: mean, low and high of each null, for the first component of the last roll-out.
    """

    inner: str
    seed: int
    inner_steps: int
    loss: float
    size: int
    top: list[float]
    bend: float | None
    cosine: float
    shares: dict[str, list[float]]
    nulls: dict[str, list[float]]


def analyse(
    config: RunConfig, inner: str, looks: int, eigenpairs: int, folder: Path | None, lr: float | None = None
) -> Iterator[Look]:
    """Trains PGrad with this optimizer inside, and looks after every equal part of the run.

    Args:
        config: data set, network, held-out domains, seed and length; its algorithm and hyper-parameters do not count.
        inner: one of `INNERS`.
        looks: how many.
        eigenpairs: dimensions of the top eigenspace.
        folder: with prepared data; None for none.
        lr: learning rate inside; None for that of `INNERS`.
    """
    data = prepared(config.dataset, folder)
    backbone = frozen_backbone(config, data.input_shape)
    data = data if backbone is None else featured(config.dataset, backbone, folder)
    split = fitted(leave_out(data, config.held_out, config.seed), DATASETS[config.dataset].fit)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_from("initialisation", config.dataset, config.seed))
        cut = backbone.cut if backbone else None
        shape = prepared(config.dataset, folder).input_shape if cut else tuple(split.inputs.shape[1:])
        model = build(config, shape, data.n_outputs, cut)
    length = config.splits * len(split.validation)
    factory, rate = INNERS[inner]
    rate = rate if lr is None else lr
    opt = pgrad.PGrad([p for p in model.parameters() if p.requires_grad], lr=rate, rollout_length=length, inner=factory)
    seed = seed_from("order", config.dataset, config.held_out[0], config.seed)
    order = batches("single-domain", split.domains, config.batch_size, config.splits, seed=seed)
    loss = DATASETS[config.dataset].loss
    points = pgrad.analysis.Points(opt, model.parameters(), last=LAST).attach()
    cosines: list[float] = []
    model.train()
    for number in range(1, config.rollouts + 1):
        for _ in range(length):
            index = next(order)
            opt.zero_grad()
            loss(model(split.inputs[index]), split.labels[index]).backward()
            opt.step(domain=int(split.domains[index[0]]))
        cosines.append(opt.last_update.cosine if opt.last_update is not None else 0.0)
        if number % max(config.rollouts // looks, 1) == 0:
            bend = rate * length if inner == "sgd" else None
            found = _look(model, loss, split, list(points.rollouts), eigenpairs, config.seed)
            yield Look(
                inner=inner,
                seed=config.seed,
                inner_steps=number * length,
                bend=None if bend is None else bend * found["top"][0],
                cosine=sum(cosines[-LAST:]) / len(cosines[-LAST:]),
                **found,
            )


def _look(
    model: nn.Module, loss: Any, split: Split, rollouts: list[Tensor], eigenpairs: int, seed: int
) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(split.inputs), generator=generator)[:EXAMPLES]
    pairs = [(split.inputs[index], split.labels[index]) for index in chosen.split(500)]
    analysis = pgrad.analysis
    model.eval()
    hessian = analysis.Hessian(model, loss, pairs)
    top = hessian.top(eigenpairs, tol=1e-3)
    model.train()
    shares: dict[str, list[float]] = {}
    for points in rollouts:
        directions = analysis.principal_directions(points, COMPONENTS).directions
        own = analysis.overlap(directions, top.directions)
        displacement = analysis.overlap((points[0] - points[-1])[None], top.directions)
        for name, share in {
            "component 1": own[0],
            f"components 2 to {COMPONENTS}": own[1:].mean(),
            "displacement": displacement[0],
            "first step": analysis.overlap((points[0] - points[1])[None], top.directions)[0],
        }.items():
            shares.setdefault(name, []).append(float(share))
    settings: dict[str, Any] = {"draws": DRAWS, "generator": generator}
    nulls = {
        "random": analysis.random_null(hessian.size, eigenpairs),
        "mirrored": analysis.mirrored_null(rollouts[-1], top.directions, **settings),
        "walk": analysis.walk_null(rollouts[-1], top.directions, **settings),
    }
    return {
        "loss": hessian.objective.value,
        "size": hessian.size,
        "top": top.values.tolist(),
        "shares": shares,
        "nulls": {name: [null.mean, null.low, null.high] for name, null in nulls.items()},
    }
