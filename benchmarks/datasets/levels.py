"""Deep greys: values of any depth, and the span of them that becomes 0..1."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, Any]
Span = tuple[float, float]
DEPTH: Literal["depth"] = "depth"


class PictureError(ValueError):
    """A file is no picture, or not one that can be shown; says which and why."""


class MissingError(ValueError):
    """A file needs a package that is not installed; says which."""


@dataclass(frozen=True)
class Rules:
    """How files become numbers.

    Attributes:
        size: of the square, in pixels.
        background: behind what is transparent: red, green, blue.
        span: of the values of deep greys that becomes 0..1; ``"depth"`` for all of their depth, whatever the file
            declares; None for what the file declares, else its depth.
    """

    size: int
    background: tuple[int, int, int] = (255, 255, 255)
    span: Span | Literal["depth"] | None = None


@dataclass(frozen=True)
class Levels:
    """A deep picture.

    Attributes:
        values: ``[height, width]``.
        depth: the span of the whole depth; None if nothing tells.
        declared: the span that the file declares, if it does.
        bits: how deep it is.
        floating: whether the values are floating-point numbers.
        inverted: whether large values are dark.
        transparent: ``[height, width]``, true where the background is seen.
    """

    values: Array
    depth: Span | None
    declared: Span | None
    bits: int
    floating: bool = False
    inverted: bool = False
    transparent: Array | None = None

    @property
    def span(self) -> Span | None:
        """What they are scaled from: what the file declares, else the depth."""
        return self.declared or self.depth


def require_finite(levels: Levels, path: Path) -> None:
    """Refuse values that are not finite.

    Raises:
        PictureError: if there are some.
    """
    wrong = int((~np.isfinite(levels.values)).sum())
    if wrong:
        raise PictureError(f"{path} holds {wrong} values that are not finite")


def scaled(levels: Levels, rules: Rules, path: Path) -> Array:
    """The values in 0..1; what is outside the span is cut off.

    Raises:
        PictureError: if a value is not finite, or nothing tells the span.

    Example:
        >>> levels = Levels(np.array([[0.0, 300.0, 4000.0]]), (0.0, 65535.0), None, bits=16)
        >>> scaled(levels, Rules(8, span=(300.0, 4000.0)), Path("x.png")).tolist()
        [[0.0, 0.0, 1.0]]
    """
    require_finite(levels, path)
    span = levels.depth if rules.span == DEPTH else rules.span or levels.span
    if span is None:
        raise PictureError(f"{path} does not tell what its values mean; say range=LOW,HIGH")
    low, high = span
    found = ((levels.values - low) / (high - low)).clip(0.0, 1.0)
    found = 1.0 - found if levels.inverted else found
    if levels.transparent is not None:
        red, green, blue = rules.background
        found = np.where(levels.transparent, (0.299 * red + 0.587 * green + 0.114 * blue) / 255, found)
    return found
