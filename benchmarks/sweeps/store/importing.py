"""Records that were made elsewhere, brought into a store that others may be at work on.

A transaction takes a batch of them, for a fraction of a second, and then leaves the store to others for a while.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from benchmarks.sweeps.store import rows
from benchmarks.sweeps.store.database import StoreError
from benchmarks.sweeps.store.schema import attempts, checkpoints, environments, members, runs, tallies
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

BATCH = 500
"""Records of a transaction."""

PAUSE = 0.3
"""Part of the time of a batch for which others may write before the next one."""


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
    rest = iter(records)
    while batch := list(itertools.islice(rest, BATCH)):
        began = time.monotonic()
        entered = _bring_in(store, batch)
        new, known = new + entered, known + len(batch) - entered
        if len(batch) == BATCH:
            time.sleep(min(1.0, PAUSE * (time.monotonic() - began)))
    return Imported(new, known)


def _bring_in(store: Store, batch: list[Mapping[str, Any]]) -> int:
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for record in batch:
        found.setdefault(rows.place(record), record)
    made = {place: _outcome(record) for place, record in found.items()}
    with store.database.write() as connection:
        one_at_a_time(connection)
        new_rows(connection, runs, [_run_row(place, record) for place, record in found.items()])
        query = select(runs.c.id, runs.c.key, runs.c.code).where(runs.c.key.in_([key for key, _ in found]))
        held = {row.id: (row.key, row.code) for row in connection.execute(query) if (row.key, row.code) in found}
        waiting = [run for run in hold_all(connection, runs.c.id.in_(held)) if run.status == PENDING]
        if waiting:
            leave_nothing_running(connection, [run.id for run in waiting], "its run came in from elsewhere")
            _attempts(connection, {run.id: (found[held[run.id]], *made[held[run.id]]) for run in waiting})
            _decide(connection, waiting, {run.id: made[held[run.id]][0] for run in waiting})
    return len(waiting)


def _outcome(record: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    if record["status"] not in DECIDED:
        raise StoreError(f"run {record['key']}: only ended runs can be imported, got {record['status']!r}")
    return rows.from_outcome(record)


def _run_row(place: tuple[str, str], record: Mapping[str, Any]) -> dict[str, Any]:
    columns = {name: record["config"][name] for name in ("dataset", "algorithm", "held_out", "seed", "point")}
    key, code = place
    row = {"key": key, "code": code, "config": record["config"], "evaluations": record.get("evaluations")}
    return {**columns, **row, "status": PENDING}


def _decide(connection: Connection, waiting: list[Run], decided: Mapping[int, Mapping[str, Any]]) -> None:
    """Runs that this transaction holds, and that wait, get the status of their records."""
    by_status: dict[str, list[int]] = {}
    for run in waiting:
        by_status.setdefault(decided[run.id]["status"], []).append(run.id)
    for status, those in by_status.items():
        move = update(runs).where(runs.c.id.in_(those), runs.c.status == PENDING).values(status=status)
        if connection.execute(move).rowcount != len(those):
            raise RuntimeError(f"runs {those} were to be held as {PENDING!r} by this transaction, and are not")
        connection.execute(update(members).where(members.c.run_id.in_(those)).values(status=status))
    of_sweeps = select(members.c.sweep_id, members.c.run_id).where(members.c.run_id.in_(decided))
    runs_by_id = {run.id: run for run in waiting}
    moved = [
        row
        for sweep_id, run_id in connection.execute(of_sweeps)
        for row in _tally_rows(sweep_id, runs_by_id[run_id], decided[run_id])
    ]
    if moved:
        connection.execute(insert(tallies), moved)


def _tally_rows(sweep_id: int, run: Run, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    wall = values.get("wall_seconds") if values["status"] == FINISHED else None
    return tally_rows(sweep_id, run, values["status"], wall, values.get("validation"))


_Made = tuple[Mapping[str, Any], dict[str, Any], list[dict[str, Any]]]
_COPIED = ("failure", "error", "started", "ended")


def _attempts(connection: Connection, made: Mapping[int, _Made]) -> None:
    """The attempts of the records, after those that the store has already, and the checkpoints of those that count."""
    query = select(attempts.c.run_id, func.max(attempts.c.number)).where(attempts.c.run_id.in_(made))
    before = {row[0]: row[1] for row in connection.execute(query.group_by(attempts.c.run_id))}
    entered: list[dict[str, Any]] = []
    surroundings: dict[str, Any] = {}
    names = [column.name for column in attempts.columns if column.name != "id"]
    decisive: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for run_id, (record, values, points) in made.items():
        environment = record.get("environment") or {}
        environment_id = rows.digest(environment)
        surroundings[environment_id] = environment
        tries, counted = _tries(record, values["status"])
        for number, attempt in enumerate(tries, before.get(run_id, 0) + 1):
            row = {"run_id": run_id, "number": number, "beats": 0, "status": attempt["status"]}
            row |= {name: attempt.get(name) for name in _COPIED}
            if attempt is counted:
                row |= {**values, "environment_id": environment_id}
                decisive[run_id, number] = points
            entered.append({name: row.get(name) for name in names})
    contents = [{"id": number, "content": dict(content)} for number, content in surroundings.items()]
    new_rows(connection, environments, contents)
    connection.execute(insert(attempts), entered)
    query = select(attempts.c.id, attempts.c.run_id, attempts.c.number).where(attempts.c.run_id.in_(made))
    lines = [
        {"attempt_id": row.id, **point}
        for row in connection.execute(query)
        for point in decisive.get((row.run_id, row.number), ())
    ]
    if lines:
        connection.execute(insert(checkpoints), lines)


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
