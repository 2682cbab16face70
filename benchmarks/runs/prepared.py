"""Data sets prepared once and shared between the workers.

The first worker that needs a data set builds it and writes it to a file; the others map that file into memory, so that
the processes of a machine share its pages. A lock lets one of them build; a file appears whole or not at all, and one
that is damaged is written again.
"""

from __future__ import annotations

import functools
import hashlib
import warnings
from pathlib import Path

import torch
from filelock import FileLock

from benchmarks.datasets import DATASETS, Domain, MultiDomainData
from benchmarks.runs.environment import fingerprint


@functools.cache
def prepared(name: str, folder: Path | None) -> MultiDomainData:
    """The data set; from ``folder/data`` if it is there, and written to it otherwise.

    What has to be fetched or rendered first is kept for all sweeps of the user: see `benchmarks.datasets.cache`.

    Raises:
        RuntimeError: if what was built is not what the registry says it must be.
    """
    if folder is None:
        return _built(name)
    path = prepared_path(name, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        data = _read(path) if path.exists() else None
        if data is None:
            _write(_built(name), path)
            data = _read(path)
    if data is None:
        raise OSError(f"{path} was written and cannot be read back; is the disk in order?")
    return data


def prepared_path(name: str, folder: Path) -> Path:
    """The file of a data set, for the present code."""
    # The name may hold anything; another version of the code may build another set.
    digest = hashlib.sha256(f"{name}\0{fingerprint(name)}".encode()).hexdigest()[:16]
    return folder / "data" / f"{digest}.pt"


def _built(name: str) -> MultiDomainData:
    entry = DATASETS[name]
    data = entry.factory()
    if entry.digest is not None and (found := data.digest()) != entry.digest:
        raise RuntimeError(
            f"{name} was built with the SHA-256 {found}, expected {entry.digest}: the code or a library that builds it "
            "is another one than the one that figures about this data set were made with"
        )
    return data


def _write(data: MultiDomainData, path: Path) -> None:
    content = {
        "digest": data.digest(),
        "n_outputs": data.n_outputs,
        "domains": [(domain.name, domain.inputs, domain.labels, domain.groups) for domain in data.domains],
    }
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)


def _read(path: Path) -> MultiDomainData | None:
    """None, and a warning, if the file is damaged."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        data = MultiDomainData(tuple(Domain(*domain) for domain in content["domains"]), content["n_outputs"])
        if data.digest() == content["digest"]:
            return data
        reason = "its digest is not the one that was written with it"
    except Exception as error:  # noqa: BLE001  whatever is wrong with the file, it is written again
        reason = f"{type(error).__name__}: {error}"
    warnings.warn(f"{path} is damaged ({reason}); it is written again", stacklevel=3)
    return None
