"""Stores of older versions."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from benchmarks.sweeps.store import schema
from benchmarks.sweeps.store.states import DIVERGED, FAILED
from benchmarks.sweeps.store.tally import count_again


def from_version_2(connection: Connection) -> None:
    """Brings the tables of version 2 to the present one, with everything in them.

    There a run that diverged was a failed one, a member of a sweep had no status, and a worker was told by host,
    process id and time of its start alone (it has no place now, so that its lease decides).
    """
    for statement in (
        "ALTER TABLE sweeps ADD COLUMN complete BOOLEAN NOT NULL DEFAULT TRUE",
        "ALTER TABLE members ADD COLUMN status VARCHAR(12) NOT NULL DEFAULT 'pending'",
        "ALTER TABLE workers ADD COLUMN place VARCHAR",
        "DROP INDEX IF EXISTS runs_by_status",
    ):
        connection.exec_driver_sql(statement)
    schema.metadata.create_all(connection, tables=[schema.tallies])
    for index in schema.members.indexes:
        index.create(connection)
    diverged = select(schema.attempts.c.run_id).where(
        schema.attempts.c.status == FAILED, schema.attempts.c.failure == DIVERGED
    )
    connection.execute(
        update(schema.runs)
        .where(schema.runs.c.status == FAILED, schema.runs.c.id.in_(diverged.scalar_subquery()))
        .values(status=DIVERGED)
    )
    connection.execute(
        update(schema.attempts)
        .where(schema.attempts.c.status == FAILED, schema.attempts.c.failure == DIVERGED)
        .values(status=DIVERGED)
    )
    own = select(schema.runs.c.status).where(schema.runs.c.id == schema.members.c.run_id).scalar_subquery()
    connection.execute(update(schema.members).values(status=own))
    for sweep_id in connection.execute(select(schema.sweeps.c.id)).scalars().all():
        count_again(connection, sweep_id)
    connection.execute(update(schema.meta).values(version=schema.VERSION))
