"""``records.jsonl`` beside a store: what is left if the store is damaged.

It only ever grows: a record of a run stays until the store has another one of the same run and code.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select

from benchmarks.base.records import Record
from benchmarks.sweeps.store.database import StoreError
from benchmarks.sweeps.store.housekeeping import CHUNK
from benchmarks.sweeps.store.rows import place
from benchmarks.sweeps.store.schema import runs
from benchmarks.sweeps.store.states import DECIDED
from benchmarks.sweeps.store.store import Store
from benchmarks.sweeps.store.transfer import read_lines, write_lines

LINES = "records.jsonl"


def require_no_backup(store: Store, folder: Path) -> None:
    """Nothing is begun anew where results are lying about.

    Raises:
        StoreError: if the store has no run and the file of records beside it has some.
    """
    path = folder / LINES
    with store.database.read() as connection:
        if connection.execute(select(runs.c.id).limit(1)).first() is not None:
            return
    if path.exists() and next(read_lines(path), None) is not None:
        raise StoreError(
            f"the store {store.database.shown} is empty, and {path} holds records. If they are its own, bring them "
            f"back with python -m benchmarks import {path} --store {store.database.shown}; if not, move the file "
            "away or choose another output folder"
        )


def keep_backup(store: Store, folder: Path) -> int:
    """Writes the records of all sweeps of the store, and those that the file alone has; returns how many.

    Raises:
        ValueError: if the file is damaged; it stays as it is then.
    """
    return write_lines(_both(store, folder / LINES), folder / LINES)


def _both(store: Store, path: Path) -> Iterator[Record]:
    rest = read_lines(path) if path.exists() else iter(())
    while chunk := list(itertools.islice(rest, CHUNK)):
        query = select(runs.c.key, runs.c.code).where(
            runs.c.status.in_(DECIDED), runs.c.key.in_([record["key"] for record in chunk])
        )
        with store.database.read() as connection:
            known = {(row.key, row.code) for row in connection.execute(query)}
        yield from (record for record in chunk if place(record) not in known)
    yield from store.each_record()
