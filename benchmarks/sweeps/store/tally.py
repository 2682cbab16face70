"""How far a sweep is, from some hundred rows however many runs it has.

Whatever changes a run adds two rows to the tallies: one run less here, one more there. Nobody waits for anybody else
then; whoever reads adds them up, and when there are many puts their sums in their place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Float, String, case, delete, func, insert, literal, select, text
from sqlalchemy import Integer as Whole

from benchmarks.sweeps.store.schema import attempts, members, runs, tallies
from benchmarks.sweeps.store.states import FINISHED, PENDING, RUNNING, STATUSES

MANY = 1000
"""Rows beyond the sums after which they are added up for good."""


@dataclass(frozen=True)
class Best:
    """The finished run with the highest validation so far on a data set."""

    dataset: str
    algorithm: str
    held_out: str
    validation: float


@dataclass
class Progress:
    """How far a sweep is.

    Attributes:
        counts: Runs by status.
        ahead: (data set, algorithm, status) to runs and gradient evaluations, of what is still to be done.
        speeds: (data set, algorithm) to seconds of a gradient evaluation.
        best: For each data set that has finished runs.
        rows: That it was read from.
        sums: That would do.
    """

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATUSES, 0))
    ahead: dict[tuple[str, str, str], tuple[int, int]] = field(default_factory=dict)
    speeds: dict[tuple[str, str], float] = field(default_factory=dict)
    best: list[Best] = field(default_factory=list)
    rows: int = 0
    sums: int = 0

    @property
    def is_long(self) -> bool:
        """Whether it is time to `add_up`."""
        return self.rows > 2 * self.sums + MANY

    def rows_ahead(self) -> list[dict[str, Any]]:
        """What is ahead, a row each: ``dataset``, ``algorithm``, ``status``, ``runs``, ``evaluations``."""
        names = ("dataset", "algorithm", "status", "runs", "evaluations")
        return [dict(zip(names, (*kind, *numbers), strict=True)) for kind, numbers in self.ahead.items()]


_Sum = list[Any]  # runs, evaluations, timed, wall_seconds, validation, held_out


def _summed(rows: Any) -> dict[tuple[str, str, str], _Sum]:
    sums: dict[tuple[str, str, str], _Sum] = defaultdict(lambda: [0, 0, 0, 0.0, None, None])
    for dataset, algorithm, status, number, evaluations, timed, wall, validation, held_out in rows:
        own = sums[dataset, algorithm, status]
        own[0] += number
        own[1] += int(evaluations)
        own[2] += int(timed)
        own[3] += wall
        if validation is not None and (own[4] is None or validation > own[4]):
            own[4:] = validation, held_out
    return sums


_READ = (
    *(tallies.c.dataset, tallies.c.algorithm, tallies.c.status, tallies.c.runs, tallies.c.evaluations),
    *(tallies.c.timed, tallies.c.wall_seconds, tallies.c.validation, tallies.c.held_out),
)


def progress(connection: Connection, sweep_id: int) -> Progress:
    """How far a sweep is."""
    found = Progress()
    rows = connection.execute(select(*_READ).where(tallies.c.sweep_id == sweep_id).order_by(tallies.c.id)).all()
    sums = _summed(rows)
    found.rows, found.sums = len(rows), len(sums)
    best: dict[str, Best] = {}
    for (dataset, algorithm, status), (number, evaluations, timed, wall, validation, held_out) in sums.items():
        found.counts[status] = found.counts.get(status, 0) + number
        if status in (PENDING, RUNNING) and number:
            found.ahead[dataset, algorithm, status] = number, evaluations
        if timed > 0:
            found.speeds[dataset, algorithm] = wall / timed
        is_result = status == FINISHED and number and validation is not None
        if is_result and (dataset not in best or validation > best[dataset].validation):
            best[dataset] = Best(dataset, algorithm, held_out, validation)
    found.best = list(best.values())
    return found


def counts(connection: Connection, sweep_id: int) -> dict[str, int]:
    """Runs by status."""
    query = (
        select(tallies.c.status, func.sum(tallies.c.runs))
        .where(tallies.c.sweep_id == sweep_id)
        .group_by(tallies.c.status)
    )
    found = {row[0]: int(row[1]) for row in connection.execute(query)}
    return {status: found.get(status, 0) for status in STATUSES}


def moved(connection: Connection, run_ids: Sequence[int], target: str) -> None:
    """Notes that decided runs are about to get another status."""
    groups = (members.c.sweep_id, runs.c.dataset, runs.c.algorithm)
    for status, sign in ((runs.c.status, -1), (literal(target, String), 1)):
        query = select(
            *(*groups, status, sign * func.count(), sign * func.coalesce(func.sum(runs.c.evaluations), 0)),
            *(literal(0, Whole), literal(0.0, Float)),
        )
        query = query.select_from(members.join(runs, runs.c.id == members.c.run_id)).where(runs.c.id.in_(run_ids))
        names = ("sweep_id", "dataset", "algorithm", "status", "runs", "evaluations", "timed", "wall_seconds")
        connection.execute(insert(tallies).from_select(names, query.group_by(*groups, runs.c.status)))


def keep_still(connection: Connection) -> None:
    """Nobody changes tallies until this transaction ends; SQLite lets one transaction write at a time anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE tallies IN SHARE ROW EXCLUSIVE MODE"))


def add_up(connection: Connection, sweep_id: int) -> None:
    """Puts the sums in the place of the rows."""
    keep_still(connection)
    sums = _summed(connection.execute(select(*_READ).where(tallies.c.sweep_id == sweep_id).order_by(tallies.c.id)))
    connection.execute(delete(tallies).where(tallies.c.sweep_id == sweep_id))
    _enter(connection, sweep_id, sums)


def count_again(connection: Connection, sweep_id: int) -> None:
    """The tallies of a sweep from its runs, whatever they were."""
    keep_still(connection)
    connection.execute(delete(tallies).where(tallies.c.sweep_id == sweep_id))
    _enter(connection, sweep_id, counted(connection, sweep_id))


def counted(connection: Connection, sweep_id: int) -> dict[tuple[str, str, str], _Sum]:
    """What the tallies of a sweep have to be."""
    groups = (runs.c.dataset, runs.c.algorithm, runs.c.status)
    joined = members.join(runs, runs.c.id == members.c.run_id)
    query = select(*groups, func.count(), func.coalesce(func.sum(runs.c.evaluations), 0)).select_from(joined)
    query = query.where(members.c.sweep_id == sweep_id).group_by(*groups)
    sums: dict[tuple[str, str, str], _Sum] = {
        (dataset, algorithm, status): [number, int(evaluations), 0, 0.0, None, None]
        for dataset, algorithm, status, number, evaluations in connection.execute(query)
    }
    # Of the finished ones alone: what they took, and the best of them.
    timed = case((attempts.c.wall_seconds.is_not(None), func.coalesce(runs.c.evaluations, 0)), else_=literal(0, Whole))
    finished = joined.join(attempts, (attempts.c.run_id == runs.c.id) & (attempts.c.status == FINISHED))
    query = (
        select(
            *(runs.c.dataset, runs.c.algorithm, runs.c.held_out, func.sum(timed)),
            *(func.sum(func.coalesce(attempts.c.wall_seconds, 0.0)), func.max(attempts.c.validation)),
        )
        .select_from(finished)
        .where(members.c.sweep_id == sweep_id, runs.c.status == FINISHED)
        .group_by(runs.c.dataset, runs.c.algorithm, runs.c.held_out)
    )
    for dataset, algorithm, held_out, evaluations, wall, validation in connection.execute(query):
        own = sums[dataset, algorithm, FINISHED]
        own[2] += int(evaluations)
        own[3] += float(wall)
        if validation is not None and (own[4] is None or validation > own[4]):
            own[4:] = validation, held_out
    return sums


def _enter(connection: Connection, sweep_id: int, sums: dict[tuple[str, str, str], _Sum]) -> None:
    names = ("dataset", "algorithm", "status", "runs", "evaluations", "timed", "wall_seconds", "validation", "held_out")
    rows = [
        {"sweep_id": sweep_id, **dict(zip(names, (*kind, *own), strict=True))}
        for kind, own in sums.items()
        if own[0] or own[2] or own[4] is not None
    ]
    if rows:
        connection.execute(insert(tallies), rows)


__all__ = ["Best", "Progress", "add_up", "count_again", "counted", "counts", "keep_still", "moved", "progress"]
