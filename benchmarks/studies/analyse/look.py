"""Training runs with looks at their roll-outs: overlaps with the top eigenspace, beside nulls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import pgrad
from benchmarks.base.errors import ConfigError
from benchmarks.runs.config import RunConfig
from benchmarks.runs.protocol import Split
from benchmarks.studies.analyse.begin import begin
from pgrad.analysis.measures import number as measured

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
    config: RunConfig,
    inner: str,
    looks: int,
    eigenpairs: int,
    folder: Path | None,
    lr: float | None = None,
    examples: int = EXAMPLES,
) -> Iterator[Look]:
    """Trains PGrad with this optimizer inside, and looks after every equal part of the run, the last time at its end.

    Args:
        config: data set, network, held-out domains, seed and length; its algorithm and hyper-parameters do not count.
        inner: one of `INNERS`.
        looks: how many, at most the roll-outs of the run.
        eigenpairs: dimensions of the top eigenspace.
        folder: with prepared data; None for none.
        lr: learning rate inside; None for that of `INNERS`.
        examples: of the training parts, over which curvature is taken, at most.

    Raises:
        ConfigError: if there are not so many eigenpairs.
        ValueError: if the data and the settings do not go together.
        FloatingPointError: if a roll-out diverges.
    """
    begun = begin(config, inner, folder, lr)
    model, split, loss, length = begun.model, begun.split, begun.loss, begun.length
    if eigenpairs >= (size := sum(p.numel() for p in begun.trained)):
        raise ConfigError(
            f"eigenpairs must be below the number of parameters that are trained, {size}, got {eigenpairs}"
        )
    opt = begun.optimizer
    points = pgrad.analysis.Points(opt, model.parameters(), last=LAST).attach()
    recorder = pgrad.analysis.Recorder(opt).attach()
    ends = {config.rollouts * part // looks for part in range(1, looks + 1)}
    for number in begun.rollouts(config.rollouts):
        if number in ends:
            cosines = [measured(row, "cosine") for row in recorder.rows[-LAST:]]
            found = look_at(model, loss, split, list(points.rollouts), eigenpairs, config.seed, examples)
            yield Look(
                inner=inner,
                seed=config.seed,
                inner_steps=number * length,
                bend=begun.lr * length * found["top"][0] if inner == "sgd" else None,
                cosine=sum(cosines) / len(cosines),
                **found,
            )


def look_at(
    model: nn.Module,
    loss: Any,
    split: Split,
    rollouts: list[Tensor],
    eigenpairs: int,
    seed: int,
    examples: int = EXAMPLES,
) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(split.inputs), generator=generator)[:examples]
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
