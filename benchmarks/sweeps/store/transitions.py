"""The moves of `benchmarks.sweeps.store.states` as statements.

Each is an UPDATE on the condition that the state is the one that was read, in a transaction that holds the row of the
run. Every transaction touches first runs, then attempts and members, then tallies, so that none waits for one that
waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Table, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from benchmarks.sweeps.store.schema import attempts, members, runs, tallies
from benchmarks.sweeps.store.states import ATTEMPT_MOVES, FAILED, KILLED, RUN_MOVES, RUNNING, Event


@dataclass(frozen=True)
class Run:
    """A run that this transaction holds."""

    id: int
    status: str
    dataset: str
    algorithm: str
    held_out: str
    evaluations: int | None


_COLUMNS = (runs.c.id, runs.c.status, runs.c.dataset, runs.c.algorithm, runs.c.held_out, runs.c.evaluations)


def one_at_a_time(connection: Connection) -> None:
    """Transactions that hold many runs never wait for one another in a circle."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(2305, 1135)"))


def hold(connection: Connection, run_id: int) -> Run | None:
    """The run as it stays until this transaction ends; None if it is not there any more."""
    found = connection.execute(select(*_COLUMNS).where(runs.c.id == run_id).with_for_update()).first()
    return None if found is None else Run(*found)


def hold_all(connection: Connection, condition: sqlalchemy.ColumnElement[bool]) -> list[Run]:
    """All runs of which a condition holds, in one order for all transactions."""
    query = select(*_COLUMNS).where(condition).order_by(runs.c.id).with_for_update(of=runs)
    return [Run(*row) for row in connection.execute(query)]


def allowed(connection: Connection, event: Event, run: Run) -> str | None:
    """The status that the event brings a run to; None if it may not happen now."""
    moves = RUN_MOVES[event]
    if run.status == FAILED and KILLED in moves and _was_only_killed(connection, run.id):
        return moves[KILLED]
    return moves.get(run.status)


def move_run(
    connection: Connection,
    run: Run,
    target: str,
    *,
    wall_seconds: float | None = None,
    validation: float | None = None,
) -> None:
    """The run gets a status, in all its sweeps and in their tallies.

    Args:
        connection: Of a transaction that holds the run.
        run: The run.
        target: The status.
        wall_seconds: That it took, if it is finished now.
        validation: That it reached, if it is finished now.
    """
    done = connection.execute(
        update(runs).where(runs.c.id == run.id, runs.c.status == run.status).values(status=target)
    )
    if done.rowcount != 1:
        raise RuntimeError(f"run {run.id} was to be held as {run.status!r} by this transaction, and is not")
    connection.execute(update(members).where(members.c.run_id == run.id).values(status=target))
    own = select(members.c.sweep_id).where(members.c.run_id == run.id)
    moved = [
        row
        for sweep_id in connection.execute(own).scalars()
        for row in tally_rows(sweep_id, run, target, wall_seconds, validation)
    ]
    if moved:
        connection.execute(insert(tallies), moved)


def tally_rows(
    sweep_id: int, run: Run, target: str, wall_seconds: float | None, validation: float | None
) -> list[dict[str, Any]]:
    """What the move of a run to a status adds to the tallies of a sweep."""
    paid = run.evaluations or 0
    common = {"sweep_id": sweep_id, "dataset": run.dataset, "algorithm": run.algorithm}
    gone = {"status": run.status, "runs": -1, "evaluations": -paid, "timed": 0, "wall_seconds": 0.0}
    come = {"status": target, "runs": 1, "evaluations": paid, "timed": 0, "wall_seconds": 0.0}
    if wall_seconds is not None:
        come |= {"timed": paid, "wall_seconds": wall_seconds}
    best = {"validation": validation, "held_out": None if validation is None else run.held_out}
    return [{**common, **gone, "validation": None, "held_out": None}, {**common, **come, **best}]


def move_attempt(
    connection: Connection, attempt_id: int, event: Event, values: Mapping[str, Any] | None = None
) -> bool:
    """The attempt gets the status that the event brings it to, and other values; False if it may not happen now."""
    moves = ATTEMPT_MOVES[event]
    query = select(attempts.c.status, attempts.c.failure).where(attempts.c.id == attempt_id).with_for_update()
    found = connection.execute(query).first()
    if found is None:
        return False
    now = KILLED if (found.status, found.failure) == (FAILED, KILLED) else found.status
    if now not in moves:
        return False
    done = connection.execute(
        update(attempts)
        .where(attempts.c.id == attempt_id, attempts.c.status == found.status)
        .values(**{**(values or {}), "status": moves[now]})
    )
    return int(done.rowcount) == 1


def leave_nothing_running(connection: Connection, run_ids: Iterable[int], error: str) -> None:
    """Ends attempts that are said to be running at runs that wait: of older versions, or of workers that came late."""
    connection.execute(
        update(attempts)
        .where(attempts.c.run_id.in_(list(run_ids)), attempts.c.status == RUNNING)
        .values(status=ATTEMPT_MOVES["interrupt"][RUNNING], error=error)
    )


def new_rows(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Enters the rows that are not there yet, by any of the table's unique constraints."""
    if not rows:
        return
    engine = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(engine.insert(table).on_conflict_do_nothing(), rows)


def new_row(connection: Connection, table: Table, row: Mapping[str, Any]) -> int:
    """Enters a row; returns its number."""
    key = connection.execute(insert(table).values(**row)).inserted_primary_key
    if key is None:
        raise RuntimeError(f"the database gave no number for a new row of {table.name}")
    return int(key[0])


def next_number(connection: Connection, run_id: int) -> int:
    """Of the next attempt at a run."""
    query = select(func.coalesce(func.max(attempts.c.number), 0)).where(attempts.c.run_id == run_id)
    return int(connection.execute(query).scalar_one()) + 1


def _was_only_killed(connection: Connection, run_id: int) -> bool:
    """Whether the last failure of a run is that of its processes."""
    query = (
        select(attempts.c.failure)
        .where(attempts.c.run_id == run_id, attempts.c.status == FAILED)
        .order_by(attempts.c.number.desc())
        .limit(1)
    )
    return connection.execute(query).scalar() == KILLED
