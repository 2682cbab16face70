"""One picture of a data set: a row for each domain, a column for each example."""

from __future__ import annotations

import hashlib
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.datasets import DatasetEntry, Domain, MultiDomainData
from benchmarks.datasets.vader import texts
from benchmarks.reports.style import plain, without_warnings

COLUMNS = 12
LINES = 5
INPUTS = 10
WIDTH = 12
"""Inches."""


def draw(name: str, entry: DatasetEntry, data: MultiDomainData, output: Path) -> Path:
    """Writes the contact sheet of a data set into a folder; returns the file."""
    inputs = data.domains[0].inputs
    if entry.shown is not None:
        figure = _pages(data, entry.shown())
    elif inputs.ndim == 4:
        figure = _pictures(data, entry.classes)
    elif inputs.dtype == torch.uint8:
        figure = _lines(data, [texts(domain.inputs[:LINES]) for domain in data.domains], entry.classes)
    else:
        figure = _numbers(data, entry)
    figure.suptitle(plain(f"{name}: {textwrap.shorten(entry.description, 150)}"), fontsize=10)
    path = output / f"{_file_name(name)}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with without_warnings():
        figure.savefig(partial, format="png", dpi=120, bbox_inches="tight")
    partial.replace(path)
    return path


def _file_name(name: str) -> str:
    """Signs that not every system has in names become one; names that are long, or made of such signs, keep apart."""
    short = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("_")
    if len(short) <= 100 and name.isascii():
        return short
    return f"{short[:80]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def examples(domain: Domain, number: int) -> list[int]:
    """Some examples of a domain, one class after the other as far as there are enough; the same in every domain."""
    if domain.labels.is_floating_point():
        return list(range(min(number, len(domain))))
    own = [torch.nonzero(domain.labels == label).flatten().tolist() for label in domain.labels.unique().tolist()]
    turns = [index[turn] for turn in range(number) for index in own if turn < len(index)]
    return turns[:number]


def _label(label: float, classes: Sequence[str], length: int) -> str:
    """The name of a class where it has one."""
    if not classes:
        return f"{label:.3g}"
    name = classes[int(label)]
    return plain(name if len(name) <= length else f"{name[: length - 1]}…")


def _pictures(data: MultiDomainData, classes: Sequence[str]) -> Figure:
    figure = Figure(figsize=(COLUMNS * 0.8, len(data.domains) * 0.95 + 0.4))
    grid = figure.subplots(len(data.domains), COLUMNS, squeeze=False)
    for row, domain in zip(grid, data.domains, strict=True):
        chosen = examples(domain, COLUMNS)
        for axes, number in zip(row, [*chosen, *[None] * (COLUMNS - len(chosen))], strict=True):
            axes.set_axis_off()
            if number is not None:
                axes.imshow(_picture(domain.inputs[number]), vmin=0, vmax=1, cmap="gray")
                axes.set_title(_label(float(domain.labels[number]), classes, 12), fontsize=7, pad=2)
        row[0].text(-0.15, 0.5, plain(domain.name), transform=row[0].transAxes, ha="right", va="center", fontsize=9)
    return figure


def _picture(example: Tensor) -> np.ndarray[Any, Any]:
    values = example.float() / 255 if example.dtype == torch.uint8 else example
    channels = values.shape[0]
    if channels == 2:  # red and green
        values = torch.cat([values, torch.zeros_like(values[:1])])
    return (values[0] if channels == 1 else values[:3].permute(1, 2, 0)).clamp(0, 1).numpy()


def _lines(data: MultiDomainData, rows: list[list[str]], classes: Sequence[str]) -> Figure:
    """A panel of text for each domain."""
    figure = Figure(figsize=(12, 0.3 + 1.6 * len(rows)))
    for axes, domain, lines in zip(_panels(figure, data), data.domains, rows, strict=True):
        shown = [
            f"{_label(label, classes, 24)}  {plain(textwrap.shorten(line, 150, placeholder=' ...'))}"
            for label, line in zip(_labels(domain), lines, strict=False)
        ]
        axes.text(0.0, 0.95, "\n".join(shown), va="top", fontsize=8, family="monospace", transform=axes.transAxes)
    return figure


def _pages(data: MultiDomainData, pages: Mapping[str, str | np.ndarray[Any, Any]]) -> Figure:
    """A panel for each domain: its text, as many lines as there are, or its picture, 100 pixels an inch."""
    own = [pages[domain.name] for domain in data.domains]
    heights = [0.5 + (0.17 * len(one.splitlines()) if isinstance(one, str) else _inches(one)[1]) for one in own]
    figure = Figure(figsize=(WIDTH, sum(heights)))
    for axes, one in zip(_panels(figure, data, heights), own, strict=True):
        if isinstance(one, str):
            lines = [plain(_cut(line, 150)) for line in one.splitlines()]
            axes.text(0.0, 0.97, "\n".join(lines), va="top", fontsize=8, family="monospace", transform=axes.transAxes)
        else:
            axes.imshow(one, interpolation="antialiased")
            axes.set_anchor("NW")
    figure.subplots_adjust(top=1 - 0.8 / sum(heights), bottom=0.1 / sum(heights))
    return figure


def _inches(picture: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Width and height."""
    height, width = picture.shape[:2]
    scale = min(1 / 100, WIDTH / width)
    return width * scale, height * scale


def _numbers(data: MultiDomainData, entry: DatasetEntry) -> Figure:
    """A panel for each domain with a column for each input, its name above."""
    number = data.domains[0].inputs[0].numel()
    names = [plain(_cut(name)) for name in entry.columns[:INPUTS]] or [f"input {place}" for place in range(INPUTS)]
    names = names[:number]
    more = number > len(names)
    figure = Figure(figsize=(12, 0.3 + 1.9 * len(data.domains)))
    for axes, domain in zip(_panels(figure, data), data.domains, strict=True):
        lines = [
            [_label(label, entry.classes, 16), *(f"{value:.3g}" for value in row.flatten()[: len(names)].tolist())]
            for label, row in zip(_labels(domain)[:LINES], domain.inputs[:LINES], strict=True)
        ]
        cells = [["target", *names], *lines]
        cells = [[*row, end] for row, end in zip(cells, ["...", *[""] * len(lines)], strict=True)] if more else cells
        table = axes.table(cellText=cells, loc="upper left", cellLoc="left", edges="open")
        table.auto_set_font_size(False)
        table.set_fontsize(8)
        table.scale(1.0, 1.2)
    return figure


def _cut(name: str, length: int = 14) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"


def _labels(domain: Domain) -> list[float]:
    return [float(label) for label in domain.labels.reshape(len(domain), -1)[:, 0]]


def _panels(figure: Figure, data: MultiDomainData, heights: Sequence[float] | None = None) -> list[Any]:
    panels = list(figure.subplots(len(data.domains), 1, squeeze=False, height_ratios=heights)[:, 0])
    for axes, domain in zip(panels, data.domains, strict=True):
        axes.set_axis_off()
        title = f"{plain(domain.name)} ({len(domain)} examples)"
        axes.set_title(title, loc="left", fontsize=10, fontweight="bold", pad=2)
    return panels
