"""Pictures of scores: by held-out domain, as differences, along training, inside against outside, profiles."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.base.metrics import Estimate, average, bootstrap_mean, bounded, columns, estimate, performance_profile
from benchmarks.reports.comparisons import Comparison
from benchmarks.reports.constant import constant_of
from benchmarks.reports.normalised import normalised
from benchmarks.reports.selection import Selection
from benchmarks.reports.style import CONSTANT, WIDTH, Look, grid, legend_above, plain, titled
from benchmarks.reports.text import between, number

Looks = dict[str, Look]

_CURVE: dict[str, Any] = {"color": CONSTANT.colour, "linestyle": CONSTANT.dashes, "linewidth": 1.4, "zorder": 1.2}
_LINE: dict[str, Any] = {**_CURVE, "linewidth": 1.2}


def _bars(estimates: Sequence[Estimate]) -> Any:
    """Distances from the mean to both ends of the interval; none where there is none."""
    low = [one.mean - one.low for one in estimates]
    high = [one.high - one.mean for one in estimates]
    return np.nan_to_num([low, high])


def accuracies(selection: Selection, dataset: str, algorithms: Sequence[str], looks: Looks) -> Figure:
    """Mean and interval on every held-out set and on average, one below the other."""
    names = [*selection.held_out(dataset), "average"]
    figure = Figure(figsize=(WIDTH, 0.9 + 0.13 * len(names) * (len(algorithms) + 2)), layout="constrained")
    axes = figure.subplots()
    whole = selection.whole(dataset)
    for i, algorithm in enumerate(algorithms):
        found = [*selection.by_domain(dataset, algorithm).values(), average(selection.scores(dataset, algorithm))]
        if whole:
            found = [bounded(one, whole) for one in found]
        places = np.arange(len(names)) + 0.75 * ((i + 0.5) / len(algorithms) - 0.5)
        axes.errorbar(
            [one.mean for one in found],
            places,
            xerr=_bars(found),
            linestyle="none",
            capsize=2,
            elinewidth=1,
            label=algorithm,
            **looks[algorithm].marks,
        )
    constant = constant_of(selection, dataset)
    if constant is not None:
        found = [*columns(selection.held_out(dataset), constant.held_out).values(), average(constant.held_out)]
        borders = np.arange(len(names)) - 0.45
        axes.vlines([one.mean for one in found], borders, borders + 0.9, label=constant.name, **_LINE)
    for border in range(len(names) - 1):
        axes.axhline(border + 0.5, color="0.85", linewidth=0.6, zorder=0)
    axes.axhspan(len(names) - 1.5, len(names) - 0.5, color="0.94", zorder=0)
    axes.set_yticks(range(len(names)), [plain(textwrap.fill(name, 18)) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_ylabel("held-out domain")
    axes.set_xlabel(selection.scale(dataset).label)
    axes.grid(axis="x")
    legend_above(figure, [axes])
    return figure


def differences(found: Sequence[Comparison], looks: Looks) -> Figure:
    """A forest plot of one data set, against one baseline, or each line against its own."""
    figure = Figure(figsize=(8.5, 0.36 * len(found) + 0.95), layout="constrained")
    axes = figure.subplots()
    for place, one in enumerate(found):
        _forest_line(axes, place, one, looks[one.algorithm])
    axes.axvline(0, color="black", linewidth=1.0, zorder=1.5)
    baselines = {one.baseline for one in found}
    whom = baselines.pop() if len(baselines) == 1 else "control"
    names = [one.algorithm if whom == one.baseline else f"{one.algorithm} − {one.baseline}" for one in found]
    axes.set_yticks(range(len(found)), names)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.grid(axis="x")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -0.5 * abs(high)), max(high, 0.5 * abs(low)))
    titled(axes, found[0].dataset, 5.0)
    axes.set_xlabel(f"← {whom} better  |  difference,{found[0].unit or ' score'}  |  algorithm better →")
    return figure


def _forest_line(axes: Axes, place: int, one: Comparison, look: Look) -> None:
    domains = list(one.domains.values())
    axes.plot(domains, [place] * len(domains), "|", color="0.55", markersize=8, zorder=1)
    axes.errorbar(
        one.difference.mean, place, xerr=_bars([one.difference]), capsize=4, linewidth=1.6, zorder=3, **look.marks
    )
    axes.plot(one.constant, place, linestyle="none", zorder=2, **CONSTANT.marks)
    text = f"{number(one.difference.mean, 2, sign=True)} {between(one.difference, 2, sign=True)}  {one.verdict}"
    axes.annotate(text, (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=9)


def curves(selection: Selection, dataset: str, algorithms: Sequence[str], looks: Looks) -> Figure:
    """Scores along training: inside (validation parts of the training domains) and outside; the chosen points."""
    figure, panels = grid(2, 2.9)
    factor = selection.scale(dataset).factor
    titles = {"validation": "inside: validation parts of training domains", "held_out": "outside: held-out domains"}
    for axes, (name, title) in zip(panels, titles.items(), strict=True):
        for algorithm in algorithms:
            seeds: dict[float, dict[int, list[float]]] = {}
            for row, record in selection.chosen_runs(dataset, algorithm):
                for step, value in zip(record["curves"]["step"], record["curves"][name], strict=True):
                    seeds.setdefault(step, {}).setdefault(row.seed, []).append(factor * value)
            steps = sorted(seeds)
            found = [estimate(np.array([np.mean(values) for values in seeds[step].values()])) for step in steps]
            means = np.array([one.mean for one in found])
            errors = np.nan_to_num([one.standard_error for one in found])
            look = looks[algorithm]
            axes.plot(steps, means, linestyle=look.dashes, linewidth=1.4, label=algorithm, **look.marks)
            axes.fill_between(steps, means - errors, means + errors, color=look.colour, alpha=0.15, linewidth=0)
        constant = constant_of(selection, dataset)
        if constant is not None:
            level = average(constant.validation if name == "validation" else constant.held_out).mean
            axes.axhline(level, label=constant.name, **_LINE)
        axes.set_title(title)
        axes.set_xlabel("gradient evaluations")
        axes.set_ylabel(selection.scale(dataset).label)
        axes.grid()
    legend_above(figure, panels[:1])
    return figure


def inside_outside(selection: Selection, algorithms: Sequence[str], looks: Looks) -> Figure:
    """What the choice went by against what it reached, a dot for each held-out set and seed."""
    figure, panels = grid(len(selection.datasets), 3.6)
    for axes, dataset in zip(panels, selection.datasets, strict=True):
        for algorithm in algorithms:
            inside = selection.scores(dataset, algorithm, "validation_accuracy")
            outside = selection.scores(dataset, algorithm)
            axes.scatter(inside.ravel(), outside.ravel(), s=22, label=algorithm, **looks[algorithm].dots)
        constant = constant_of(selection, dataset)
        if constant is not None:
            x, y = constant.validation.ravel(), constant.held_out.ravel()
            axes.scatter(x, y, s=22, label=constant.name, color=CONSTANT.colour, marker=CONSTANT.marker, linewidths=1.0)
        low = max(axes.get_xlim()[0], axes.get_ylim()[0])
        high = min(axes.get_xlim()[1], axes.get_ylim()[1])
        if low < high:
            axes.plot([low, high], [low, high], color="0.5", linewidth=0.8, linestyle=":", zorder=0)
        titled(axes, dataset, 3.6)
        label = selection.scale(dataset).label
        axes.set_xlabel(f"inside: {label}")
        axes.set_ylabel(f"held out: {label}")
        axes.grid()
    legend_above(figure, panels)
    return figure


def profiles(selection: Selection, algorithms: Sequence[str], looks: Looks, seed: int) -> Figure:
    """The share of runs above every score, with a bootstrap band over seeds."""
    figure, panels = grid(len(selection.datasets), 2.9)
    for axes, dataset in zip(panels, selection.datasets, strict=True):
        scores = {name: selection.scores(dataset, name) for name in selection.algorithms_on(dataset)}
        scores = {
            name: normalised(selection, dataset, found[~np.isnan(found).any(axis=1)]) for name, found in scores.items()
        }
        every = np.concatenate([found.ravel() for found in scores.values()])
        if not every.size:
            axes.text(0.5, 0.5, "no seed is complete", ha="center", transform=axes.transAxes)
            continue
        margin = 0.03 * (every.max() - every.min()) or 1.0
        thresholds = np.linspace(every.min() - margin, every.max() + margin, 160)
        for number_, algorithm in enumerate(name for name in algorithms if len(scores.get(name, ())) > 0):
            look, found = looks[algorithm], scores[algorithm]
            shares = performance_profile(found, thresholds)
            above = (found[:, :, None] > thresholds).mean(axis=1)
            band = bootstrap_mean(above, np.random.default_rng([seed, 2, number_]))
            axes.plot(thresholds, shares, linestyle=look.dashes, markevery=20, label=algorithm, **look.marks)
            if len(found) > 1:
                axes.fill_between(thresholds, band.low, band.high, color=look.colour, alpha=0.12, linewidth=0)
        constant = constant_of(selection, dataset)
        if constant is not None and not np.isnan(constant.held_out).all():
            known = constant.held_out[~np.isnan(constant.held_out).any(axis=1)]
            known = normalised(selection, dataset, known)
            axes.plot(thresholds, performance_profile(known, thresholds), label=constant.name, **_CURVE)
        titled(axes, dataset, 3.6)
        axes.set_xlabel("threshold τ: normalised score")
        axes.set_ylabel("share of runs above τ")
        axes.set_ylim(-0.03, 1.03)
        axes.grid()
    legend_above(figure, panels)
    return figure
