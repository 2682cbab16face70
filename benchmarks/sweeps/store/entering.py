"""Entering the runs of a sweep, a batch at a time.

However large the sweep, others wait for one batch only, and no more than one is held in memory. A batch adds what is
not there yet, so that it does no harm if several processes enter the same sweep at a time, or one is killed on the way:
the sweep counts as entered when its row says that it is ``complete``.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, select, update

from benchmarks.sweeps.store.bulk import put
from benchmarks.sweeps.store.database import Database
from benchmarks.sweeps.store.schema import sweeps
from benchmarks.sweeps.store.tally import count_again
from benchmarks.sweeps.store.transitions import new_rows, one_at_a_time
from benchmarks.sweeps.store.turns import Turns

BATCH = 25_000
"""Runs of a transaction, about a second. Keys are in no order: every batch touches most pages of their index."""

PAUSE = 0.2
"""Part of the time of a batch for which others may write before the next one; making that one counts."""


class Entry(NamedTuple):
    """A run as a row; ``config`` is JSON."""

    key: str
    code: str
    config: str
    dataset: str
    algorithm: str
    held_out: str
    seed: int
    point: int
    evaluations: int | None


_FIELDS = Entry._fields
_TYPES = dict.fromkeys(_FIELDS, "varchar") | {
    "config": "json",
    "seed": "bigint",
    "point": "int",
    "evaluations": "bigint",
}

_SQLITE_RUNS = (
    f"INSERT INTO runs ({', '.join(_FIELDS)}, status) VALUES ({', '.join('?' * len(_FIELDS))}, 'pending') "
    "ON CONFLICT DO NOTHING"
)
_SQLITE_MEMBERS = (
    "INSERT INTO members (sweep_id, position, run_id, status) "
    "SELECT ?, ?, id, status FROM runs WHERE key = ? AND code = ? ON CONFLICT DO NOTHING"
)
_POSTGRESQL_TABLE = (
    "CREATE TEMPORARY TABLE incoming (position int, "
    + ", ".join(f"{name} {_TYPES[name]}" for name in _FIELDS)
    + ") ON COMMIT DROP"
)
# Runs that nobody can have seen yet are pending, and need not be looked for.
_POSTGRESQL_NEW = (
    f"WITH new AS (INSERT INTO runs ({', '.join(_FIELDS)}, status) SELECT {', '.join(_FIELDS)}, 'pending' "
    "FROM incoming ON CONFLICT DO NOTHING RETURNING id, key, code) "
    "INSERT INTO members (sweep_id, position, run_id, status) "
    "SELECT %s, incoming.position, new.id, 'pending' FROM incoming JOIN new USING (key, code) ON CONFLICT DO NOTHING"
)
# The lock makes sure that the status is the one which the run still has when this transaction ends.
_POSTGRESQL_KNOWN = (
    "INSERT INTO members (sweep_id, position, run_id, status) "
    "SELECT %s, incoming.position, runs.id, runs.status "
    "FROM incoming JOIN runs ON runs.key = incoming.key AND runs.code = incoming.code "
    "ORDER BY runs.id FOR SHARE OF runs ON CONFLICT DO NOTHING"
)


def enter_sweep(database: Database, key: str, config: dict[str, Any], entries: Iterable[Entry]) -> int:
    """Makes sure that a sweep and all its runs are there; returns its number.

    Args:
        database: Where.
        key: Name of the sweep.
        config: Its configuration.
        entries: Its runs in their order; not looked at if the sweep is entered already.
    """
    with database.write() as connection:
        new_rows(connection, sweeps, [{"key": key, "config": config, "created": time.time(), "complete": False}])
    with database.read() as connection:
        row = connection.execute(select(sweeps.c.id, sweeps.c.complete).where(sweeps.c.key == key)).one()
    if row.complete:
        return int(row.id)
    turns = Turns(PAUSE)
    for first, batch in _batches(entries):
        with turns.take(), database.write() as connection:
            one_at_a_time(connection)
            enter_batch = _enter_postgresql if connection.dialect.name == "postgresql" else _enter_sqlite
            enter_batch(connection, row.id, first, batch)
    with database.write() as connection:
        one_at_a_time(connection)
        if not connection.execute(select(sweeps.c.complete).where(sweeps.c.id == row.id)).scalar_one():
            count_again(connection, row.id)
            connection.execute(update(sweeps).where(sweeps.c.id == row.id).values(complete=True))
    return int(row.id)


def _batches(entries: Iterable[Entry]) -> Iterator[tuple[int, list[Entry]]]:
    rest = iter(entries)
    for first in itertools.count(0, BATCH):
        batch = list(itertools.islice(rest, BATCH))
        if not batch:
            return
        yield first, batch


def _enter_sqlite(connection: Connection, sweep_id: int, first: int, batch: list[Entry]) -> None:
    connection.exec_driver_sql(_SQLITE_RUNS, [tuple(entry) for entry in batch])
    places = [(sweep_id, position, entry.key, entry.code) for position, entry in enumerate(batch, first)]
    connection.exec_driver_sql(_SQLITE_MEMBERS, places)


def _enter_postgresql(connection: Connection, sweep_id: int, first: int, batch: list[Entry]) -> None:
    connection.exec_driver_sql(_POSTGRESQL_TABLE)
    lines = ((position, *entry) for position, entry in enumerate(batch, first))
    put(connection, "incoming", ("position", *_FIELDS), lines)
    connection.exec_driver_sql("ANALYZE incoming")
    if connection.exec_driver_sql(_POSTGRESQL_NEW, (sweep_id,)).rowcount != len(batch):
        connection.exec_driver_sql(_POSTGRESQL_KNOWN, (sweep_id,))
