"""Rotated and coloured Fashion-MNIST: the recipes of the digits on pictures of clothes.

Images and labels come in the four IDX files of Fashion-MNIST (Xiao, Rasul and Vollgraf 2017): from a folder that has
them (``--source``, ``PGRAD_SOURCE``, or where Debian's package dataset-fashion-mnist puts them), else by torchvision's
download. Only the training files are used, and only so many images of them that two cores can train on them; which
ones is drawn once from a fixed seed.

*Rotated*: six angles, every image at one angle only. *Coloured*: the label is "class 5 or more" (sandal, shirt,
sneaker, bag, ankle boot), flipped with probability 0.25; the colour agrees with it in 90, 80 and 10 %.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage
import torch

from benchmarks.base.metrics import accuracy
from benchmarks.datasets.base import DatasetEntry, Domain, MultiDomainData
from benchmarks.datasets.cache import Built, Recipe, track
from benchmarks.datasets.digits import AGREEMENTS, ANGLES, LABEL_NOISE, deal
from benchmarks.datasets.fetch import VARIABLE, FetchError, source_folder

Array = np.ndarray[Any, Any]

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
CONTENT = {
    IMAGES: "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
    LABELS: "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
}
"""SHA-256 of the values, without header and compression."""

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
PER_ANGLE, PER_COLOUR = 1500, 2000
"""Images of a domain."""
_SEED = 20230501


def read_idx(path: Path) -> Array:
    """A file of bytes in the IDX format, compressed by gzip or not.

    Raises:
        ValueError: if it is none, or ends early.
    """
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is no IDX file of bytes: it begins with {content[:4].hex()}")
    start = 4 * (1 + content[3])
    if len(content) < start:
        raise ValueError(f"{path} ends in its header")
    shape = tuple(np.frombuffer(content[4:start], dtype=">u4").tolist())
    if len(content) - start != math.prod(shape):
        raise ValueError(f"{path} should hold {shape} bytes, it holds {len(content) - start}")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def load() -> tuple[Array, Array, dict[str, str]]:
    """Images ``[n, 28, 28]``, labels ``[n]``, and what they were read from.

    Raises:
        FetchError: if there are no files, or they are not what they should be.
    """
    own = source_folder()
    for folder in ([own] if own is not None else []) + [DEBIAN]:
        if _file(folder, IMAGES) is not None:
            return _load(folder)
    with tempfile.TemporaryDirectory(prefix="pgrad-") as name:
        return _load(_download(Path(name)))


def _file(folder: Path, name: str) -> Path | None:
    # torchvision keeps its files in FashionMNIST/raw.
    places = [folder / part / f"{name}{end}" for part in ("", "FashionMNIST/raw") for end in ("", ".gz")]
    return next((path for path in places if path.is_file()), None)


def _download(folder: Path) -> Path:
    from torchvision.datasets import FashionMNIST

    try:
        FashionMNIST(str(folder), train=True, download=True)
    except (RuntimeError, OSError) as error:
        raise FetchError(
            f"torchvision cannot download Fashion-MNIST ({error}); try again, or name a folder with its IDX files with "
            f"--source or {VARIABLE} (Debian's package dataset-fashion-mnist installs one, which is found by itself)"
        ) from error
    return folder


def _load(folder: Path) -> tuple[Array, Array, dict[str, str]]:
    arrays, facts = [], {}
    for name in (IMAGES, LABELS):
        path = _file(folder, name)
        if path is None:
            raise FetchError(f"there is no {name} (or {name}.gz) in {folder}, beside {IMAGES}")
        try:
            arrays.append(read_idx(path))
        except (ValueError, OSError, EOFError) as error:
            raise FetchError(f"{error}; fetch the file again") from error
        facts[name] = hashlib.sha256(arrays[-1].tobytes()).hexdigest()
        if facts[name] != CONTENT[name]:
            raise FetchError(
                f"{path} is not the one of Fashion-MNIST: its {arrays[-1].size} values have the SHA-256 {facts[name]}, "
                f"expected {CONTENT[name]}; fetch the file again"
            )
    return arrays[0], arrays[1], facts


def _dealt(images: Array, each: int, domains: int, rng: np.random.Generator) -> list[Array]:
    """Disjoint sets of indices of `each` images, or of all that there are."""
    return [index[:each] for index in deal(len(images), domains, rng)]


def rotated() -> Built:
    """Six domains, turned counter-clockwise by 0, 15, ..., 75 degrees (bilinear)."""
    images, targets, facts = load()
    parts = _dealt(images, PER_ANGLE, len(ANGLES), np.random.default_rng(_SEED))
    domains = []
    for angle, index in track(zip(ANGLES, parts, strict=True), "turning", len(ANGLES)):
        turned = scipy.ndimage.rotate(images[index].astype(np.float64), angle, axes=(2, 1), reshape=False, order=1)
        pixels = torch.from_numpy(np.rint(turned).clip(0, 255).astype(np.uint8)[:, np.newaxis])
        domains.append(Domain(f"{angle}°", pixels, torch.from_numpy(targets[index].astype(np.int64))))
    return Built(MultiDomainData(tuple(domains), n_outputs=10), facts)


def coloured() -> Built:
    """Three domains in two colour channels."""
    images, targets, facts = load()
    rng = np.random.default_rng(_SEED)
    domains = []
    for agreement, index in zip(AGREEMENTS, _dealt(images, PER_COLOUR, len(AGREEMENTS), rng), strict=True):
        labels = (targets[index] >= 5) ^ (rng.random(len(index)) < LABEL_NOISE)
        colours = labels ^ (rng.random(len(index)) >= agreement)
        inputs = np.zeros((len(index), 2, *images.shape[1:]), dtype=np.uint8)
        inputs[np.arange(len(index)), colours.astype(int)] = images[index]
        domains.append(Domain(f"{agreement:.0%}", torch.from_numpy(inputs), torch.from_numpy(labels.astype(np.int64))))
    return Built(MultiDomainData(tuple(domains), n_outputs=2), facts)


def _entry(name: str, build: Callable[[], Built], description: str, domains: tuple[str, ...]) -> DatasetEntry:
    return DatasetEntry(
        factory=Recipe(name, build),
        description=description,
        metric=accuracy,
        domains=domains,
        licence="MIT",
        source="Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), by torchvision or from a folder of IDX files",
    )


ENTRIES = {
    "rotated-fashion": _entry(
        "rotated-fashion",
        rotated,
        f"clothes at six angles, {PER_ANGLE} each, every image at one angle only (10 classes)",
        tuple(f"{angle}°" for angle in ANGLES),
    ),
    "coloured-fashion": _entry(
        "coloured-fashion",
        coloured,
        f"class >= 5 with 25 % label noise; colour agrees in 90, 80 and 10 % of {PER_COLOUR} images (2 classes)",
        tuple(f"{agreement:.0%}" for agreement in AGREEMENTS),
    ),
}
