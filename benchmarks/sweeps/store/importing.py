"""Records that were made elsewhere, brought into a store that others may be at work on.

A transaction takes a batch of them, for a fraction of a second, and then leaves the store to others for a while.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from benchmarks.sweeps.store import rows
from benchmarks.sweeps.store.bulk import numbers, put
from benchmarks.sweeps.store.database import StoreError
from benchmarks.sweeps.store.rows import to_json
from benchmarks.sweeps.store.schema import attempts, environments, members, runs, tallies
from benchmarks.sweeps.store.states import (
    DECIDED,
    DIVERGED,
    ENDINGS,
    FAILED,
    FINISHED,
    LOST,
    PENDING,
    SUPERSEDED,
)
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
        StoreError: if a record is of no run that has ended; what came before it is in the store.
    """
    new = known = 0
    rest = map(_incoming, records)
    turns = Turns(PAUSE)
    while batch := list(itertools.islice(rest, BATCH)):
        incoming: dict[tuple[str, str], _Incoming] = {}
        for record in batch:
            incoming.setdefault(record.place, record)
        with turns.take(), store.database.write() as connection:
            entered = _bring_in(connection, incoming)
        new, known = new + entered, known + len(batch) - entered
    return Imported(new, known)


class _Incoming(NamedTuple):
    """A record as rows, but for the numbers that the store gives them; made before the store is held."""

    place: tuple[str, str]
    status: str
    run: tuple[Any, ...]  # _RUN without its number
    tries: list[tuple[Any, ...]]  # _ATTEMPT without its number and those of run and attempt
    counted: int  # which of them counts
    checkpoints: list[tuple[Any, ...]]  # without the number of the attempt
    environment: tuple[str, Mapping[str, Any]]
    wall_seconds: float | None
    validation: float | None


_IDENTITY = ("dataset", "algorithm", "held_out", "seed", "point")
_RUN = ("id", "status", "key", "code", "config", "evaluations", *_IDENTITY)
_ATTEMPT = (
    "id",
    "run_id",
    "number",
    *(column.name for column in attempts.columns if column.name not in ("id", "run_id", "number", "worker_id")),
)
_COPIED = ("failure", "error", "started", "ended")
_JSON = ("selections", "diagnostics")


def _incoming(record: Mapping[str, Any]) -> _Incoming:
    if record["status"] not in DECIDED:
        raise StoreError(f"run {record['key']}: only ended runs can be imported, got {record['status']!r}")
    values, points = rows.from_outcome(record)
    place, config, status = rows.place(record), record["config"], values["status"]
    environment = record.get("environment") or {}
    values["environment_id"] = rows.digest(environment)
    values |= {name: to_json(values[name]) for name in _JSON if values.get(name) is not None}
    tries, counted = _tries(record, status)
    lines = []
    for attempt in tries:
        row = {"beats": 0, "status": attempt["status"], **{name: attempt.get(name) for name in _COPIED}}
        if attempt is counted:
            row |= values
        lines.append(tuple(map(row.get, _ATTEMPT[3:])))
    return _Incoming(
        place=place,
        status=status,
        run=(*place, to_json(config), record.get("evaluations"), *(config[name] for name in _IDENTITY)),
        tries=lines,
        counted=next(number for number, attempt in enumerate(tries) if attempt is counted),
        checkpoints=points,
        environment=(values["environment_id"], environment),
        wall_seconds=values.get("wall_seconds") if status == FINISHED else None,
        validation=values.get("validation"),
    )


def _bring_in(connection: Connection, incoming: Mapping[tuple[str, str], _Incoming]) -> int:
    """What the store does not have yet of a batch; returns how many."""
    one_at_a_time(connection)
    query = select(runs.c.id, runs.c.key, runs.c.code).where(runs.c.key.in_([key for key, _ in incoming]))
    known = {row.id: (row.key, row.code) for row in connection.execute(query) if (row.key, row.code) in incoming}
    there = set(known.values())
    fresh = [record for place, record in incoming.items() if place not in there]
    made: dict[int, _Incoming] = dict(zip(numbers(connection, runs, len(fresh)), fresh, strict=True))
    put(connection, "runs", _RUN, ((number, record.status, *record.run) for number, record in made.items()))
    before: dict[int, int] = {}
    waiting = hold_all(connection, runs.c.id.in_(known) & (runs.c.status == PENDING)) if known else []
    if waiting:
        those = [run.id for run in waiting]
        leave_nothing_running(connection, those, "its run came in from elsewhere")
        tried = select(attempts.c.run_id, func.max(attempts.c.number)).where(attempts.c.run_id.in_(those))
        before = {row[0]: row[1] for row in connection.execute(tried.group_by(attempts.c.run_id))}
        made |= {number: incoming[known[number]] for number in those}
        _decide(connection, waiting, made)
    _enter_attempts(connection, made, before)
    return len(made)


def _decide(connection: Connection, waiting: list[Run], made: Mapping[int, _Incoming]) -> None:
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


def _enter_attempts(connection: Connection, made: Mapping[int, _Incoming], before: Mapping[int, int]) -> None:
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
    put(connection, "attempts", _ATTEMPT, tries)
    put(connection, "checkpoints", rows.CHECKPOINT, points)


def _tries(record: Mapping[str, Any], status: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The attempts of a record, and the one that counts, whatever an older version called it."""
    tries = [dict(attempt) for attempt in record.get("attempts") or ()]
    names = (status, FAILED) if status == DIVERGED else (status,)
    counted = next((attempt for attempt in reversed(tries) if attempt["status"] in names), None)
    if counted is None:
        counted = {}
        tries.append(counted)
    counted["status"] = status
    for attempt in tries:
        if attempt is not counted and attempt["status"] == FINISHED:
            attempt["status"] = SUPERSEDED
        elif attempt["status"] not in ENDINGS:
            attempt["status"] = LOST
    return tries, counted
