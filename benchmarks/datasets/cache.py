"""Data sets that are prepared once and kept in one folder for all sweeps of a user.

A `Recipe` builds a data set (it may fetch and render for minutes) and keeps it as one compressed ``.npz`` file;
it is the `factory` of a `benchmarks.datasets.base.DatasetEntry`. The file is enough: it may be copied to a
machine without network. It appears whole or not at all, one process builds while others wait, and a file whose content
is not what was written is refused.

The folder is ``$PGRAD_DATA``, or else the one for caches of the operating system.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import platformdirs
import torch
from filelock import FileLock

from benchmarks.datasets.base import Domain, MultiDomainData

VARIABLE = "PGRAD_DATA"
FORMAT = 1

Item = TypeVar("Item")


class Track(Protocol):
    """Passes items on, and may show how many of them are done."""

    def __call__(self, items: Iterable[Item], what: str, total: int) -> Iterable[Item]:
        """The same items, one by one."""


TRACK: ContextVar[Track] = ContextVar("TRACK", default=lambda items, what, total: items)
"""Who watches a preparation; by default nobody does."""


class DamagedError(RuntimeError):
    """A prepared file does not hold what was written; `path` is its name, `why` what is wrong with it."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(path, why)
        self.path, self.why = path, why

    def __str__(self) -> str:
        return (
            f"the prepared data set {self.path} is damaged ({self.why}); prepare it again with "
            "`python -m benchmarks data NAME --again`, or delete the file"
        )


def folder() -> Path:
    """Where prepared data sets are."""
    chosen = os.environ.get(VARIABLE)
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("pgrad", appauthor=False) / "data"


def track(items: Iterable[Item], what: str, total: int) -> Iterable[Item]:
    """For a recipe: iterates, and shows it to whoever watches."""
    return TRACK.get()(items, what, total)


@contextlib.contextmanager
def watched(watch: Track) -> Iterator[None]:
    """Lets `watch` see the preparations of the block."""
    token = TRACK.set(watch)
    try:
        yield
    finally:
        TRACK.reset(token)


@dataclass(frozen=True)
class Built:
    """What a recipe made, and from what: the versions of packages, the files."""

    data: MultiDomainData
    facts: Mapping[str, str]


@dataclass(frozen=True)
class Recipe:
    """Builds a data set once.

    Attributes:
        name: Of the file.
        build: Makes the data; pictures have uint8 inputs, to be small, where 8 bits are all they have.
        revision: Of what `build` makes; another one is prepared anew, in a file of its own.
        pixels: The inputs are pictures: they are given as float32 in 0..1.
    """

    name: str
    build: Callable[[], Built] = field(repr=False)
    revision: str = "1"
    pixels: bool = True

    @property
    def path(self) -> Path:
        """The prepared file."""
        return folder() / f"{self.identity}.npz"

    @property
    def identity(self) -> str:
        """What the data set is, beyond the code that makes it."""
        return f"{self.name}-r{self.revision}"

    def __call__(self) -> MultiDomainData:
        """The data set; prepared first if it is not yet, and again, with a warning, if the file is damaged.

        Raises:
            DamagedError: if the file is not what was written, and cannot be prepared again.
            OSError: if the folder cannot be written.
        """
        data = self.prepare()
        return _as_floats(data) if self.pixels else data

    def prepare(self, again: bool = False) -> MultiDomainData:
        """The data set as the file holds it; builds the file if there is none, or in any case if `again`."""
        path = self.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            damage = None
            if path.exists() and not again:
                try:
                    return read(path)[0]
                except DamagedError as error:
                    damage = error
                    text = f"the prepared data set {path} is damaged ({error.why}); it is prepared again"
                    warnings.warn(text, stacklevel=2)
            try:
                _write(self.build(), path)
            except (OSError, RuntimeError, ValueError, ImportError, subprocess.SubprocessError) as error:
                if damage is None:
                    raise
                raise DamagedError(path, f"{damage.why}, and preparing it again failed: {error}") from error
            return read(path)[0]


def _write(built: Built, path: Path) -> None:
    data = built.data
    arrays: dict[str, Any] = {}
    for number, domain in enumerate(data.domains):
        for what in ("inputs", "labels", "groups"):
            tensor = getattr(domain, what)
            if tensor is not None:
                arrays[f"{what}-{number}"] = tensor.numpy()
    about = {
        "format": FORMAT,
        "domains": data.names,
        "n_outputs": data.n_outputs,
        "digest": data.digest(),
        "facts": {**built.facts, "machine": platform.machine()},
    }
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:  # by a name, numpy would add an ending
        np.savez_compressed(file, about=np.array(json.dumps(about)), **arrays)
    partial.replace(path)


def read(path: Path) -> tuple[MultiDomainData, dict[str, Any]]:
    """What a prepared file holds, and what it says about itself.

    Raises:
        DamagedError: if the file is not what was written.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            if about["format"] != FORMAT:
                raise ValueError(f"it has the format {about['format']}, this version reads {FORMAT}")
            domains = [_domain(file, number, name) for number, name in enumerate(about["domains"])]
        data = MultiDomainData(tuple(domains), about["n_outputs"])
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DamagedError(path, f"{type(error).__name__}: {error}") from error
    found = data.digest()
    if found != about["digest"]:
        raise DamagedError(path, f"its content has the SHA-256 {found}, {about['digest']} was written")
    return data, about


def _domain(file: Mapping[str, Any], number: int, name: str) -> Domain:
    def tensor(what: str) -> torch.Tensor:
        return torch.from_numpy(file[f"{what}-{number}"])

    groups = tensor("groups") if f"groups-{number}" in file else None
    return Domain(name, tensor("inputs"), tensor("labels"), groups)


def _as_floats(data: MultiDomainData) -> MultiDomainData:
    """Bytes are divided by 255; pictures of more bits are floats already."""
    floats = [each.inputs.float() / 255 if each.inputs.dtype == torch.uint8 else each.inputs for each in data.domains]
    domains = [Domain(each.name, own, each.labels, each.groups) for each, own in zip(data.domains, floats, strict=True)]
    return MultiDomainData(tuple(domains), data.n_outputs)
