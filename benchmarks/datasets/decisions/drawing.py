"""Pictures of games, ``[height, width, 3]`` uint8: a line of text below a picture, pictures side by side, a chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Picture = NDArray[np.uint8]

LETTER = 6
"""Pixels of a letter of Pillow's own small font, at most."""

MARGIN = 3
"""White pixels on both sides of a line of text."""

BESIDE = 8
"""White pixels between pictures."""


def captioned(picture: Picture, text: str) -> Picture:
    """The picture with the text in a white strip below it, in as many lines as it needs.

    Example:
        >>> captioned(np.zeros((10, 90, 3), dtype=np.uint8), "turn left, then go on").shape
        (42, 90, 3)
    """
    import textwrap

    from PIL import Image, ImageDraw, ImageFont

    width = picture.shape[1]
    lines = textwrap.wrap(text, max((width - 2 * MARGIN) // LETTER, 8)) or [""]
    strip = Image.new("RGB", (width, 14 * len(lines) + 4), "white")
    ImageDraw.Draw(strip).multiline_text((MARGIN, 2), "\n".join(lines), "black", ImageFont.load_default_imagefont())
    return np.concatenate([picture, np.asarray(strip)])


def side_by_side(pictures: Sequence[Picture]) -> Picture:
    """In a row, white where one is lower than others.

    Example:
        >>> side_by_side([np.zeros((4, 3, 3), dtype=np.uint8), np.zeros((6, 5, 3), dtype=np.uint8)]).shape
        (6, 16, 3)
    """
    height = max(each.shape[0] for each in pictures)
    parts: list[Picture] = []
    for each in pictures:
        part = np.full((height, each.shape[1] + (BESIDE if parts else 0), 3), 255, dtype=np.uint8)
        part[: each.shape[0], part.shape[1] - each.shape[1] :] = each
        parts.append(part)
    return np.concatenate(parts, axis=1)


def drawn(figure: Figure) -> Picture:
    """What a figure of matplotlib looks like."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    shown: Picture = np.asarray(canvas.buffer_rgba())
    return shown[..., :3].copy()
