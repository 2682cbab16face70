"""Figures, one function each: they draw into ``ax``, or into a new figure, and return the axes.

Lines differ in shade, dash and marker besides their colour (those of Okabe and Ito, which the colour-blind can tell
apart, from dark to light), and areas are in cividis, whose lightness ascends: all can be read in greyscale. Nulls are
grey. Save one by ``ax.figure.savefig("spectrum.pdf")``; pyplot is not touched.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from pgrad.analysis._needs import need
from pgrad.analysis.landscape import Plane
from pgrad.analysis.measures import Row, number
from pgrad.analysis.overlaps import Interval
from pgrad.analysis.spectrum import Density

__all__ = [
    "cosine_over_training",
    "density",
    "domain_cosines",
    "overlap_over_training",
    "plane",
    "spectrum_over_training",
]

_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)), (0, (8, 2)), (0, (2, 2)))
_MARKERS = ("o", "s", "^", "D", "v", "P")
_GREY = "#8c8c8c"


def spectrum_over_training(rows: Sequence[Row], *, components: int = 3, window: int = 20, ax: Any = None) -> Any:
    """Share of the first principal directions in the variance of a roll-out, against those of a random walk.

    Args:
        rows: of a `pgrad.analysis.Recorder`.
        components: how many directions.
        window: roll-outs that a point sums up: their median as the line, four fifths of them inside the ribbon.
        ax: axes of matplotlib; None for new ones.

    Returns:
        The axes.

    Raises:
        ValueError: if no row has a spectrum, or a number is below 1.
        ImportError: if matplotlib is not installed.
    """
    if components < 1 or window < 1:
        raise ValueError(f"components and window must be at least 1, got {components} and {window}")
    rows = [row for row in rows if isinstance(row.get("explained/1"), float)]
    if not rows:
        raise ValueError("rows must be of roll-outs with a spectrum (explained/1), got none")
    ax = _axes(ax)
    for index in range(components):
        name = f"explained/{index + 1}"
        found = [(number(row, "inner_steps"), number(row, name)) for row in rows if row.get(name) is not None]
        if not found:
            continue
        places, low, middle, high = _summed_up(found, window)
        style = _style(index)
        ax.fill_between(places, low, high, color=style["color"], alpha=0.2, linewidth=0)
        ax.plot(places, middle, label=f"component {index + 1}", **style)
        null = rows[-1].get(f"null/{index + 1}")
        if isinstance(null, float):
            ax.axhline(null, color=_GREY, linestyle=style["linestyle"], linewidth=1.2, zorder=1)
            side = {"xy": (1, null), "xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
            ax.annotate(f"null {index + 1}", xytext=(3, 0), va="center", fontsize=8, color="#555555", **side)
    ax.set(xlabel="inner steps", ylabel="share of the variance", yscale="log")
    ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=components)
    return ax


def cosine_over_training(rows: Sequence[Row], *, window: int = 20, ax: Any = None) -> Any:
    """Angle of the outer gradient with the plain displacement, in degrees: at zero, components change nothing.

    Args:
        rows: of a `pgrad.analysis.Recorder`.
        window: roll-outs that a point sums up: their median as the line, four fifths of them inside the ribbon.
        ax: axes of matplotlib; None for new ones.

    Raises:
        ValueError: if there is no row, or ``window`` is below 1.
        ImportError: if matplotlib is not installed.
    """
    rows = [row for row in rows if number(row, "length") > 0]
    if not rows or window < 1:
        raise ValueError(f"rows must hold a roll-out that moved and window be at least 1, got {len(rows)} and {window}")
    ax = _axes(ax)
    angles = [math.degrees(math.acos(max(-1.0, min(1.0, number(row, "cosine"))))) for row in rows]
    steps = [number(row, "inner_steps") for row in rows]
    places, low, middle, high = _summed_up(list(zip(steps, angles, strict=True)), window)
    style = _style(1)
    ax.fill_between(places, low, high, color=style["color"], alpha=0.2, linewidth=0)
    ax.plot(places, middle, **style)
    near = math.degrees(math.acos(0.99))
    ax.axhline(near, color=_GREY, linestyle=(0, (1, 1)), linewidth=1.2)
    side = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "ha": "right", "fontsize": 8}
    ax.annotate("cosine 0.99", (0.99, near), (0, 3), **side)
    ax.set(xlabel="inner steps", ylabel="angle with the displacement, degrees")
    ax.set_ylim(bottom=0)
    return ax


def overlap_over_training(
    steps: Sequence[float],
    shares: Mapping[str, Sequence[Interval]],
    null: Sequence[Interval] | Interval | None = None,
    *,
    null_label: str = "null",
    ax: Any = None,
) -> Any:
    """Share of directions in a top eigenspace over training, with intervals, against a null.

    Args:
        steps: [n], of training.
        shares: [n] intervals for each line, by its name; such as of `pgrad.analysis.bootstrap`.
        null: one interval for each step, or one for all; None for none.
        null_label: its name.
        ax: axes of matplotlib; None for new ones.

    Raises:
        ValueError: if lengths differ or there is no line.
        ImportError: if matplotlib is not installed.
    """
    if not shares or not len(steps) or any(len(line) != len(steps) for line in shares.values()):
        raise ValueError(f"shares must hold lines of {len(steps)} intervals, one for each of steps, which are not none")
    ax = _axes(ax)
    if null is not None:
        nulls = [null] * len(steps) if isinstance(null, Interval) else list(null)
        if len(nulls) != len(steps):
            raise ValueError(f"null must be one interval, or one for each of {len(steps)} steps, got {len(nulls)}")
        low, high = [each.low for each in nulls], [each.high for each in nulls]
        name = f"{null_label}, {100 * nulls[0].level:.0f} %"
        means = [each.mean for each in nulls]
        hatched = {"facecolor": "none", "edgecolor": _GREY, "hatch": "////", "linewidth": 0, "label": name}
        if len(steps) == 1:  # an area of one place has no width
            ax.axhspan(low[0], high[0], **hatched)
            ax.axhline(means[0], color=_GREY, linewidth=1)
        else:
            ax.fill_between(steps, low, high, **hatched)
            ax.plot(steps, means, color=_GREY, linewidth=1)
    apart = (max(steps) - min(steps)) / 150  # so that bars do not hide each other
    for index, (name, line) in enumerate(shares.items()):
        places = [step + apart * (index - (len(shares) - 1) / 2) for step in steps]
        bars = [[each.mean - each.low for each in line], [each.high - each.mean for each in line]]
        marks = {"marker": _MARKERS[index % 6], "markersize": 4.5, "capsize": 2.5, "elinewidth": 1}
        ax.errorbar(places, [each.mean for each in line], yerr=bars, label=name, **marks, **_style(index))
    ax.set(xlabel="inner steps", ylabel="share in the top eigenspace")
    if len(steps) == 1:
        ax.set_xticks(list(steps))
    ax.set_ylim(0, min(1.02, 1.15 * max(each.high for line in shares.values() for each in line) + 1e-3))
    ax.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=2)
    return ax


def domain_cosines(names: Sequence[str], cosines: Tensor, *, ax: Any = None) -> Any:
    """The cosines [D, D] of domains with each other as a matrix, every number written in its cell.

    Args:
        names: [D].
        cosines: [D, D], such as of `pgrad.analysis.domain_cosine_matrix` or of an `pgrad.analysis.Alignment`.
        ax: axes of matplotlib; None for new ones.

    Raises:
        ValueError: if shapes do not fit.
        ImportError: if matplotlib is not installed.
    """
    if not len(names) or tuple(cosines.shape) != (len(names), len(names)):
        raise ValueError(f"cosines must be [D, D] for {len(names)} names, got {tuple(cosines.shape)}")
    ax = _axes(ax)
    image = ax.imshow(cosines.double().cpu().tolist(), cmap="cividis", vmin=-1, vmax=1)
    for i, j in itertools.product(range(len(names)), repeat=2):
        value = float(cosines[i, j])
        ax.text(j, i, f"{value:.2f}", ha="center", va="center", color="white" if value < 0.2 else "black", fontsize=9)
    ax.set_xticks(range(len(names)), names, rotation=30, ha="right")
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.figure.colorbar(image, ax=ax, label="cosine")
    return ax


def plane(found: Plane, *, levels: int = 14, ax: Any = None) -> Any:
    """Losses on a plane as contours, with the path of the roll-out from its anchor to its end.

    Args:
        found: of `pgrad.analysis.plane`.
        levels: of the contours.
        ax: axes of matplotlib; None for new ones.

    Raises:
        ValueError: if fewer than two losses are finite, or all are the same.
        ImportError: if matplotlib is not installed.
    """
    finite = found.losses[found.losses.isfinite()]
    if len(finite) < 2 or not finite.max() > finite.min():
        raise ValueError("found must have finite losses that differ: make the plane larger, or smaller if it overflows")
    own, ax = ax is None, _axes(ax)
    losses = torch.where(found.losses.isfinite(), found.losses, finite.max())
    grid = (found.along.tolist(), found.beside.tolist(), losses.tolist())
    filled = ax.contourf(*grid, levels=levels, cmap="cividis")
    ax.contour(*grid, levels=levels, colors="black", linewidths=0.4, alpha=0.5)
    # A white line under a black one is seen on light and dark.
    across, up = found.path.T.tolist()
    ax.plot(across, up, color="white", linewidth=4, zorder=3)
    ax.plot(across, up, color="black", linewidth=1.5, marker="o", markersize=3.5, zorder=4)
    edge = {"markeredgecolor": "black", "markerfacecolor": "white", "linestyle": "none", "zorder": 5}
    ax.plot(across[:1], up[:1], marker="s", markersize=9, label="anchor", **edge)
    ax.plot(across[-1:], up[-1:], marker="*", markersize=14, label="end of the roll-out", **edge)
    for (name, (x, y)), marker in zip(found.marks.items(), itertools.cycle("^Dv<>")):
        ax.plot([x], [y], marker=marker, markersize=8, label=name, **edge)
    ax.set(xlabel=found.labels[0], ylabel=found.labels[1], aspect="equal")
    ax.figure.colorbar(filled, cax=ax.inset_axes((1.03, 0, 0.04, 1)), label="mean loss")
    ax.set_title(f"{100 * found.share:.0f} % of the roll-out lies in this plane", fontsize=9)
    if own:
        ax.figure.legend(loc="outside lower center", ncol=2, frameon=False)
    else:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncol=2, frameon=False)
    return ax


def density(found: Density, *, width: float | None = None, ax: Any = None) -> Any:
    """Spectral density on a logarithmic axis, the dense bulk and the few outliers in one picture.

    Args:
        found: of `pgrad.analysis.density`.
        width: of the Gaussian of a node; None for a hundredth of the range.
        ax: axes of matplotlib; None for new ones.

    Raises:
        ValueError: if ``width`` is not above 0.
        ImportError: if matplotlib is not installed.
    """
    ax = _axes(ax)
    low, high = float(found.nodes.min()), float(found.nodes.max())
    extent = max(high - low, 1e-12 * max(abs(low), abs(high)), 1e-300)
    width = extent / 100 if width is None else width
    places = torch.linspace(low - 5 * width, high + 5 * width, 800, dtype=torch.float64, device="cpu")
    values = found.at(places, width)
    floor = 1 / (found.size * width * math.sqrt(2 * math.pi)) / 10  # a tenth of one eigenvalue
    ax.fill_between(
        places.tolist(), floor, values.clamp_min(floor).tolist(), color=_COLOURS[1], alpha=0.25, linewidth=0
    )
    ax.plot(places.tolist(), values.clamp_min(floor).tolist(), color=_COLOURS[1], linewidth=1.2)
    ax.axvline(0, color=_GREY, linewidth=1)
    ax.set(xlabel="eigenvalue", ylabel="density", yscale="log", ylim=(floor, 2 * float(values.max())))
    return ax


def _summed_up(
    found: Sequence[tuple[float, float]], window: int
) -> tuple[list[float], list[float], list[float], list[float]]:
    """Mean places, and tenth, half and nine tenths of the values, of every ``window`` pairs."""
    chunks = [found[i : i + window] for i in range(0, len(found), window)]
    places = [sum(step for step, _ in chunk) / len(chunk) for chunk in chunks]
    values = [torch.tensor([value for _, value in chunk], dtype=torch.float64, device="cpu") for chunk in chunks]
    low, middle, high = ([float(torch.quantile(value, part)) for value in values] for part in (0.1, 0.5, 0.9))
    return places, low, middle, high


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    figure = need("matplotlib.figure", "a figure").Figure(figsize=(5, 3.6), layout="constrained", dpi=150)
    ax = figure.subplots()
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _style(index: int) -> dict[str, Any]:
    return {"color": _COLOURS[index % 6], "linestyle": _DASHES[index % 6], "linewidth": 1.6}
