"""Records that were made elsewhere, brought into a store that others may be at work on.

A transaction takes a batch of them, for a fraction of a second, and then leaves the store to others for a while.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from benchmarks.sweeps.store import rows
from benchmarks.sweeps.store.bulk import numbers, put
from benchmarks.sweeps.store.incoming import ATTEMPT, RUN, Incoming, incoming_of
from benchmarks.sweeps.store.schema import attempts, environments, members, runs, tallies
from benchmarks.sweeps.store.states import PENDING
from benchmarks.sweeps.store.store import Store
from benchmarks.sweeps.store.transitions import (
    Run,
    hold_all,
    leave_nothing_running,
    new_rows,
    one_at_a_time,
    tally_rows,
)
from benchmarks.sweeps.store.turns import Turns

BATCH = 1000
"""Records of a transaction."""

PAUSE = 0.5
"""Part of the time of a batch for which others may write before the next one; making that one counts."""


@dataclass(frozen=True)
class Imported:
    """How many runs came in, and how many were there already."""

    new: int
    known: int


def bring_in(store: Store, records: Iterable[Mapping[str, Any]]) -> Imported:
    """Enters records that were made elsewhere. A run that the store has a result of, or is at, keeps its own.

    Raises:
        StoreError: if a record is of no run that has ended, or has no rows to be made of; the batches before its own
            are in the store.
    """
    new = known = 0
    rest = incoming_of(records)
    turns = Turns(PAUSE)
    while batch := list(itertools.islice(rest, BATCH)):
        incoming: dict[tuple[str, str], Incoming] = {}
        for record in batch:
            incoming.setdefault(record.place, record)
        with turns.take(), store.database.write() as connection:
            entered = _bring_in(connection, incoming)
        new, known = new + entered, known + len(batch) - entered
    return Imported(new, known)


def _bring_in(connection: Connection, incoming: Mapping[tuple[str, str], Incoming]) -> int:
    """What the store does not have yet of a batch; returns how many."""
    one_at_a_time(connection)
    query = select(runs.c.id, runs.c.key, runs.c.code).where(runs.c.key.in_([key for key, _ in incoming]))
    known = {row.id: (row.key, row.code) for row in connection.execute(query) if (row.key, row.code) in incoming}
    there = set(known.values())
    fresh = [record for place, record in incoming.items() if place not in there]
    made: dict[int, Incoming] = dict(zip(numbers(connection, runs, len(fresh)), fresh, strict=True))
    put(connection, "runs", RUN, ((number, *record.run) for number, record in made.items()))
    before: dict[int, int] = {}
    waiting = hold_all(connection, runs.c.id.in_(known) & (runs.c.status == PENDING)) if known else []
    if waiting:
        those = [run.id for run in waiting]
        leave_nothing_running(connection, those, "its run came in from elsewhere")
        tried = select(attempts.c.run_id, func.max(attempts.c.number)).where(attempts.c.run_id.in_(those))
        before = {row[0]: row[1] for row in connection.execute(tried.group_by(attempts.c.run_id))}
        made |= {number: incoming[known[number]] for number in those}
    _enter_attempts(connection, made, before)
    if waiting:
        _decide(connection, waiting, made)
    return len(made)


def _decide(connection: Connection, waiting: list[Run], made: Mapping[int, Incoming]) -> None:
    """Runs that this transaction holds, and that wait, get the status of their records."""
    by_status: dict[str, list[int]] = {}
    for run in waiting:
        by_status.setdefault(made[run.id].status, []).append(run.id)
    for status, those in by_status.items():
        move = update(runs).where(runs.c.id.in_(those), runs.c.status == PENDING).values(status=status)
        if connection.execute(move).rowcount != len(those):
            raise RuntimeError(f"runs {those} were to be held as {PENDING!r} by this transaction, and are not")
        connection.execute(update(members).where(members.c.run_id.in_(those)).values(status=status))
    runs_by_id = {run.id: run for run in waiting}
    of_sweeps = select(members.c.sweep_id, members.c.run_id).where(members.c.run_id.in_(runs_by_id))
    moved: list[dict[str, Any]] = []
    for sweep_id, run_id in connection.execute(of_sweeps):
        record = made[run_id]
        moved += tally_rows(sweep_id, runs_by_id[run_id], record.status, record.wall_seconds, record.validation)
    if moved:
        connection.execute(insert(tallies), moved)


def _enter_attempts(connection: Connection, made: Mapping[int, Incoming], before: Mapping[int, int]) -> None:
    """The attempts of the records, after those that the store has already, and the checkpoints of those that count."""
    surroundings = dict(record.environment for record in made.values())
    contents = [{"id": number, "content": dict(content)} for number, content in surroundings.items()]
    new_rows(connection, environments, contents)
    drawn = iter(numbers(connection, attempts, sum(len(record.tries) for record in made.values())))
    tries: list[Sequence[Any]] = []
    points: list[Sequence[Any]] = []
    for run_id, record in made.items():
        last = before.get(run_id, 0)
        for place, attempt in enumerate(record.tries):
            number = next(drawn)
            tries.append((number, run_id, last + place + 1, *attempt))
            if place == record.counted:
                points += ((number, *point) for point in record.checkpoints)
    put(connection, "attempts", ATTEMPT, tries)
    put(connection, "checkpoints", rows.CHECKPOINT, points)
