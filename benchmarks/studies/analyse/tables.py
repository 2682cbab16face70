"""Looks as a table and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

import pgrad
from benchmarks.studies.analyse.look import Look
from pgrad.analysis import Interval


def table(looks: Sequence[Look]) -> list[dict[str, str]]:
    """One row for each optimizer and time: means over roll-outs and seeds, with 95 % intervals."""
    rows = []
    for inner, steps in dict.fromkeys((look.inner, look.inner_steps) for look in looks):
        own = [look for look in looks if (look.inner, look.inner_steps) == (inner, steps)]
        row = {"inside": inner, "inner steps": str(steps), "loss": f"{_mean([look.loss for look in own]):.3f}"}
        row["largest eigenvalue"] = f"{_mean([look.top[0] for look in own]):.3g}"
        bends = [look.bend for look in own if look.bend is not None]
        row["lr T h_1"] = f"{_mean(bends):.2f}" if bends else ""
        row["cosine"] = f"{_mean([look.cosine for look in own]):.4f}"
        for name in own[0].shares:
            found = _interval(own, name)
            row[name] = f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]"
        for name in own[0].nulls:
            row[f"null: {name}"] = f"{_mean([look.nulls[name][0] for look in own]):.4f}"
        rows.append(row)
    return rows


def draw(looks: Sequence[Look], folder: Path) -> None:
    """A picture for each optimizer: overlap over training against the random walk."""
    for inner in dict.fromkeys(look.inner for look in looks):
        own = [look for look in looks if look.inner == inner]
        steps = sorted({look.inner_steps for look in own})
        at = [[look for look in own if look.inner_steps == step] for step in steps]
        shares = {name: [_interval(some, name) for some in at] for name in own[0].shares}
        null = [_null(some) for some in at]
        ax = pgrad.analysis.figures.overlap_over_training(steps, shares, null, null_label="random walk")
        ax.figure.savefig(folder / f"overlap-{inner}.png")


def _interval(looks: Sequence[Look], name: str) -> Interval:
    """Over roll-outs in blocks of those of one run, which are neighbours."""
    values = torch.tensor([share for look in looks for share in look.shares[name]], dtype=torch.float64)
    block = max(len(looks[0].shares[name]) // 2, 1)
    return pgrad.analysis.bootstrap(values, block=block, generator=torch.Generator().manual_seed(0))


def _null(looks: Sequence[Look]) -> Interval:
    mean, low, high = (_mean([look.nulls["walk"][index] for look in looks]) for index in range(3))
    return Interval(mean, low, high)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
