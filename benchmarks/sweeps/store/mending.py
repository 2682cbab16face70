"""Finds and mends what no version of the code should have left in a store, but an older one or a hand may have.

A run is what its attempts say. Results are never thrown away: where run and attempts disagree, an attempt with a result
decides; where none has one, the run can be done again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, exists, func, select, update

from benchmarks.sweeps.store.database import Database
from benchmarks.sweeps.store.schema import attempts, checkpoints, members, runs, sweeps, tallies
from benchmarks.sweeps.store.states import (
    DIVERGED,
    ENDINGS,
    FAILED,
    FINISHED,
    LOST,
    PENDING,
    RUNNING,
    STATUSES,
)
from benchmarks.sweeps.store.tally import count_again, counted
from benchmarks.sweeps.store.transitions import one_at_a_time


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes:
        what: In words.
        number: How many rows.
        remedy: What mends it.
    """

    what: str
    number: int
    remedy: str


def _has(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(attempts.c.run_id == runs.c.id, *conditions)


_RESULT = (attempts.c.status == FINISHED) & attempts.c.selections.is_not(None)


@dataclass(frozen=True)
class _Rule:
    what: str
    remedy: str
    rows: Select[Any]
    mend: Callable[[Connection], Any]


def _attempts_to(status: str, which: ColumnElement[bool], **values: Any) -> Callable[[Connection], Any]:
    def mend(connection: Connection) -> None:
        connection.execute(update(attempts).where(which).values(status=status, **values))

    return mend


def _runs_to(status: str, which: ColumnElement[bool]) -> Callable[[Connection], Any]:
    def mend(connection: Connection) -> None:
        connection.execute(update(runs).where(which).values(status=status))

    return mend


def _rules() -> list[_Rule]:
    """In the order in which they have to be mended: attempts, then runs, then what is kept twice."""
    orphans = attempts.c.run_id.not_in(select(runs.c.id))
    unknown = attempts.c.status.not_in((RUNNING, *ENDINGS))
    empty = (attempts.c.status == FINISHED) & attempts.c.selections.is_(None)
    failed_as_diverged = (attempts.c.status == FAILED) & (attempts.c.failure == DIVERGED)
    stale = attempts.c.status.in_([LOST, RUNNING, "superseded", "interrupted"])
    points = checkpoints.c.attempt_id.not_in(select(attempts.c.id)) | checkpoints.c.attempt_id.in_(
        select(attempts.c.id).where(stale)
    )
    lost_members = members.c.run_id.not_in(select(runs.c.id)) | members.c.sweep_id.not_in(select(sweeps.c.id))
    has_result, runs_now = _has(_RESULT), _has(attempts.c.status == RUNNING)
    unseen = has_result & (runs.c.status != FINISHED)
    diverged = (runs.c.status == FAILED) & ~_has(attempts.c.status == FAILED) & _has(attempts.c.status == DIVERGED)
    undecided = ~has_result & (
        (runs.c.status == FINISHED)
        | ((runs.c.status == FAILED) & ~_has(attempts.c.status == FAILED))
        | ((runs.c.status == DIVERGED) & ~_has(attempts.c.status == DIVERGED))
        | ((runs.c.status == RUNNING) & ~runs_now)
        | runs.c.status.not_in(STATUSES)
    )
    claimed = ~has_result & (runs.c.status == PENDING) & runs_now
    differing = select(members.c.run_id).join(runs, runs.c.id == members.c.run_id)
    differing = differing.where(members.c.status != runs.c.status)
    own = select(runs.c.status).where(runs.c.id == members.c.run_id).scalar_subquery()

    def agree(connection: Connection) -> None:
        numbers = differing.scalar_subquery()
        connection.execute(update(members).where(members.c.run_id.in_(numbers)).values(status=own))

    def leave(connection: Connection) -> None:
        incomplete = sweeps.c.id.in_(select(members.c.sweep_id).where(lost_members))
        connection.execute(update(sweeps).where(incomplete).values(complete=False))
        connection.execute(delete(members).where(lost_members))

    return [
        _Rule("attempts at runs that are not there", "removed", select(attempts.c.id).where(orphans), _gone(orphans)),
        _Rule(
            "attempts with a status that does not exist",
            "they count as lost",
            select(attempts.c.id).where(unknown),
            _attempts_to(LOST, unknown),
        ),
        _Rule(
            "results without what was selected",
            "they count as lost",
            select(attempts.c.id).where(empty),
            _attempts_to(LOST, empty, error="its result was incomplete"),
        ),
        _Rule(
            "attempts that diverged and are called failed",
            "called diverged",
            select(attempts.c.id).where(failed_as_diverged),
            _attempts_to(DIVERGED, failed_as_diverged),
        ),
        _Rule(
            "checkpoints of no attempt that counts",
            "removed",
            select(checkpoints.c.attempt_id).where(points),
            lambda connection: connection.execute(delete(checkpoints).where(points)),
        ),
        _Rule(
            "places of runs or sweeps that are not there",
            "removed; the command of such a sweep enters its runs again",
            select(members.c.run_id).where(lost_members),
            leave,
        ),
        _Rule("runs with a result that do not count", "finished", _of_runs(unseen), _runs_to(FINISHED, unseen)),
        _Rule("runs that diverged and are called failed", "diverged", _of_runs(diverged), _runs_to(DIVERGED, diverged)),
        _Rule(
            "runs that are said to be at work or decided, and have no attempt that is",
            "they can be done again",
            _of_runs(undecided),
            _runs_to(PENDING, undecided),
        ),
        _Rule("runs that wait and are being done", "running", _of_runs(claimed), _runs_to(RUNNING, claimed)),
        _Rule("places that do not have the status of their run", "they have it", differing, agree),
    ]


def _of_runs(which: ColumnElement[bool]) -> Select[Any]:
    return select(runs.c.id).where(which)


def _gone(which: ColumnElement[bool]) -> Callable[[Connection], Any]:
    def mend(connection: Connection) -> None:
        of_them = checkpoints.c.attempt_id.in_(select(attempts.c.id).where(which))
        connection.execute(delete(checkpoints).where(of_them))
        connection.execute(delete(attempts).where(which))

    return mend


def check(database: Database, mend: bool = True) -> list[Finding]:
    """What is wrong with a store; nothing of it is left after mending.

    Args:
        database: The store.
        mend: Whether to mend it; all of it happens, or nothing.

    Raises:
        StoreError: if the file itself is damaged, which nothing here mends.
    """
    found: list[Finding] = []
    with database.write() if mend else database.read() as connection:
        if mend:
            one_at_a_time(connection)
        damage = _damage(connection)
        if damage:
            return [Finding(f"the file is damaged: {damage}", 1, "import records.jsonl into a new store")]
        for rule in _rules():
            number = connection.execute(select(func.count()).select_from(rule.rows.subquery())).scalar_one()
            if number:
                found.append(Finding(rule.what, number, rule.remedy))
                if mend:
                    rule.mend(connection)
        if mend:
            connection.execute(delete(tallies).where(tallies.c.sweep_id.not_in(select(sweeps.c.id))))
        for sweep_id in connection.execute(select(sweeps.c.id).where(sweeps.c.complete)).scalars().all():
            if _wrong_tallies(connection, sweep_id):
                found.append(Finding(f"tallies of sweep {sweep_id} that are not its runs", 1, "counted again"))
                if mend:
                    count_again(connection, sweep_id)
        unfinished = connection.execute(select(sweeps.c.id).where(~sweeps.c.complete)).scalars().all()
    found += [
        Finding(f"sweep {number}: entering its runs was broken off", 1, "give the sweep's command again")
        for number in unfinished
    ]
    return found


def _damage(connection: Connection) -> str:
    if connection.dialect.name != "sqlite":
        return ""
    said = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
    return "" if said == "ok" else str(said)


def _wrong_tallies(connection: Connection, sweep_id: int) -> bool:
    groups = (tallies.c.dataset, tallies.c.algorithm, tallies.c.status)
    query = select(*groups, func.sum(tallies.c.runs), func.sum(tallies.c.evaluations))
    query = query.where(tallies.c.sweep_id == sweep_id).group_by(*groups)
    told = {tuple(row[:3]): (int(row[3]), int(row[4])) for row in connection.execute(query)}
    right = {kind: (sums[0], sums[1]) for kind, sums in counted(connection, sweep_id).items()}
    return {kind: pair for kind, pair in told.items() if pair != (0, 0)} != right
