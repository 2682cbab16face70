"""What principal directions change in training: how smoothly the loss falls, how they agree with every domain.

The loss is that of all training examples at the anchors, read at equal distance moved, beside the matched control's.
Agreement is the lowest cosine of an outer gradient with what any one domain moved, beside that of the displacement of
the same roll-out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils import parameters_to_vector

import pgrad
from benchmarks.base.metrics import estimate
from benchmarks.runs.config import RunConfig
from benchmarks.studies.analyse.begin import Begun, begin

AGGREGATIONS: dict[str, pgrad.aggregation.Aggregation] = {
    "principal": pgrad.aggregation.principal,
    "displacement": pgrad.aggregation.displacement,
}
"""The second is the matched control of the first."""

PART = 2000
"""Examples of a forward pass."""


@dataclass(frozen=True)
class Curve:
    """One run.

    Attributes:
        inner: the optimizer inside.
        aggregation: one of `AGGREGATIONS`.
        seed: of the run.
        losses: [roll-outs + 1], over all training examples, at the anchors.
        distances: [roll-outs + 1], that the anchors had moved, step by step.
        lowest: [roll-outs], cosine of the outer gradient with the movement of the domain that agrees least; empty where
            no points are kept.
        lowest_of_displacement: [roll-outs], the same of the plain displacement.
    """

    inner: str
    aggregation: str
    seed: int
    losses: list[float]
    distances: list[float]
    lowest: list[float] = field(default_factory=list)
    lowest_of_displacement: list[float] = field(default_factory=list)


def curve(config: RunConfig, inner: str, aggregation: str, folder: Path | None, lr: float | None = None) -> Curve:
    """Trains, and measures at every anchor; arguments and errors are those of `begin`.

    Raises:
        FloatingPointError: if a roll-out diverges.
    """
    begun = begin(config, inner, folder, lr, AGGREGATIONS[aggregation])
    anchor = parameters_to_vector(begun.trained).detach().clone()
    made = Curve(inner, aggregation, config.seed, [_loss(begun)], [0.0])
    for _ in begun.rollouts(config.rollouts):
        now = parameters_to_vector(begun.trained).detach().clone()
        made.losses.append(_loss(begun))
        made.distances.append(made.distances[-1] + float(torch.linalg.vector_norm(now - anchor)))
        anchor = now
        update = begun.optimizer.last_update
        if update is not None and update.domain_cosines:
            plain = torch.zeros_like(update.weights)
            plain[0], plain[-1] = 1.0, -1.0
            other = pgrad.Update.of(plain, update.gram, update.domains)
            made.lowest.append(min(update.domain_cosines.values()))
            made.lowest_of_displacement.append(min(other.domain_cosines.values()))
    return made


@torch.inference_mode()
def _loss(begun: Begun) -> float:
    begun.model.eval()
    split, total = begun.split, 0.0
    for part in torch.arange(len(split.labels)).split(PART):
        total += float(begun.loss(begun.model(split.inputs[part]), split.labels[part])) * len(part)
    begun.model.train()
    return total / len(split.labels)


def smooth(curves: Sequence[Curve]) -> list[dict[str, str]]:
    """A row for each optimizer inside: both aggregations, and their difference paired by seed with its 95 % interval.

    Variation is that of the loss for one of descent, 1 if it only falls; bend the root mean square of the second
    derivative along the way, for one of descent. Both curves of a seed are read up to the shorter of their distances.

    Raises:
        ValueError: if a loss did not fall.
    """
    rows = []
    for inner in dict.fromkeys(one.inner for one in curves):
        found: dict[str, dict[str, list[float]]] = {}
        for seed in dict.fromkeys(one.seed for one in curves if one.inner == inner):
            both = [one for one in curves if (one.inner, one.seed) == (inner, seed)]
            up_to = min(one.distances[-1] for one in both)
            for one in both:
                losses, distances = (torch.tensor(each, dtype=torch.float64) for each in (one.losses, one.distances))
                read = pgrad.analysis.smoothness(losses, distances, up_to=up_to, number=len(losses))
                if read.descent <= 0:
                    raise ValueError(
                        f"the loss of {one.aggregation} with {inner} inside, seed {seed}, did not fall over the way "
                        f"that both moved ({read.descent:+.3g}): take more --rollouts or another --lr"
                    )
                of_descent = {"variation": read.variation / read.descent, "bend": read.bend / read.descent}
                for name, value in {**of_descent, "loss": one.losses[-1], "distance": one.distances[-1]}.items():
                    found.setdefault(name, {}).setdefault(one.aggregation, []).append(value)
        row = {"inside": inner, "seeds": str(len(next(iter(found["loss"].values()))))}
        for name, by in found.items():
            row |= {f"{name}, {each}": f"{sum(values) / len(values):.4g}" for each, values in by.items()}
            if name in ("variation", "bend"):
                apart = estimate(np.subtract(by["principal"], by["displacement"]))
                row[f"{name}, difference"] = f"{apart.mean:+.3g} {_between(apart.low, apart.high)}"
        rows.append(row | _agreement([one for one in curves if one.inner == inner and one.lowest]))
    return rows


def _agreement(curves: Sequence[Curve]) -> dict[str, str]:
    """Means over roll-outs, then over seeds; the difference is that of the same roll-outs."""
    if not curves:
        return {}
    ours = np.array([np.mean(one.lowest) for one in curves])
    theirs = np.array([np.mean(one.lowest_of_displacement) for one in curves])
    apart = estimate(ours - theirs)
    name = "lowest cosine with a domain"
    return {
        f"{name}, principal": f"{ours.mean():.4g}",
        f"{name}, displacement": f"{theirs.mean():.4g}",
        f"{name}, difference": f"{apart.mean:+.3g} {_between(apart.low, apart.high)}",
    }


def _between(low: float, high: float) -> str:
    return "" if math.isnan(low) else f"[{low:+.3g}, {high:+.3g}]"
