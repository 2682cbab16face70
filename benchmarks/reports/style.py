"""How algorithms look in every picture, in colour, in grey, and to colour-blind readers.

Colours are Okabe and Ito's, but for the yellow, which vanishes on white. Marker, filling and dashes differ as well, so
that no picture needs its colours.
"""

from __future__ import annotations

import contextlib
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
    """A look for each algorithm; no two of the first 84 share colour and marker."""
    return {
        name: Look(
            colour=COLOURS[i % len(COLOURS)],
            marker=MARKERS[i % len(MARKERS)],
            filled=i % 2 == 1,
            dashes=DASHES[i % len(DASHES)],
            hatch=HATCHES[i % len(HATCHES)],
        )
        for i, name in enumerate(algorithms)
    }


CONSTANT = Look(colour="0.45", marker="x", filled=True, dashes=(0, (2, 2)), hatch="")
"""Of the predictor that looks at no input."""


def grid(panels: int, width: float, height: float, columns: int) -> tuple[Figure, list[Axes]]:
    """A figure of equal panels, `width` by `height` inches each; surplus ones are removed."""
    columns = min(columns, panels)
    rows = -(-panels // columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for surplus in axes[panels:]:
        surplus.remove()
    return figure, axes[:panels]


def legend_above(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels, above them."""
    found = {label: handle for each in axes for handle, label in zip(*each.get_legend_handles_labels(), strict=True)}
    figure.legend(
        list(found.values()), list(found), loc="outside upper left", ncols=len(found) if len(found) <= 5 else 4
    )


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
