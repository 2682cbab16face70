"""The picture of a comparison: accuracy on every held-out domain, and what the roll-outs looked like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import pgrad
from benchmarks.base.metrics import Estimate, Matrix
from benchmarks.base.records import MAJORITY, MEAN
from benchmarks.reports.style import CONSTANT, RC, looks
from benchmarks.studies.quick.spectra import mean_spectra
from benchmarks.studies.quick.tables import AVERAGE, Row


def draw(rows: Sequence[Row], records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Writes the picture to `path`; one line of panels for each data set."""
    datasets = list(dict.fromkeys(row.dataset for row in rows))
    with mpl.rc_context(RC):
        figure = Figure(figsize=(11, 3.6 * len(datasets)), layout="constrained")
        axes = figure.subplots(len(datasets), 2, squeeze=False, width_ratios=(1.9, 1))
        for (left, right), dataset in zip(axes, datasets, strict=True):
            _accuracies(left, [row for row in rows if row.dataset == dataset], dataset)
            _spectrum(right, mean_spectra(records, dataset))
        figure.savefig(path, dpi=150)


def _accuracies(axes: Axes, rows: Sequence[Row], dataset: str) -> None:
    names = [*rows[0].domains, AVERAGE]
    constants = dict.fromkeys((MAJORITY, MEAN), CONSTANT)
    styles = looks([row.algorithm for row in rows if row.algorithm not in constants]) | constants
    for number, row in enumerate(rows):
        estimates: list[Estimate] = [*row.domains.values(), row.average]
        places = np.arange(len(names)) + 0.2 * (number - (len(rows) - 1) / 2)
        axes.errorbar(
            places,
            [value.mean for value in estimates],
            yerr=np.nan_to_num([value.standard_error for value in estimates]),
            linestyle="none",
            capsize=3,
            label=row.algorithm,
            **styles[row.algorithm].marks,
        )
    axes.axvspan(len(names) - 1.5, len(names) - 0.5, color="0.94", zorder=0)
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_xlabel("held-out domain")
    axes.set_ylabel("accuracy, % (± standard error)")
    axes.grid(axis="y")
    axes.set_title(dataset)
    axes.legend(ncols=len(rows), loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1)


def _spectrum(axes: Axes, spectra: Mapping[str, Matrix]) -> None:
    axes.set_title("spectrum of a roll-out")
    if not spectra:
        axes.text(0.5, 0.5, "no spectrum recorded", ha="center", va="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    length = max(len(spectrum) for spectrum in spectra.values())
    components = np.arange(1, length + 1)
    styles = looks(list(spectra))
    for name, spectrum in spectra.items():
        axes.bar(components, 100 * spectrum, color=styles[name].colour, edgecolor="black", label=name)
    null = 100 * pgrad.random_walk_spectrum(length).numpy()
    axes.plot(components, null, "k--o", markerfacecolor="white", label="random walk")
    axes.set_xlabel("principal component")
    axes.set_ylabel("explained variance, %")
    axes.set_xticks(components[:: 1 if length < 10 else 2])
    axes.legend()
