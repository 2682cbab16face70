"""A database and its transactions: SQLite so that several processes can share it, or PostgreSQL.

SQLite keeps a rollback journal, not a write-ahead log: the latter needs memory that all processes share, which a
network file system does not give. A transaction that writes takes the lock at its beginning, so that it never has to
be done again half-way; others wait for it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, OperationalError

from benchmarks.base.called import called
from benchmarks.sweeps.store import schema
from benchmarks.sweeps.store.migration import from_version_2
from benchmarks.sweeps.store.rows import to_json

WAIT = 60.0
"""Seconds that a transaction waits for the others."""


class StoreError(RuntimeError):
    """The store cannot be read or written; the message says why, and what to do."""


class Database:
    """The engine behind an address such as ``runs/x/store.sqlite``, ``sqlite:///path`` or ``postgresql://...``.

    Raises:
        StoreError: if there is nothing usable at this address.
    """

    def __init__(self, address: str | Path) -> None:
        text = str(address)
        self.address = text if "://" in text else f"sqlite:///{Path(text).resolve()}"
        try:
            url = make_url(self.address)
            if url.drivername == "postgresql":
                url = url.set(drivername="postgresql+psycopg")
            self.shown = url.render_as_string(hide_password=True)
            self.engine = self._engine(url)
        except ArgumentError as error:
            raise StoreError(f"{text!r} is neither a file nor the address of a database: {error}") from error
        except (ImportError, NoSuchModuleError) as error:
            raise StoreError(
                f"{text!r} needs a library that is missing ({error}); pip install 'pgrad[postgres]' brings PostgreSQL's"
            ) from error
        self._create()

    def _engine(self, url: sqlalchemy.URL) -> Engine:
        if url.get_backend_name() != "sqlite":
            return sqlalchemy.create_engine(url, pool_pre_ping=True, json_serializer=to_json)
        if url.database not in (None, "", ":memory:"):
            Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = sqlalchemy.create_engine(url, connect_args={"timeout": WAIT}, json_serializer=to_json)

        @event.listens_for(engine, "connect")
        def _connect(connection: sqlite3.Connection, _: Any) -> None:
            connection.isolation_level = None  # BEGIN is said below, not by the driver
            for pragma in ("journal_mode=DELETE", "synchronous=FULL", "foreign_keys=ON", "cache_size=-64000"):
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "invalidate")
        def _undo(connection: sqlite3.Connection, _: Any, __: Any) -> None:
            # Ctrl-C amid a statement: closing alone keeps the lock for as long as the traceback holds the statement.
            connection.rollback()

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            writes = connection.get_execution_options().get("writes", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        return engine

    def _create(self) -> None:
        version = self._version()
        if version != schema.VERSION:
            with self.write() as connection:
                # Another process may have been faster; on PostgreSQL two of them could also do it at the same time.
                if connection.dialect.name == "postgresql":
                    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(2305, 1134)")
                if not sqlalchemy.inspect(connection).has_table("meta"):
                    schema.metadata.create_all(connection)
                    connection.execute(schema.meta.insert().values(version=schema.VERSION))
                elif connection.execute(sqlalchemy.select(schema.meta.c.version)).scalar_one() == 2:
                    from_version_2(connection)
            version = self._version()
        if version != schema.VERSION:
            raise StoreError(
                f"{self.shown} has tables of version {version}, this code needs {schema.VERSION}; choose another "
                f"output folder or store; {called('import', 'records.jsonl')} brings the records of the old one in"
            )

    def _version(self) -> int | None:
        """Of the tables; None if there are none."""
        with self.read() as connection:
            if not sqlalchemy.inspect(connection).has_table("meta"):
                return None
            return connection.execute(sqlalchemy.select(schema.meta.c.version)).scalar()

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that changes nothing: all its statements see the same state."""
        with self._explained(), self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that happens whole or not at all, one after the other on SQLite."""
        with self._explained(), self.engine.execution_options(writes=True).begin() as connection:
            yield connection

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlalchemy.exc.IntegrityError:
            raise
        except DatabaseError as error:
            raise StoreError(f"the store {self.shown}: {error.orig}. {_advice(error)}") from error

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()


def _advice(error: DatabaseError) -> str:
    text = str(error.orig)
    if "full" in text or "No space" in text or "disk I/O" in text:
        return "Make room on the disk and give the same command again: nothing that is stored is lost"
    if "malformed" in text or "not a database" in text:
        return (
            "The file is damaged. Move it away and bring the records back with "
            f"`{called('import', 'records.jsonl', '--store', 'NEW')}`"
        )
    if "locked" in text:
        return f"Other processes held it for more than {WAIT:.0f} seconds; give the same command again"
    if isinstance(error, OperationalError):
        return "Is the address right, is the server running, may this user write there?"
    return "Nothing of this transaction was stored"


def patiently(action: Any, seconds: float, pause: float = 1.0) -> Any:
    """`action()`, tried again while the store refuses, for at most so many seconds.

    Raises:
        StoreError: the last one, when the time is over.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return action()
        except StoreError:
            if time.monotonic() >= end:
                raise
            time.sleep(pause)
