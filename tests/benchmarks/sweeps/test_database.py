"""The database under a store: what SQLite is told, and addresses that lead to none."""

import sqlite3

import pytest
import sqlalchemy

from benchmarks.runs.runner import run
from benchmarks.sweeps.store import Store, StoreError, database
from benchmarks.sweeps.store.schema import checkpoints
from tests.benchmarks.sweeps.test_store import SURROUNDINGS, claimed


def test_sqlite_keeps_a_rollback_journal(tmp_path):
    with Store(tmp_path / "s.sqlite") as store:
        claimed(store)
        with store.database.read() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "delete"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    assert [path.name for path in tmp_path.iterdir()] == ["s.sqlite"]


def test_an_interrupt_amid_an_insert_holds_no_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "WAIT", 0.1)
    with Store(tmp_path / "s.sqlite") as store:
        number, claim = claimed(store)

        def stop(cursor, statement, parameters, context):
            cursor.executemany(statement, (row if i == 0 else _interrupt() for i, row in enumerate(parameters)))

        sqlalchemy.event.listen(store.database.engine, "do_executemany", stop)
        with pytest.raises(KeyboardInterrupt) as held:  # and with it the cursor and its statement
            store.finish(claim, run(claim.config), {**SURROUNDINGS, "code": claim.code})
        assert held.traceback
        sqlalchemy.event.remove(store.database.engine, "do_executemany", stop)
        store.give_up(claim.attempt_id, "interrupted", "stopped by the user", 3)
        assert store.counts(number)["pending"] == 6
        with store.database.read() as connection:
            assert connection.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(checkpoints)).scalar() == 0


def _interrupt():
    raise KeyboardInterrupt


def test_addresses_that_are_none(tmp_path, postgresql):
    with pytest.raises(StoreError, match="neither a file nor"):
        Store("what://")
    with pytest.raises(StoreError, match="server running"):
        Store(postgresql.rsplit("/", 1)[0] + "/nothere")
    (tmp_path / "no.sqlite").write_text("this is no database at all, whatever its name says")
    with pytest.raises(StoreError, match=r"not a database.*import records.jsonl"):
        Store(tmp_path / "no.sqlite")


def test_tables_of_another_version(tmp_path):
    Store(tmp_path / "s.sqlite").close()
    with sqlite3.connect(tmp_path / "s.sqlite") as connection:
        connection.execute("UPDATE meta SET version = 99")
    connection.close()
    with pytest.raises(StoreError, match=r"version 99.*import records.jsonl"):
        Store(tmp_path / "s.sqlite")
