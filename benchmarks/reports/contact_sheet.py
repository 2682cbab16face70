"""One picture of a data set: a row for each domain, a column for each example."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.datasets import DatasetEntry, Domain, MultiDomainData
from benchmarks.datasets.vader import texts

COLUMNS = 12
LINES = 5


def draw(name: str, entry: DatasetEntry, data: MultiDomainData, output: Path) -> Path:
    """Writes the contact sheet of a data set into a folder; returns the file."""
    inputs = data.domains[0].inputs
    if inputs.ndim == 4:
        figure = _pictures(data)
    elif inputs.dtype == torch.uint8:
        figure = _lines(data, [texts(domain.inputs[:LINES]) for domain in data.domains])
    else:
        figure = _lines(data, [[_numbers(row) for row in domain.inputs[:LINES]] for domain in data.domains])
    figure.suptitle(f"{name}: {textwrap.shorten(entry.description, 150)}", fontsize=10)
    path = output / f"{re.sub(r'[^A-Za-z0-9._-]+', '_', name).strip('_')}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    figure.savefig(partial, format="png", dpi=120, bbox_inches="tight")
    partial.replace(path)
    return path


def examples(domain: Domain, number: int) -> list[int]:
    """Some examples of a domain, one class after the other as far as there are enough; the same in every domain."""
    if domain.labels.is_floating_point():
        return list(range(min(number, len(domain))))
    own = [torch.nonzero(domain.labels == label).flatten().tolist() for label in domain.labels.unique().tolist()]
    turns = [index[turn] for turn in range(number) for index in own if turn < len(index)]
    return turns[:number]


def _pictures(data: MultiDomainData) -> Figure:
    figure = Figure(figsize=(COLUMNS * 0.8, len(data.domains) * 0.95 + 0.4))
    grid = figure.subplots(len(data.domains), COLUMNS, squeeze=False)
    for row, domain in zip(grid, data.domains, strict=True):
        chosen = examples(domain, COLUMNS)
        for axes, number in zip(row, [*chosen, *[None] * (COLUMNS - len(chosen))], strict=True):
            axes.set_axis_off()
            if number is not None:
                axes.imshow(_picture(domain.inputs[number]), vmin=0, vmax=1, cmap="gray")
                axes.set_title(f"{domain.labels[number]:.3g}", fontsize=7, pad=2)
        row[0].text(-0.15, 0.5, domain.name, transform=row[0].transAxes, ha="right", va="center", fontsize=9)
    return figure


def _picture(example: Tensor) -> np.ndarray[Any, Any]:
    values = example.float() / 255 if example.dtype == torch.uint8 else example
    channels = values.shape[0]
    if channels == 2:  # red and green
        values = torch.cat([values, torch.zeros_like(values[:1])])
    return (values[0] if channels == 1 else values[:3].permute(1, 2, 0)).clamp(0, 1).numpy()


def _lines(data: MultiDomainData, rows: list[list[str]]) -> Figure:
    """A panel of text for each domain."""
    figure = Figure(figsize=(12, 0.3 + 1.6 * len(rows)))
    panels = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axes, domain, lines in zip(panels, data.domains, rows, strict=True):
        axes.set_axis_off()
        axes.set_title(f"{domain.name} ({len(domain)} examples)", loc="left", fontsize=10, fontweight="bold", pad=2)
        shown = [
            f"{label:.3g}  {textwrap.shorten(line, 150, placeholder=' ...')}"
            for label, line in zip(domain.labels.reshape(len(domain), -1)[:, 0].tolist(), lines, strict=False)
        ]
        text = "\n".join(shown).replace("$", r"\$")
        axes.text(0.0, 0.95, text, va="top", fontsize=8, family="monospace", transform=axes.transAxes)
    return figure


def _numbers(row: Tensor) -> str:
    values = [f"{value:.3g}" for value in row.flatten()[:10].tolist()]
    return "  ".join(values) + ("  ..." if row.numel() > 10 else "")
