"""Tiny made-up image sets in the folder layout of the real ones: to try the whole path without them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from domainbed_ext.errors import Refusal, closest

__all__ = ["LAYOUTS", "main", "write"]

# Data set: folder, domains, and a few of its classes, named as in the real folders.
LAYOUTS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "VLCS": ("VLCS", ("Caltech101", "LabelMe", "SUN09", "VOC2007"), ("bird", "car", "person")),
    "PACS": ("PACS", ("art_painting", "cartoon", "photo", "sketch"), ("dog", "guitar", "house")),
    "OfficeHome": ("office_home", ("Art", "Clipart", "Product", "Real World"), ("Alarm_Clock", "Chair", "Mug")),
    "TerraIncognita": (
        "terra_incognita",
        ("location_100", "location_38", "location_43", "location_46"),
        ("bobcat", "coyote", "empty"),
    ),
    "DomainNet": (
        "domain_net",
        ("clipart", "infograph", "painting", "quickdraw", "real", "sketch"),
        ("airplane", "clock", "zebra"),
    ),
}


def write(root: Path, dataset: str, images: int = 8, size: int = 16, seed: int = 0) -> Path:
    """Write `images` images of each class in each domain: noise with a stripe whose place tells the class.

    The background tells the domain. Nothing is overwritten.

    Returns:
        The folder of the data set; `root` is what DomainBed calls data_dir.

    Raises:
        Refusal: if the data set has no layout here, or its folder exists.
    """
    if dataset not in LAYOUTS:
        raise Refusal(f"no layout for {dataset}{closest(dataset, LAYOUTS)}; there are {', '.join(LAYOUTS)}")
    folder, domains, classes = LAYOUTS[dataset]
    if (root / folder).exists():
        raise Refusal(f"{root / folder} exists; choose another folder, so that nothing is overwritten")
    generator = np.random.default_rng(seed)
    for d, domain in enumerate(domains):
        for c, name in enumerate(classes):
            place = root / folder / domain / name
            place.mkdir(parents=True)
            for i in range(images):
                pixels = generator.integers(0, 80, (size, size, 3)) + 20 * d
                pixels[c * size // len(classes) : (c + 1) * size // len(classes)] += 90
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place / f"{i:03}.jpg")
    return root / folder


def main(argv: Sequence[str]) -> int:
    """Write them."""
    parser = argparse.ArgumentParser("domainbed_ext miniature")
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--datasets", nargs="+", default=list(LAYOUTS))
    parser.add_argument("--images", type=int, default=8, help="of each class in each domain (default: 8)")
    args = parser.parse_args(argv)
    if args.images < 1:
        raise Refusal(f"--images must be at least 1, got {args.images}")
    for dataset in args.datasets:
        print(write(args.data_dir, dataset, args.images))
    return 0
