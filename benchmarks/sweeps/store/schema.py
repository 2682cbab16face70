"""The tables.

A run is a configuration and the code that it is done with: ``UNIQUE (key, code)``. An attempt is one try at it. Two
partial unique indexes carry the promise that a run is counted once, whatever is killed when: at most one attempt of a
run is ``running``, at most one is ``finished``.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
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
)

VERSION = 2
"""Of these tables; a store of another version is refused."""

metadata = MetaData()

meta = Table("meta", metadata, Column("version", Integer, nullable=False))

sweeps = Table(
    "sweeps",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(64), nullable=False, unique=True),
    Column("config", JSON, nullable=False),
    Column("created", Float, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(16), nullable=False),
    Column("code", String(16), nullable=False),
    Column("config", JSON, nullable=False),
    Column("dataset", String, nullable=False),
    Column("algorithm", String, nullable=False),
    Column("held_out", String, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("point", Integer, nullable=False),
    Column("evaluations", BigInteger),
    Column("status", String(12), nullable=False),  # pending, running, finished, failed
    UniqueConstraint("key", "code"),
)

members = Table(
    "members",
    metadata,
    Column("sweep_id", ForeignKey("sweeps.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("run_id", ForeignKey("runs.id"), nullable=False),
    PrimaryKeyConstraint("sweep_id", "position"),
    UniqueConstraint("sweep_id", "run_id"),
)

environments = Table(
    "environments",
    metadata,
    Column("id", String(16), primary_key=True),  # hash of the content
    Column("content", JSON, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False),
    Column("launcher", String, nullable=False),
    Column("host", String, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("born", Float),  # start time of the process: a process id is used again
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
    Column("status", String(12), nullable=False),  # running, finished, failed, lost, interrupted, superseded
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
    Column("selections", JSON),
    Column("diagnostics", JSON),
    Column("model_file", String),
    UniqueConstraint("run_id", "number"),
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
    Column("domains", JSON, nullable=False),
    Column("measures", JSON, nullable=False),
    PrimaryKeyConstraint("attempt_id", "number"),
)

_RUNNING, _FINISHED = text("status = 'running'"), text("status = 'finished'")
Index("one_claim", attempts.c.run_id, unique=True, sqlite_where=_RUNNING, postgresql_where=_RUNNING)
Index("one_result", attempts.c.run_id, unique=True, sqlite_where=_FINISHED, postgresql_where=_FINISHED)
Index("runs_by_status", runs.c.status)
Index("members_by_run", members.c.run_id)
