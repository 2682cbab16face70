"""The picture of an expectation: every domain when it was left out, and whether confidence can be believed."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes

from benchmarks.base.judges import BINS
from benchmarks.reports.style import RC, grid, plain, without_warnings
from benchmarks.runs.model_folder import Description
from benchmarks.studies.choose.expectation import Expectation, Verdict


def draw(verdict: Verdict, about: Description, path: Path) -> None:
    """Writes the picture."""
    with mpl.rc_context(RC), without_warnings():
        figure, axes = grid(2 if about.classes else 1, 3.0)
        _domains(axes[0], verdict, about)
        if about.classes:
            _reliability(axes[1], verdict.taken)
        figure.savefig(path, dpi=150)


def _domains(axes: Axes, verdict: Verdict, about: Description) -> None:
    scale = 100.0 if about.classes else 1.0
    domains = list(verdict.taken.domains.values())
    for place, one in enumerate(domains):
        if one.inside.known:
            axes.plot([scale * one.inside.low, scale * one.inside.high], [place, place], color="#0072B2", linewidth=1.5)
        axes.plot(scale * one.value, place, "o", color="#0072B2", label="reached" if not place else None)
        other = verdict.default.domains[one.name].value
        axes.plot(
            scale * other, place, "s", color="black", markerfacecolor="white", label="plain ERM" if not place else None
        )
        label = "validation said" if not place else None
        axes.plot(scale * one.promised, place, "^", color="#D55E00", markerfacecolor="white", label=label)
        label = ("majority class" if about.classes else "mean target") if not place else None
        axes.plot(scale * one.constant, place, "x", color="0.45", label=label)
    if verdict.taken.of_next.known:
        low, high = scale * verdict.taken.of_next.low, scale * verdict.taken.of_next.high
        axes.axvspan(low, high, color="0.93", zorder=0, label="95 % of next domains")
    axes.set_yticks(range(len(domains)), [plain(one.name) for one in domains])
    axes.invert_yaxis()
    axes.set_xlabel(plain(about.choice["metric"].replace("_", " ")) + (", %" if about.classes else ""))
    axes.set_title("each domain when it was left out")
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=3)


def _reliability(axes: Axes, taken: Expectation) -> None:
    outputs = torch.cat([own for one in taken.domains.values() for own in one.outputs])
    labels = torch.cat([own for one in taken.domains.values() for own in one.labels])
    confidence, said = outputs.double().softmax(dim=1).max(dim=1)
    right = (said == labels).double().numpy()
    sure = confidence.numpy()
    bins = np.clip((sure * BINS).astype(int), 0, BINS - 1)
    found = [(sure[bins == each].mean(), right[bins == each].mean(), (bins == each).sum()) for each in np.unique(bins)]
    axes.plot([0, 100], [0, 100], color="0.6", linestyle="--", linewidth=1)
    sizes = [20 + 160 * many / len(sure) for _, _, many in found]
    axes.scatter([100 * each for each, _, _ in found], [100 * each for _, each, _ in found], s=sizes, color="#0072B2")
    axes.set_xlabel("confidence of the model, %")
    axes.set_ylabel("right, %")
    axes.set_title("whether confidence can be believed")
