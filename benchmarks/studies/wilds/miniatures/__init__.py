"""Miniature WILDS data sets: tens of made-up samples in the file format of the real ones, from nothing but a seed.

The real classes of wilds load them with ``download=False``. Names of files and columns, dtypes, splits and domains are
those of the releases; images show stripes whose direction is the label, on a ground whose colour is the domain, and
texts have words for both. They show that a pipeline works. They measure nothing.

Example:
    >>> sorted(MINIATURES)[:3]
    ['amazon', 'bdd100k', 'camelyon17']
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from benchmarks.studies.wilds.miniatures.photographs import (
    bdd100k,
    celeba,
    domainnet,
    globalwheat,
    iwildcam,
    waterbirds,
)
from benchmarks.studies.wilds.miniatures.science import camelyon17, fmow, poverty, rxrx1
from benchmarks.studies.wilds.miniatures.tables import amazon, civilcomments, py150, sqf, yelp

__all__ = ["MINIATURES", "make"]

Maker = Callable[[Path, np.random.Generator, "int | None"], None]

_NOTE = (
    "A miniature in the format of {name} v{version}, made up by pgrad (seed {seed}, side {side}). Not the data set.\n"
)

MINIATURES: Mapping[str, tuple[Maker, str]] = MappingProxyType(
    {
        "camelyon17": (camelyon17, "1.0"),
        "fmow": (fmow, "1.1"),
        "poverty": (poverty, "1.1"),
        "iwildcam": (iwildcam, "2.0"),
        "civilcomments": (civilcomments, "1.0"),
        "amazon": (amazon, "2.1"),
        "waterbirds": (waterbirds, "1.0"),
        "celebA": (celeba, "1.0"),
        "rxrx1": (rxrx1, "1.0"),
        "globalwheat": (globalwheat, "1.1"),
        "py150": (py150, "1.0"),
        "domainnet": (domainnet, "1.0"),
        "yelp": (yelp, "1.0"),
        "sqf": (sqf, "1.0"),
        "bdd100k": (bdd100k, "1.0"),
    }
)
"""For each data set who makes its miniature, and the version whose format it has."""


def make(name: str, root: str | Path, *, seed: int = 0, side: int | None = None) -> Path:
    """Make the miniature of a data set in ``root / {name}_v{version}``; one that is there already is taken.

    Args:
        name: one of `MINIATURES`.
        root: the folder to give to WILDS.
        seed: of the contents.
        side: of square images in pixels; None for the size of the real ones.

    Returns:
        The folder of the data set.

    Raises:
        ValueError: if there is no such miniature.
        FileExistsError: if the folder holds something else: a real data set, or a miniature of other arguments.
    """
    if name not in MINIATURES:
        raise ValueError(f"name must be one of {', '.join(MINIATURES)}; got {name!r}")
    maker, version = MINIATURES[name]
    folder = Path(root) / f"{name}_v{version}"
    release, note = f"RELEASE_v{version}.txt", _NOTE.format(name=name, version=version, seed=seed, side=side or "real")
    if folder.exists():
        if (folder / release).exists() and (folder / release).read_text() == note:
            return folder
        raise FileExistsError(f"{folder} exists and is not this miniature; give another root or delete it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        maker(partial, np.random.default_rng([seed, *name.encode()]), side)
        (partial / release).write_text(note)
        partial.chmod(0o755)
        partial.replace(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder
