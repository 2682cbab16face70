"""Pictures in folders: any ``domain/class/*.jpg`` tree is a data set, by the name ``folder:PATH``.

That is the layout of PACS, OfficeHome, TerraIncognita (as DomainBed unpacks it) and DomainNet. Two more are seen
through: folders with nothing but one folder of folders inside (PACS' ``kfold``, Office-31's ``images``), and VLCS'
``domain/split/class`` (``full`` is taken where there is one, else all splits together: how examples are split is the
protocol's matter). Files beside the folders (lists of splits, descriptions) are left alone.

Options: ``size`` of the square pictures in pixels (64; the shorter side is scaled, the middle is cut out), ``limit`` of
the pictures of each class and domain (evenly spaced in the order of their names; no limit), ``domains`` to take, joined
by commas (all).
"""

from __future__ import annotations

import functools
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.base.metrics import accuracy
from benchmarks.datasets.base import DatasetEntry, Domain, MultiDomainData
from benchmarks.datasets.cache import Built, Recipe, track
from benchmarks.datasets.named import checked_domains, listed, parse, positive

ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
SPLITS = frozenset({"crossval", "full", "test", "train", "val", "valid", "validation"})
OPTIONS = ("size", "limit", "domains")
SIZE = 64

Tree = Mapping[str, Mapping[str, Sequence[Path]]]
"""Domain -> class -> files."""


def entry(rest: str) -> DatasetEntry:
    """The data set that stands after ``folder:``.

    Raises:
        ValueError: if there is no such tree, or an option is wrong.
    """
    path, options = parse("folder", rest, OPTIONS)
    size, limit = positive(options, "size", SIZE), positive(options, "limit", 2**62)
    tree = _chosen(find(path), listed(options, "domains"), limit, path)
    classes = _classes(tree, path)
    recipe = Recipe(f"folder-{_identity(tree, path, size)}", functools.partial(build, tree, classes, size))
    return DatasetEntry(
        factory=recipe,
        description=f"pictures of {len(classes)} classes in the folders {', '.join(tree)}, {size} pixels",
        metric=accuracy,
        domains=tuple(tree),
        model="cnn",
        licence="see where you have it from",
        source=str(path),
    )


def find(root: Path) -> Tree:
    """The domains, classes and files of a tree, in the order of their names.

    Raises:
        ValueError: if it is none.
    """
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}")
    root = _unwrapped(root)
    tree = {domain.name: _classes_of(domain) for domain in _folders(root)}
    tree = {domain: classes for domain, classes in tree.items() if classes}
    if not tree:
        raise ValueError(
            f"{root} holds no pictures in domain/class/*.jpg; known endings are {', '.join(sorted(ENDINGS))}"
        )
    return tree


def _folders(path: Path) -> list[Path]:
    return sorted(each for each in path.iterdir() if each.is_dir() and not each.name.startswith((".", "__")))


def _files(path: Path) -> list[Path]:
    return sorted(each for each in path.iterdir() if each.suffix.lower() in ENDINGS and not each.name.startswith("."))


def _unwrapped(path: Path) -> Path:
    """The folder itself, or the one it is wrapped around: one with no pictures of its own, and the only one."""
    inner = _folders(path)
    return _unwrapped(inner[0]) if len(inner) == 1 and not _files(inner[0]) else path


def _classes_of(domain: Path) -> dict[str, list[Path]]:
    folders = _folders(_unwrapped(domain))
    if folders and all(folder.name.lower() in SPLITS for folder in folders):
        full = [folder for folder in folders if folder.name.lower() == "full"]
        folders = [inner for split in full or folders for inner in _folders(split)]
    found: dict[str, list[Path]] = {}
    for folder in folders:
        if files := _files(folder):
            found.setdefault(folder.name, []).extend(files)
    return found


def _chosen(tree: Tree, domains: Sequence[str], limit: int, where: Path) -> Tree:
    for name in domains:
        if name not in tree:
            raise ValueError(f"domains must be some of {', '.join(tree)}, got {name!r}")
    names = checked_domains([name for name in tree if not domains or name in domains], str(where))
    return {name: {label: _spaced(files, limit) for label, files in tree[name].items()} for name in names}


def _spaced(files: Sequence[Path], limit: int) -> Sequence[Path]:
    if len(files) <= limit:
        return files
    return [files[number * len(files) // limit] for number in range(limit)]


def _classes(tree: Tree, where: Path) -> tuple[str, ...]:
    number = Counter(label for classes in tree.values() for label in classes)
    if len(number) < 2:
        raise ValueError(f"{where} has the classes {sorted(number)}; there must be at least two")
    if max(number.values()) < 2:
        found = "; ".join(f"{domain}: {', '.join(sorted(classes))}" for domain, classes in tree.items())
        raise ValueError(f"no class of {where} is in two domains: a class must have the same name everywhere ({found})")
    return tuple(sorted(number))


def _identity(tree: Tree, root: Path, size: int) -> str:
    """Other files, or files that changed, make another data set."""
    digest = hashlib.sha256(str(size).encode())
    for domain, classes in tree.items():
        for label, files in classes.items():
            for file in files:
                state = file.stat()
                digest.update(f"\0{domain}\0{label}\0{file.relative_to(root)}".encode(errors="surrogateescape"))
                digest.update(f"\0{state.st_size}\0{state.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def build(tree: Tree, classes: Sequence[str], size: int) -> Built:
    """Decodes the pictures.

    Raises:
        ValueError: if one of them cannot be read; says which.
    """
    domains = []
    for name, labels in tree.items():
        rows = [(file, classes.index(label)) for label, files in labels.items() for file in files]
        inputs = np.stack([picture(file, size) for file, _ in track(rows, f"reading {name}", len(rows))])
        domains.append(Domain(name, torch.from_numpy(inputs), torch.tensor([label for _, label in rows])))
    facts = {"classes": ", ".join(classes)}
    return Built(MultiDomainData(tuple(domains), n_outputs=len(classes)), facts)


def picture(path: Path, size: int) -> np.ndarray:
    """``[3, size, size]`` uint8.

    Raises:
        ValueError: if the file is no picture, or ends early.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened).convert("RGB")
        return np.asarray(ImageOps.fit(upright, (size, size))).transpose(2, 0, 1)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as a picture ({error}); mend it or take it away") from error
