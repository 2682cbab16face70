"""Made-up pictures: the direction of the stripes is the label, the colour of the ground is the domain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["pattern", "picture", "save"]

Bytes = NDArray[np.uint8]


def pattern(height: int, width: int, label: int, labels: int) -> NDArray[np.float64]:
    """Stripes in [-1, 1], about six across, in one of `labels` directions."""
    angle = np.pi * label / labels
    y, x = np.mgrid[:height, :width]
    along = x * np.cos(angle) + y * np.sin(angle)
    return np.asarray(np.sign(np.sin(2 * np.pi * 6 * along / max(height, width))))


def picture(
    rng: np.random.Generator, size: tuple[int, int], label: int, labels: int, domain: int, domains: int
) -> Bytes:
    """[height, width, 3]: stripes of one label on the ground of one domain, with some coarse noise."""
    height, width = size
    hue = 2 * np.pi * domain / domains
    ground = 128 + 60 * np.cos(hue + np.array([0.0, 2.0, 4.0]))
    noise = rng.normal(0, 12, (-(-height // 8), -(-width // 8), 1)).repeat(8, 0).repeat(8, 1)[:height, :width]
    image = ground + 50 * pattern(height, width, label, labels)[..., None] + noise
    return image.clip(0, 255).astype(np.uint8)


def save(image: Bytes, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
