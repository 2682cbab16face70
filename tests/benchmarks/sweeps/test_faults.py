"""Nothing is lost and nothing is counted twice, whatever is killed, filled or damaged when.

The number of kills is bounded by time: BENCHMARKS_SOAK=600 lets the killing go on for ten minutes (the default is 25
seconds) and prints how many there were.
"""

import contextlib
import os
import random
import resource
import subprocess
import sys
import time

import psutil
import pytest

from benchmarks.sweeps.coordinator import perform
from benchmarks.sweeps.store import Store, StoreError, mending
from benchmarks.sweeps.store.importing import bring_in
from benchmarks.sweeps.store.transfer import read_lines
from tests.benchmarks.sweeps.conftest import empty
from tests.benchmarks.toy_sweeps import ROOT, comparable, toy_sweep

SOAK = float(os.environ.get("BENCHMARKS_SOAK", "25"))
MAX_ATTEMPTS = 10_000
"""No run fails of being killed here: every one must come to its end."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="kills processes as Linux does"),
    pytest.mark.timeout(SOAK + 1800),
]

SERVER = """
# One process that has imported everything forks the coordinators: a new one is there in a moment.
import os, sys
from pathlib import Path
sys.path.insert(0, {root!r})
import benchmarks.sweeps.launchers.warm
from tests.benchmarks.toy_sweeps import toy_sweep
from benchmarks.sweeps.store import Store
from benchmarks.sweeps.coordinator import perform

for line in sys.stdin:
    folder, seeds, kind, address = line.split()
    child = os.fork()
    if child == 0:
        os.setsid()
        launcher = kind if kind == "in-process" else {{"kind": "local", "workers": 2, "gpus": 0}}
        sweep = toy_sweep("toy-slow", "toy-nan", seeds=int(seeds), launcher=launcher, max_attempts={attempts})
        with Store(address) as store:
            perform(sweep, store, Path(folder))
        os._exit(0)
    print(child, flush=True)
    import threading
    threading.Thread(target=os.waitpid, args=(child, 0), daemon=True).start()
"""


class Coordinators:
    """Starts coordinators in moments."""

    def __init__(self):
        code = SERVER.format(root=str(ROOT), attempts=MAX_ATTEMPTS)
        self.server = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started = []

    def start(self, folder, seeds, kind="in-process", address=None):
        self.server.stdin.write(f"{folder} {seeds} {kind} {address or folder / 'store.sqlite'}\n")
        self.server.stdin.flush()
        line = self.server.stdout.readline()
        assert line, self.server.stderr.read()
        process = psutil.Process(int(line))
        self.started.append(process)
        return process

    def close(self):
        for process in self.started:
            if process.is_running():
                kill_tree(process)
        self.server.kill()
        self.server.communicate()


def alive(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_tree(process):
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for each in family:
        kill(each)


def kill(process):
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


@pytest.fixture(scope="module")
def coordinators(tmp_path_factory):
    found = Coordinators()
    found.start(tmp_path_factory.mktemp("first"), 1)  # answers when all is imported
    yield found
    found.close()


def check(folder, seeds, expected, address=None):
    """Every run is there once, with the same result as without any fault, and every lost attempt says why."""
    sweep = toy_sweep("toy-slow", "toy-nan", seeds=seeds, max_attempts=MAX_ATTEMPTS)
    with Store(address or folder / "store.sqlite") as store:
        number = store.enter(sweep)
        assert mending.check(store.database) == []
        with store.database.read() as connection:
            points = connection.exec_driver_sql("SELECT count(*) FROM checkpoints").scalar()
        assert store.counts(number) == {
            "pending": 0,
            "running": 0,
            "finished": 3 * seeds,
            "failed": 0,
            "diverged": 3 * seeds,
        }
        records = store.records(number)
    assert comparable(records) == comparable(expected)
    lost = 0
    for record in records:
        endings = [attempt["status"] for attempt in record["attempts"]]
        decisive = endings.count("finished") + endings.count("diverged")
        assert decisive == 1
        assert set(endings) <= {"finished", "diverged", "lost", "interrupted", "superseded"}
        for attempt in record["attempts"]:
            if attempt["status"] == "lost":
                assert "killed by signal 9" in attempt["error"]
            if attempt["status"] == "interrupted":
                assert "does not exist any more" in attempt["error"]
            lost += attempt["status"] in ("lost", "interrupted")
    assert points == sum(len(record["curves"]["step"]) for record in records)  # none is left of the killed
    return lost


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The records of sweeps that nothing happened to, by the number of seeds."""
    folder = tmp_path_factory.mktemp("undisturbed")
    cache = {}

    def records(seeds):
        if seeds not in cache:
            sweep = toy_sweep("toy-slow", "toy-nan", seeds=seeds, fixed={"toy-slow": {"seconds": 0.02}})
            with Store(folder / str(seeds) / "store.sqlite") as store:
                cache[seeds] = perform(sweep, store, folder / str(seeds))
        return cache[seeds]

    return records


def finish(coordinators, folder, seeds, address=None):
    """Lets one more coordinator do the rest."""
    last = coordinators.start(folder, seeds, address=address)
    while alive(last):
        time.sleep(0.05)


def test_killed_coordinators(coordinators, tmp_path, expected):
    """Coordinators with their one worker inside are killed, two on the same store: at random moments, and in runs.

    On a busy machine random moments alone may never meet a run.
    """
    rng = random.Random(0)
    seeds, kills, sweeps = 3, 0, 0
    end = time.monotonic() + SOAK
    lost = 0
    while time.monotonic() < end or kills < 10 or not lost:
        folder = tmp_path / str(sweeps)
        folder.mkdir()
        current = [coordinators.start(folder, seeds) for _ in range(2)]
        for _ in range(25):
            victim = rng.randrange(2)
            if rng.random() < 0.5:
                wait_for_a_run(current[victim], folder)
            else:
                time.sleep(rng.uniform(0.0, 0.25))
            if alive(current[victim]):
                kills += kill(current[victim])
            current[victim] = coordinators.start(folder, seeds)
            if time.monotonic() > end:
                break
        for process in current:
            kills += alive(process) and kill(process)
        finish(coordinators, folder, seeds)
        lost += check(folder, seeds, expected(seeds))
        sweeps += 1
    sys.stdout.write(f"{kills} coordinators killed in {sweeps} sweeps, {lost} attempts lost and done again\n")


def test_eight_coordinators_that_are_killed_on_postgresql(coordinators, tmp_path, expected, postgresql):
    """Started together, they enter the same sweep at the same time; then they are killed at random."""
    rng = random.Random(2)
    seeds, kills, lost = 6, 0, 0
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        empty(postgresql)
        current = [coordinators.start(folder, seeds, address=postgresql) for _ in range(8)]
        for _ in range(12):
            time.sleep(rng.uniform(0.0, 0.5))
            victim = rng.randrange(8)
            kills += alive(current[victim]) and kill(current[victim])
            current[victim] = coordinators.start(folder, seeds, address=postgresql)
        for process in current[1:]:
            kills += alive(process) and kill(process)
        while alive(current[0]):
            time.sleep(0.05)
        finish(coordinators, folder, seeds, postgresql)
        lost += check(folder, seeds, expected(seeds), postgresql)
    sys.stdout.write(f"{kills} of eight coordinators killed on PostgreSQL, {lost} attempts done again\n")
    assert kills


def test_killed_workers(coordinators, tmp_path, expected):
    """Workers of a local pool are killed at random moments, and at last their coordinator."""
    rng = random.Random(1)
    seeds, kills = 12, 0
    pool = coordinators.start(tmp_path, seeds, "local")
    end = None  # the time begins with the first worker
    while alive(pool) and (end is None or kills < 5 or time.monotonic() < end):
        time.sleep(rng.uniform(0.0, 0.2))
        victims = workers_at_work(tmp_path)
        if victims:
            kills += kill(rng.choice(victims))
            end = end or time.monotonic() + SOAK
    if alive(pool):
        kills += kill(pool)
    finish(coordinators, tmp_path, seeds)
    lost = check(tmp_path, seeds, expected(seeds))
    sys.stdout.write(f"{kills} workers and coordinators killed, {lost} attempts lost and done again\n")
    assert kills >= 5
    assert lost > 0


def wait_for_a_run(process, folder):
    """Until a coordinator does a run itself, or has ended."""
    while alive(process) and process not in workers_at_work(folder):
        time.sleep(0.005)


def workers_at_work(folder):
    with Store(folder / "store.sqlite") as store:
        running = store.running(1) if store.sweeps() else []
    found = []
    for attempt in running:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(attempt.pid))
    return found


def test_two_coordinators_on_one_store(coordinators, tmp_path, expected):
    both = [coordinators.start(tmp_path, 6) for _ in range(2)]
    while any(alive(each) for each in both):
        time.sleep(0.05)
    assert check(tmp_path, 6, expected(6)) == 0
    with Store(tmp_path / "store.sqlite") as store:
        workers = store.workers(1)
    assert sum(worker["runs"] for worker in workers) == 36
    assert all(worker["runs"] > 0 for worker in workers)


def test_a_full_disk(tmp_path):
    """No file may grow beyond some kilobytes: the store refuses, says so, and goes on when there is room."""
    sweep = toy_sweep("toy-sgd", seeds=20)
    code = f"""
import resource, signal, sys
from pathlib import Path
from tests.benchmarks.toy_sweeps import toy_sweep
from benchmarks.sweeps.store import Store, StoreError, mending
from benchmarks.sweeps.coordinator import Coordinator
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path({str(tmp_path)!r})
sweep = toy_sweep("toy-sgd", seeds=20)
with Store(folder / "store.sqlite") as store:
    coordinator = Coordinator(sweep, store, folder, patience=0.5)
    room = (folder / "store.sqlite").stat().st_size + 30_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    try:
        coordinator.run()
    except StoreError as error:
        print(error)
        sys.exit(7)
"""
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert process.returncode == 7, process.stderr
    assert "Make room on the disk and give the same command again" in process.stdout
    with Store(tmp_path / "store.sqlite") as store:
        before = store.counts(1)
        assert 0 < before["finished"] < 60
        records = perform(sweep, store, tmp_path)
        assert store.counts(1) == {"pending": 0, "running": 0, "finished": 60, "failed": 0, "diverged": 0}
    assert sum(len(record["attempts"]) for record in records) <= 61
    assert all(attempt["error"] for record in records for attempt in record["attempts"][:-1])


def test_a_disk_that_is_full_for_a_while(tmp_path, monkeypatch):
    """The record waits in memory until the store takes it: no run is done twice."""
    sweep = toy_sweep("toy-sgd")
    refused = []
    real = Store.finish

    def refuses_at_first(self, *arguments):
        if len(refused) < 2:
            refused.append(resource.getrlimit(resource.RLIMIT_FSIZE))
            raise StoreError("database or disk is full")
        return real(self, *arguments)

    monkeypatch.setattr(Store, "finish", refuses_at_first)
    with Store(tmp_path / "store.sqlite") as store:
        records = perform(sweep, store, tmp_path)
    assert len(refused) == 2
    assert [len(record["attempts"]) for record in records] == [1, 1, 1]


def test_a_write_that_was_torn_is_rolled_back(tmp_path):
    """A process that dies between writing pages and the end of its transaction leaves a journal; SQLite undoes it."""
    sweep = toy_sweep()
    with Store(tmp_path / "store.sqlite") as store:
        perform(sweep, store, tmp_path)
        good = store.records()
    code = f"""
import os, sqlite3
connection = sqlite3.connect({str(tmp_path / "store.sqlite")!r}, isolation_level=None)
connection.execute("PRAGMA cache_size = 1")  # pages go to the file before the end
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE runs SET status = 'pending'")
connection.execute("DELETE FROM checkpoints")
numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9999) SELECT i FROM n"
connection.execute("CREATE TABLE rubbish AS " + numbers)
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert (tmp_path / "store.sqlite-journal").exists()
    with Store(tmp_path / "store.sqlite") as store:
        assert store.records() == good


def test_a_damaged_store_is_told_of_and_its_records_come_back(tmp_path):
    sweep = toy_sweep()
    with Store(tmp_path / "store.sqlite") as store:
        records = perform(sweep, store, tmp_path)
    content = bytearray((tmp_path / "store.sqlite").read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    (tmp_path / "store.sqlite").write_bytes(content)
    with pytest.raises(StoreError, match=r"malformed.*import records.jsonl"), Store(tmp_path / "store.sqlite") as store:
        store.records()

    lines = tmp_path / "records.jsonl"
    torn = lines.read_bytes()[:-20]  # the last record has no end
    lines.write_bytes(torn)
    (tmp_path / "store.sqlite").rename(tmp_path / "damaged")
    with Store(tmp_path / "store.sqlite") as store:
        assert bring_in(store, read_lines(lines)).new == 2
        again = perform(sweep, store, tmp_path)
    assert comparable(again) == comparable(records)
    assert again[0]["timings"] == records[0]["timings"]  # not done again
    assert again[2]["timings"] != records[2]["timings"]
