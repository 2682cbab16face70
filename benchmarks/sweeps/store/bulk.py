"""Many rows at once, as plain tuples: what SQLAlchemy does for each row costs more than the row itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Table, func, select, text
from sqlalchemy.exc import DBAPIError

from benchmarks.sweeps.store.database import StoreError


def put(connection: Connection, table: str, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Enters rows of values in the order of the names; JSON is text already.

    Raises:
        sqlalchemy.exc.DBAPIError, StoreError: if the database refuses one; the transaction is over then.
    """
    columns = ", ".join(names)
    if connection.dialect.name == "postgresql":
        _copy(connection, f"COPY {table} ({columns}) FROM STDIN", rows)
    elif several := list(rows):
        places = ", ".join("?" * len(names))
        try:
            connection.exec_driver_sql(f"INSERT INTO {table} ({columns}) VALUES ({places})", several)
        except OverflowError as error:  # of the driver itself
            raise StoreError(f"{table}: {error}; nothing of this transaction was stored") from error


def _copy(connection: Connection, statement: str, rows: Iterable[Sequence[Any]]) -> None:
    driver: Any = connection.connection  # of psycopg, which has more than SQLAlchemy knows of
    dialect = connection.dialect
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except dialect.loaded_dbapi.Error as error:  # as SQLAlchemy says it, which did not see it
        raise DBAPIError.instance(statement, None, error, dialect.loaded_dbapi.Error, dialect=dialect) from error


def numbers(connection: Connection, table: Table, how_many: int) -> Sequence[int]:
    """Of rows that this transaction is about to enter, which nobody else will use."""
    if connection.dialect.name == "postgresql":
        sequence = f"nextval(pg_get_serial_sequence('{table.name}', 'id'))"
        drawn = text(f"SELECT {sequence} FROM generate_series(1, {int(how_many)})")
        return connection.execute(drawn).scalars().all()
    last = connection.execute(select(func.coalesce(func.max(table.c.id), 0))).scalar_one()
    return range(last + 1, last + 1 + how_many)
