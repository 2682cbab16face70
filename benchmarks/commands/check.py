"""The command ``check``."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from benchmarks.sweeps.store import Store, StoreError
from benchmarks.sweeps.store.mending import check

__all__ = ["check_command"]


def check_command(store: str, /, *, mend: bool = True) -> int:
    """Find what an older version, or a hand, has left wrong in a store, and mend it.

    The exit status is 0 if all is well now, 1 if something is left, 2 if there is no such store.

    Parameters
    ----------
    store:
        Folder of a sweep, file or address of a store.
    mend:
        Mend what is found; without it the store is only read.
    """
    console, errors = Console(), Console(stderr=True)
    path = Path(store)
    where = store
    if "://" not in store:
        path = path / "store.sqlite" if path.is_dir() else path
        where = str(path)
        if not path.exists():
            errors.print(f"there is no store at {path}; name the folder of a sweep, a file or an address", markup=False)
            return 2
    try:
        with Store(where) as opened:
            found = check(opened.database, mend)
            left = check(opened.database, mend=False) if mend else found
    except StoreError as error:
        errors.print(str(error), markup=False, soft_wrap=True)
        return 2
    for one in found:
        remedy = one.remedy if mend else f"would be mended: {one.remedy}"
        console.print(f"{one.number} {one.what}: {remedy}", markup=False, highlight=False, soft_wrap=True)
    if not found:
        console.print("nothing is wrong", markup=False)
    return 1 if left else 0
