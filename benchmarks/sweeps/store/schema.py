"""The tables.

A run is a configuration and the code that it is done with: ``UNIQUE (key, code)``. An attempt is one try at it. Two
partial unique indexes carry the promise that a run is counted once, whatever is killed when: at most one attempt of a
run is ``running``, at most one is ``finished``. The states are those of `benchmarks.sweeps.store.states`.

Two things are kept twice, so that nothing takes longer in a sweep of a million runs: a member of a sweep has the status
of its run (a claim looks into one index), and the tallies add up to the runs by status (progress reads some hundred
rows). `benchmarks.sweeps.store.transitions` writes both in the transaction that changes a run.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
    true,
)

VERSION = 3
"""Of these tables; a store of version 2 is brought to it, one of any other version is refused."""

metadata = MetaData()

meta = Table("meta", metadata, Column("version", Integer, nullable=False))

sweeps = Table(
    "sweeps",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(64), nullable=False, unique=True),
    Column("config", JSON(none_as_null=True), nullable=False),
    Column("created", Float, nullable=False),
    Column("complete", Boolean, nullable=False, server_default=true()),  # false while its runs are being entered
)

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(16), nullable=False),
    Column("code", String(16), nullable=False),
    Column("config", JSON(none_as_null=True), nullable=False),
    Column("dataset", String, nullable=False),
    Column("algorithm", String, nullable=False),
    Column("held_out", String, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("point", Integer, nullable=False),
    Column("evaluations", BigInteger),
    Column("status", String(12), nullable=False),  # pending, running, finished, failed, diverged
    UniqueConstraint("key", "code"),
)

members = Table(
    "members",
    metadata,
    Column("sweep_id", ForeignKey("sweeps.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("status", String(12), nullable=False, server_default="pending"),  # that of the run
    PrimaryKeyConstraint("sweep_id", "position"),
    UniqueConstraint("run_id", "sweep_id"),
    sqlite_with_rowid=False,
)

tallies = Table(
    "tallies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sweep_id", ForeignKey("sweeps.id"), nullable=False),
    Column("dataset", String, nullable=False),
    Column("algorithm", String, nullable=False),
    Column("status", String(12), nullable=False),
    Column("runs", Integer, nullable=False),  # to be added up; less than 0 where runs left this status
    Column("evaluations", BigInteger, nullable=False),
    Column("timed", BigInteger, nullable=False),  # the evaluations that wall_seconds were measured of
    Column("wall_seconds", Float, nullable=False),
    Column("validation", Float),  # the best of these finished runs
    Column("held_out", String),  # of that one
)

environments = Table(
    "environments",
    metadata,
    Column("id", String(16), primary_key=True),  # hash of the content
    Column("content", JSON(none_as_null=True), nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("launcher", String, nullable=False),
    Column("host", String, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("place", String),  # what pid and born are numbers of: see `benchmarks.sweeps.store.identity`
    Column("born", Float),  # tick of its start
    Column("sweep_id", ForeignKey("sweeps.id")),
    Column("started", Float, nullable=False),
    Column("ended", Float),
    Column("busy_seconds", Float, nullable=False),
    Column("runs", Integer, nullable=False),
    Column("ending", Text),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("worker_id", ForeignKey("workers.id")),
    Column("status", String(12), nullable=False),  # running, finished, failed, diverged, lost, interrupted, superseded
    Column("beats", Integer, nullable=False),
    Column("started", Float),
    Column("ended", Float),
    Column("wall_seconds", Float),
    Column("cpu_seconds", Float),
    Column("resident_bytes", BigInteger),
    Column("cuda_bytes", BigInteger),
    Column("environment_id", ForeignKey("environments.id")),
    Column("failure", String(16)),
    Column("error", Text),
    Column("traceback", Text),
    Column("validation", Float),  # of the checkpoint that training-domain validation chose
    Column("selections", JSON(none_as_null=True)),
    Column("diagnostics", JSON(none_as_null=True)),
    Column("model_file", String),
    UniqueConstraint("run_id", "number"),
    sqlite_autoincrement=True,  # a claim of an attempt that was deleted must not be one of a later attempt
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("attempt_id", ForeignKey("attempts.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("loss", Float),
    Column("validation", Float),
    Column("held_out", Float),
    Column("domains", JSON(none_as_null=True), nullable=False),
    Column("measures", JSON(none_as_null=True), nullable=False),
    PrimaryKeyConstraint("attempt_id", "number"),
)

_PENDING, _RUNNING, _FINISHED = (text(f"status = '{status}'") for status in ("pending", "running", "finished"))
Index("one_claim", attempts.c.run_id, unique=True, sqlite_where=_RUNNING, postgresql_where=_RUNNING)
Index("one_result", attempts.c.run_id, unique=True, sqlite_where=_FINISHED, postgresql_where=_FINISHED)
Index("waiting", members.c.sweep_id, members.c.position, sqlite_where=_PENDING, postgresql_where=_PENDING)
Index("tallies_of_sweep", tallies.c.sweep_id)
