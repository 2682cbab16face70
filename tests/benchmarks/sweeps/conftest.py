"""Stores for tests, on SQLite and on a real PostgreSQL."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
import sqlalchemy

from benchmarks.sweeps.store import Store, StoreError

TABLES = "checkpoints, attempts, members, tallies, workers, runs, sweeps, environments"


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="session")
def postgresql():
    """The address of a server: BENCHMARKS_POSTGRESQL, or one of our own made with initdb and postgres."""
    address = os.environ.get("BENCHMARKS_POSTGRESQL")
    if address:
        yield address
        return
    binaries = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    found = {
        name: shutil.which(name, path=os.pathsep.join([*binaries, os.environ["PATH"]]))
        for name in ("initdb", "postgres")
    }
    missing = [name for name, path in found.items() if path is None]
    if missing:
        pytest.skip(f"no {' and '.join(missing)}: install PostgreSQL's server, or name one in BENCHMARKS_POSTGRESQL")
    pytest.importorskip("psycopg", reason="no psycopg: pip install 'pgrad[postgres]'")
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))  # pytest's own folders are closed to other users
    as_user = {}
    if os.geteuid() == 0:  # the server refuses to be root
        import pwd

        user = next((name for name in ("postgres", "nobody") if _exists(pwd, name)), None)
        if user is None:
            pytest.skip("no user postgres or nobody: a PostgreSQL server does not run as root")
        as_user = {"user": user}
        shutil.chown(folder, user)
    port = _free_port()
    subprocess.run(
        [found["initdb"], "-D", folder / "data", "-U", "tester", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"],
        check=True,
        capture_output=True,
        cwd="/",
        **as_user,
    )
    options = ["-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-F"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [found["postgres"], "-D", folder / "data", *options], stdout=log, stderr=log, cwd="/", **as_user
        )
    address = f"postgresql://tester@127.0.0.1:{port}/postgres"
    try:
        while True:
            try:
                Store(address).close()
                break
            except StoreError:
                if server.poll() is not None:
                    raise RuntimeError((folder / "log").read_text()) from None
                threading.Event().wait(0.1)
        yield address
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


def _exists(pwd, name):
    try:
        return bool(pwd.getpwnam(name))
    except KeyError:
        return False


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def address(request, tmp_path):
    if request.param == "sqlite":
        return str(tmp_path / "store.sqlite")
    found = request.getfixturevalue("postgresql")
    empty(found)
    return found


def empty(address):
    """Leaves nothing in the tables of a PostgreSQL store; its numbers begin again."""
    with Store(address) as store, store.database.write() as connection:
        connection.execute(sqlalchemy.text(f"TRUNCATE {TABLES} RESTART IDENTITY"))
