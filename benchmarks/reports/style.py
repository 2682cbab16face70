"""How algorithms look in every picture, in colour, in grey, and to colour-blind readers.

Colours are Okabe and Ito's, but for the yellow, which vanishes on white. Marker, filling and dashes differ as well, so
that no picture needs its colours.
"""

from __future__ import annotations

import contextlib
import math
import textwrap
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks.algorithms import ALGORITHMS

COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vPX<>*hp"
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 3)))
HATCHES = ("", "///", "...", "xxx", "---", "\\\\\\", "++", "oo", "||", "**", "/o")

RC: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlesize": 10,
    "figure.facecolor": "white",
    "grid.color": "0.88",
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "lines.markersize": 5,
    "svg.fonttype": "path",
    "svg.hashsalt": "report",
}
"""Of matplotlib, for all pictures; the salt makes equal pictures equal files."""


@dataclass(frozen=True)
class Look:
    """One algorithm's."""

    colour: str
    marker: str
    filled: bool
    dashes: Any
    hatch: str

    @property
    def marks(self) -> dict[str, Any]:
        """For `plot` and `errorbar`."""
        face = self.colour if self.filled else "white"
        return {"color": self.colour, "marker": self.marker, "markerfacecolor": face, "markeredgecolor": self.colour}

    @property
    def dots(self) -> dict[str, Any]:
        """For `scatter`."""
        return {
            "marker": self.marker,
            "facecolors": self.colour if self.filled else "none",
            "edgecolors": self.colour,
            "linewidths": 1.0,
        }


def looks(algorithms: Sequence[str]) -> dict[str, Look]:
    """A look for each algorithm: the same in every picture, whichever others stand in it.

    Algorithms of the registry have theirs by their place in it, others by their name; where two of the latter would
    look alike, the second takes the next free look. No two of 77 in one picture share colour and marker.
    """
    registered = {name: i for i, name in enumerate((*FIRST, *(name for name in ALGORITHMS if name not in FIRST)))}
    places = {name: registered[name] for name in algorithms if name in registered}
    kinds = len(COLOURS) * len(MARKERS)
    taken = {place % kinds for place in places.values()}
    for name in sorted(set(algorithms) - set(places)):
        place = zlib.crc32(name.encode()) % kinds
        while place in taken and len(taken) < kinds:
            place = (place + 1) % kinds
        taken.add(place)
        places[name] = place
    return {name: _look(places[name]) for name in algorithms}


FIRST = ("erm", "pgrad", "reptile", "erm-ema", "pgrad-ema", "reptile-ema", "erm-swad")
"""Those that are compared most often: all colours are different."""


def _look(i: int) -> Look:
    return Look(
        colour=COLOURS[i % len(COLOURS)],
        marker=MARKERS[i % len(MARKERS)],
        filled=i % 2 == 1,
        dashes=DASHES[i % len(DASHES)],
        hatch=HATCHES[i % len(HATCHES)],
    )


CONSTANT = Look(colour="0.45", marker="x", filled=True, dashes=(0, (2, 2)), hatch="")
"""Of the predictor that looks at no input."""


WIDTH = 4.6
"""Inches of every picture: as wide as a telephone, where text keeps its size; wide pages show several side by side."""


def grid(panels: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels one below the other, `height` inches each."""
    figure = Figure(figsize=(WIDTH, height * panels), layout="constrained")
    return figure, list(figure.subplots(panels, 1, squeeze=False).flat)


def legend_above(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels, above them."""
    found = {label: handle for each in axes for handle, label in zip(*each.get_legend_handles_labels(), strict=True)}
    if found:
        columns = max(1, min(len(found), int(WIDTH / (0.065 * max(map(len, found)) + 0.55))))
        figure.set_size_inches(WIDTH, figure.get_figheight() + 0.18 * -(-len(found) // columns))
        figure.legend(list(found.values()), list(found), loc="outside upper left", ncols=columns, fontsize=8)


def log_scale(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic x axis whose ticks bear plain numbers, several of them however short it is."""
    axes.set_xscale("log")
    decades = math.log10(max(values) / min(values))
    subs = (1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Inside, letters that the font lacks are drawn as boxes and nothing is said: names may be of any script."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font", category=UserWarning)
        yield


def plain(text: str) -> str:
    """A name as it is: the drawing would read what stands between two dollar signs as mathematics.

    Example:
        >>> print(plain("US$ and A$"))
        US\\$ and A\\$
    """
    return text.replace("$", r"\$")


def titled(axes: Axes, text: str, inches: float) -> None:
    """A title in lines of at most so many inches: the names of a user's own data are as long as their paths.

    What is longer than three lines loses its middle.
    """
    width = max(int(11 * inches), 12)  # bold letters of this size, and none narrower than a name of a few words
    if len(text) > 3 * width:
        text = f"{text[: width - 2]} … {text[-2 * width + 2 :]}"
    axes.set_title(plain("\n".join(textwrap.wrap(text, width, break_on_hyphens=False))))
