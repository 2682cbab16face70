"""What is done to a whole sweep: its runs again, its removal, and the agreement of what is kept twice."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import delete, false, or_, select, update

from benchmarks.sweeps.store import tally
from benchmarks.sweeps.store.database import Database
from benchmarks.sweeps.store.schema import attempts, checkpoints, members, runs, sweeps, tallies, workers
from benchmarks.sweeps.store.states import DECIDED, FINISHED, PENDING, SUPERSEDED
from benchmarks.sweeps.store.transitions import hold_all, leave_nothing_running, one_at_a_time

CHUNK = 1000
"""Runs that one transaction reads or changes where all are gone through."""


def agree(database: Database, sweep_id: int) -> None:
    """What is kept twice is made the same again, should a hand have changed the runs alone."""
    joined = members.join(runs, runs.c.id == members.c.run_id)
    differing = select(members.c.run_id, runs.c.status).select_from(joined)
    differing = differing.where(members.c.sweep_id == sweep_id, members.c.status != runs.c.status)
    with database.read() as connection:
        if connection.execute(differing.limit(1)).first() is None:
            return
    with database.write() as connection:
        own = select(runs.c.status).where(runs.c.id == members.c.run_id).scalar_subquery()
        hold_all(connection, runs.c.id.in_(differing.with_only_columns(members.c.run_id)))
        connection.execute(
            update(members)
            .where(members.c.run_id.in_(differing.with_only_columns(members.c.run_id).scalar_subquery()))
            .values(status=own)
        )
        for each in connection.execute(select(sweeps.c.id)).scalars().all():
            tally.count_again(connection, each)


def redo(database: Database, sweep_id: int, statuses: Collection[str], keys: Collection[str] | None) -> int:
    """Makes decided runs of a sweep claimable again: those with a status, and a name that begins so; how many."""
    chosen = select(runs.c.id).join(members, members.c.run_id == runs.c.id).where(members.c.sweep_id == sweep_id)
    chosen = chosen.where(runs.c.status.in_([status for status in statuses if status in DECIDED]))
    if keys is not None:
        chosen = chosen.where(or_(false(), *(runs.c.key.startswith(key, autoescape=True) for key in keys)))
    with database.read() as connection:
        numbers = connection.execute(chosen.order_by(runs.c.id)).scalars().all()
    done = 0
    for first in range(0, len(numbers), CHUNK):
        done += _redo(database, numbers[first : first + CHUNK], statuses)
    return done


def _redo(database: Database, numbers: Sequence[int], statuses: Collection[str]) -> int:
    with database.write() as connection:
        one_at_a_time(connection)
        held = hold_all(connection, runs.c.id.in_(numbers) & runs.c.status.in_(list(statuses)))
        those = [run.id for run in held]
        leave_nothing_running(connection, those, "the run was to be done again")
        results = attempts.c.run_id.in_(those) & (attempts.c.status == FINISHED)
        of_results = checkpoints.c.attempt_id.in_(select(attempts.c.id).where(results))
        connection.execute(delete(checkpoints).where(of_results))
        connection.execute(update(attempts).where(results).values(status=SUPERSEDED))
        tally.moved(connection, those, PENDING)
        connection.execute(update(runs).where(runs.c.id.in_(those)).values(status=PENDING))
        connection.execute(update(members).where(members.c.run_id.in_(those)).values(status=PENDING))
        if any(run.status == FINISHED for run in held):  # one of them may be the best
            touched = select(members.c.sweep_id).where(members.c.run_id.in_(those)).distinct()
            for sweep_id in connection.execute(touched).scalars().all():
                tally.count_again(connection, sweep_id)
    return len(those)


def delete_sweep(database: Database, sweep_id: int) -> int:
    """Removes a sweep and the runs that no other sweep has; returns how many."""
    with database.write() as connection:
        one_at_a_time(connection)
        other = select(members.c.run_id).where(members.c.sweep_id != sweep_id)
        own = select(members.c.run_id).where(members.c.sweep_id == sweep_id, members.c.run_id.not_in(other))
        numbers = [run.id for run in hold_all(connection, runs.c.id.in_(own))]
        connection.execute(delete(members).where(members.c.sweep_id == sweep_id))
        for first in range(0, len(numbers), CHUNK):
            those = numbers[first : first + CHUNK]
            tries = select(attempts.c.id).where(attempts.c.run_id.in_(those))
            connection.execute(delete(checkpoints).where(checkpoints.c.attempt_id.in_(tries)))
            connection.execute(delete(attempts).where(attempts.c.run_id.in_(those)))
            connection.execute(delete(runs).where(runs.c.id.in_(those)))
        connection.execute(delete(tallies).where(tallies.c.sweep_id == sweep_id))
        connection.execute(update(workers).where(workers.c.sweep_id == sweep_id).values(sweep_id=None))
        connection.execute(delete(sweeps).where(sweeps.c.id == sweep_id))
    return len(numbers)
