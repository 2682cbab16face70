"""Pictures of runs: cost, hyper-parameters, roll-outs, and what the workers did."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

import pgrad
from benchmarks.base.metrics import average
from benchmarks.reports.choice import selections_of
from benchmarks.reports.constant import constant_of
from benchmarks.reports.load import Run
from benchmarks.reports.selection import Selection
from benchmarks.reports.spectra import Agreement
from benchmarks.reports.style import CONSTANT, WIDTH, Look, grid, legend_above, log_scale, titled
from benchmarks.reports.throughput import Work

Looks = dict[str, Look]
MIB = 2**20

MANY = 400
"""Marks of one kind; more are drawn as pixels, so that no picture grows with the number of runs."""

_COSTS: dict[str, Callable[[Any, Run], float | None]] = {
    "evaluations to the chosen checkpoint": lambda row, _: row.step,
    "seconds of the run": lambda _, run: (run.get("timings") or {}).get("wall_seconds"),
    "peak memory, MiB": lambda _, run: _mib((run.get("peak_memory") or {}).get("resident_bytes")),
    "peak GPU memory, MiB": lambda _, run: _mib((run.get("peak_memory") or {}).get("cuda_bytes")),
}


def _mib(value: float | None) -> float | None:
    return None if value is None else value / MIB


def cost(selection: Selection, dataset: str, algorithms: Sequence[str], looks: Looks) -> Figure:
    """The average score against each cost that was recorded: means over the chosen runs, bars of standard errors."""
    chosen = {name: selection.chosen_runs(dataset, name) for name in algorithms}
    values = {
        label: {name: [x for row, run in chosen[name] if (x := measure(row, run)) is not None] for name in algorithms}
        for label, measure in _COSTS.items()
    }
    known = {label: found for label, found in values.items() if any(found.values())}
    figure, panels = grid(max(1, len(known)), 2.7)
    for axes, (label, found) in zip(panels, known.items(), strict=False):
        for name in algorithms:
            if found[name]:
                score = average(selection.scores(dataset, name))
                spread = np.std(found[name], ddof=1) / np.sqrt(len(found[name])) if len(found[name]) > 1 else 0.0
                axes.errorbar(
                    np.mean(found[name]), score.mean, xerr=spread, yerr=np.nan_to_num(score.standard_error),
                    capsize=2, elinewidth=0.9, linestyle="none", label=name, **looks[name].marks,
                )  # fmt: skip
        _constant_line(axes, selection, dataset)
        axes.set_xlabel(label)
        axes.set_ylabel(selection.scale(dataset).label)
        right = max((max(own) for own in found.values() if own), default=0.0)
        axes.set_xlim(0, 1.08 * right or 1.0)  # markers and bars stay inside
        axes.margins(y=0.08)
        axes.grid()
    legend_above(figure, panels)
    return figure


def sensitivity(selection: Selection, dataset: str, algorithms: Sequence[str], looks: Looks) -> Figure | None:
    """Score against every hyper-parameter: a dot for each seed and point of the search; None if nothing was searched.

    Where every held-out set was searched by itself, a dot is one of them. The score is the mean over the held-out sets
    at the checkpoint that validation chose; large dots are the defaults.
    """
    dots: dict[str, dict[str, list[tuple[float, float, bool]]]] = {}
    for algorithm in algorithms:
        for runs in _points(selection, dataset, algorithm):
            point = runs[0]["config"]["point"]
            known = [selections_of(run)["training-domain"]["held_out"] for run in runs]
            scores = [math.nan if score is None else score for score in known]  # where it is not defined
            hparams = runs[0]["config"]["hparams"].items()
            for name, value in ((name, value) for name, value in hparams if isinstance(value, (int, float))):
                dot = (value, selection.scale(dataset).factor * float(np.mean(scores)), point == 0)
                dots.setdefault(name, {}).setdefault(algorithm, []).append(dot)
    varied = {
        name: found for name, found in dots.items() if any(len({x for x, _, _ in own}) > 1 for own in found.values())
    }
    if not varied:
        return None
    figure, panels = grid(len(varied), 2.7)
    for axes, (name, found) in zip(panels, varied.items(), strict=True):
        values = [x for own in found.values() for x, _, _ in own]
        if min(values) > 0 and max(values) / min(values) > 10:
            log_scale(axes, values)
        for algorithm, own in found.items():
            x, y, default = map(np.array, zip(*own, strict=True))
            axes.scatter(x, y, s=np.where(default, 44, 18), label=algorithm, **looks[algorithm].dots,
                         rasterized=len(own) > MANY)  # fmt: skip
        _constant_line(axes, selection, dataset)
        axes.set_xlabel(name)
        axes.set_ylabel(selection.scale(dataset).label)
        axes.grid()
    legend_above(figure, panels)
    return figure


def _constant_line(axes: Axes, selection: Selection, dataset: str) -> None:
    constant = constant_of(selection, dataset)
    if constant is not None:
        level = average(constant.held_out).mean
        axes.axhline(level, color=CONSTANT.colour, linestyle=CONSTANT.dashes, linewidth=1.2, label=constant.name)


def _points(selection: Selection, dataset: str, algorithm: str) -> list[list[Run]]:
    """The runs of every seed and point that finished with every held-out set; or each by itself, where held-out sets
    were searched one by one."""
    found: dict[tuple[int, int], list[Run]] = {}
    for run in selection.of_algorithm(dataset, algorithm):
        if run["status"] == "finished":
            found.setdefault((run["config"]["seed"], run["config"]["point"]), []).append(run)
    if any(run["config"]["hparams"] != runs[0]["config"]["hparams"] for runs in found.values() for run in runs):
        return [[run] for runs in found.values() for run in runs]
    return [runs for runs in found.values() if len(runs) == len(selection.held_out(dataset))]


def rollouts(found: Sequence[Agreement], looks: Looks) -> Figure:
    """Spectra beside the random walk's, and the cosine of every run beside the random walk's."""
    datasets = list(dict.fromkeys(one.dataset for one in found))
    figure, panels = grid(2 * len(datasets), 2.9)
    for upper, lower, dataset in zip(panels[::2], panels[1::2], datasets, strict=True):
        own = [one for one in found if one.dataset == dataset]
        _spectra(upper, own, looks)
        titled(upper, f"{dataset}: spectrum", 4.6)
        _cosines(lower, own, looks)
        titled(lower, f"{dataset}: direction agreement", 4.6)
    legend_above(figure, panels)
    return figure


def _spectra(axes: Axes, found: Sequence[Agreement], looks: Looks) -> None:
    width = 0.8 / len(found)
    for i, one in enumerate(found):
        look = looks[one.algorithm]
        places = np.arange(1, one.steps + 1) + width * (i + 0.5) - 0.4
        face = "white" if look.colour == "#000000" else look.colour
        axes.bar(places, 100 * one.spectrum, width, color=face, edgecolor="black", linewidth=0.6, hatch=look.hatch,
                 label=one.algorithm)  # fmt: skip
    for number, steps in enumerate(sorted({one.steps for one in found})):
        null = 100 * pgrad.random_walk_spectrum(steps).numpy()
        label = "random walk" if number == 0 else None
        axes.plot(np.arange(1, steps + 1), null, "k--o", markerfacecolor="white", linewidth=1, label=label)
    axes.set_xlabel("principal direction")
    axes.set_ylabel("explained variance, %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _cosines(axes: Axes, found: Sequence[Agreement], looks: Looks) -> None:
    for place, one in enumerate(found):
        spread = np.linspace(-0.2, 0.2, len(one.cosines)) if len(one.cosines) > 1 else [0.0] * len(one.cosines)
        axes.scatter(one.cosines, place + np.asarray(spread), s=14, **looks[one.algorithm].dots)
        axes.plot([one.null_cosine] * 2, [place - 0.38, place + 0.38], "k--", linewidth=1.4)
    names = [one.algorithm + (f" (T={one.steps})" if len({each.steps for each in found}) > 1 else "") for one in found]
    axes.set_yticks(range(len(found)), names)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xlabel("cosine of g with $\\theta_0 - \\theta_T$")
    axes.grid(axis="x")


def workers(work: Work) -> Figure:
    """When every worker was in a run, and in one that failed or was lost."""
    names = list(work.intervals)
    figure = Figure(figsize=(WIDTH, 0.9 + 0.28 * min(len(names), 40)), layout="constrained")
    axes = figure.subplots()
    colours = {"finished": "#56B4E9", "failed": "#D55E00", "other": "#000000"}
    hatches = {"finished": "", "failed": "xxx", "other": "..."}
    for place, name in enumerate(names):
        for status, intervals in work.intervals[name].items():
            spans = [(started - work.start, ended - started) for started, ended in intervals]
            many = len(spans) > MANY
            axes.broken_barh(
                spans, (place - 0.4, 0.8), facecolor=colours[status], hatch=hatches[status], rasterized=many,
                edgecolor="white" if status == "finished" else "0.3", linewidth=0.0 if many else 0.4,
            )  # fmt: skip
    shown = [status for status in colours if any(work.intervals[name][status] for name in names)]
    labels = {"finished": "run that finished", "failed": "run that failed", "other": "lost or interrupted"}
    axes.legend(
        [Patch(facecolor=colours[status], hatch=hatches[status], edgecolor="0.3") for status in shown],
        [labels[status] for status in shown], loc="lower left", bbox_to_anchor=(0, 1), ncols=2,
    )  # fmt: skip
    axes.set_yticks(range(len(names)), names if len(names) <= 40 else [""] * len(names), fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("seconds since the first run began")
    return figure
