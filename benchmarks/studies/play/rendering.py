"""One episode of a model to look at: as text, as a picture of how it ended, or as a film (GIF)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.base.errors import ConfigError
from benchmarks.datasets.decisions.drawing import Picture
from benchmarks.datasets.decisions.games import Pictured
from benchmarks.studies.play.episodes import watched
from benchmarks.studies.play.stored import Stored

ENDINGS = (".gif", ".png", ".txt")
"""Of files that `write` writes."""

EACH, LAST = 250, 2500
"""Milliseconds that a picture of a film stands, and the last one."""


def rendered(stored: Stored, domain: str, seed: int) -> Iterator[str]:
    """How things stand before each choice, and the choice."""
    before = ""
    for game, choice in watched(stored, domain, seed):
        now = game.text()
        yield now.removeprefix(before)
        yield f"{stored.play.outcome}: {game.outcome():.2f}" if choice is None else f"  -> {choice}"
        before = now


def pictures(stored: Stored, domain: str, seed: int) -> list[Picture]:
    """The same in pictures of one size.

    Raises:
        ConfigError: If this game has none.
    """
    found = []
    for game, _ in watched(stored, domain, seed):
        if not isinstance(game, Pictured):
            raise ConfigError(f"--render: {stored.name} has no pictures, its episodes are text: name a file .txt")
        found.append(game.picture())
    height, width = (max(each.shape[axis] for each in found) for axis in (0, 1))
    return [
        np.pad(
            each,
            ((0, height - each.shape[0]), (0, width - each.shape[1]), (0, 0)),
            mode="constant",
            constant_values=255,
        )
        for each in found
    ]


def write(stored: Stored, domain: str, path: Path, seed: int = 0) -> None:
    """One episode into a file: its ending says as what.

    Raises:
        ConfigError: If the ending is none of `ENDINGS`, or the game has no pictures.
        OSError: If the file cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ConfigError(f"--render must be a file that ends in {', '.join(ENDINGS)}; got {path}")
    partial = path.with_name(f"{path.name}.partial")
    if ending == ".txt":
        text = "\n".join(rendered(stored, domain, seed)) + "\n"
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
    else:
        from PIL import Image

        frames = [Image.fromarray(each) for each in pictures(stored, domain, seed)]
        path.parent.mkdir(parents=True, exist_ok=True)
        if ending == ".png":
            frames[-1].save(partial, format="PNG")
        else:
            times = [EACH] * (len(frames) - 1) + [LAST]
            frames[0].save(
                partial, format="GIF", save_all=True, append_images=frames[1:], duration=times, loop=0, optimize=True
            )
    partial.replace(path)
