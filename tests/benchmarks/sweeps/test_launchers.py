"""Every launcher for real: this process, a local pool, submitit's local executor, a Ray started here."""

import importlib.util
import os
import signal
import sqlite3
import sys
import threading
from multiprocessing import forkserver

import pytest

from benchmarks.base.resources import GIB, available
from benchmarks.sweeps.coordinator import perform, summarize
from benchmarks.sweeps.launcher_config import Local
from benchmarks.sweeps.launchers import launcher
from benchmarks.sweeps.launchers.local import LocalLauncher
from benchmarks.sweeps.store import Store
from tests.benchmarks.sweeps.conftest import empty
from tests.benchmarks.toy_sweeps import TOYS, comparable, toy_sweep

ALGORITHMS = ("toy-sgd", "toy-nan", "toy-import", "toy-memory", "toy-infinite")
FAILURES = {"toy-nan": "diverged", "toy-import": "import", "toy-memory": "out-of-memory", "toy-infinite": "error"}

pytestmark = pytest.mark.xdist_group("launchers")


def done(folder, **launcher_options):
    sweep = toy_sweep(*ALGORITHMS, launcher=launcher_options)
    with Store(folder / "store.sqlite") as store:
        records = perform(sweep, store, folder)
        return records, summarize(store, store.enter(sweep), sweep)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The records of the sweep done in this process."""
    folder = tmp_path_factory.mktemp("in-process")
    records, summary = done(folder, kind="in-process")
    assert [worker["launcher"] for worker in summary["workers"]] == ["in-process"]
    return records


def test_bad_days_are_rows(expected):
    assert len(expected) == 15
    for record in expected:
        algorithm = record["config"]["algorithm"]
        assert record.get("failure") == FAILURES.get(algorithm)
        if algorithm in FAILURES:
            assert record["error"]
            assert record["status"] == ("diverged" if algorithm == "toy-nan" else "failed")
    nan = next(record for record in expected if record["config"]["algorithm"] == "toy-nan")
    assert nan["curves"]["step"] == [2]  # what it reached before
    assert "nan" in nan["error"]
    text = {record["config"]["algorithm"]: record["error"] for record in expected if "error" in record}
    assert "a_library_that_nobody_has" in text["toy-import"]
    assert "cannot be stored" in text["toy-infinite"]


def check(records, summary, expected, kind):
    assert comparable(records) == comparable(expected)
    assert {worker["launcher"] for worker in summary["workers"]} == {kind}
    assert all(worker["ending"] == "done" for worker in summary["workers"])
    assert sum(worker["runs"] for worker in summary["workers"]) == len(records)


@pytest.mark.slow
def test_local(tmp_path, expected):
    records, summary = done(tmp_path, kind="local", workers=2, gpus=0)
    check(records, summary, expected, "local")
    assert len({worker["pid"] for worker in summary["workers"]}) == len(summary["workers"])


@pytest.mark.slow
def test_local_worker_that_is_killed_by_its_run(tmp_path):
    """Such a run is tried as often as allowed, and told of; the others are done."""
    sweep = toy_sweep("toy-sgd", "toy-killed", launcher={"kind": "local", "workers": 1, "gpus": 0}, max_attempts=2)
    with Store(tmp_path / "store.sqlite") as store:
        records = perform(sweep, store, tmp_path)
    assert [record["status"] for record in records] == ["finished", "failed"] * 3
    for record in records[1::2]:
        assert record["failure"] == "killed"
        assert "SIGKILL" in record["error"]
        assert [attempt["status"] for attempt in record["attempts"]] == ["lost", "failed"]


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs the fork server, which Windows does not have")
def test_the_server_of_processes_may_be_killed_while_a_worker_starts(tmp_path):
    started = forkserver._forkserver
    started.ensure_running()
    number = started._forkserver_pid
    os.kill(number, signal.SIGSTOP)  # so that the start waits for it
    killer = threading.Timer(0.5, os.kill, (number, signal.SIGKILL))
    killer.start()
    sweep = toy_sweep(launcher=Local(workers=1))
    with Store(tmp_path / "store.sqlite") as store:
        records = perform(sweep, store, tmp_path)
    killer.join()
    assert {record["status"] for record in records} == {"finished"}
    assert started._forkserver_pid != number


def test_memory_decides_how_many_workers_start(tmp_path):
    half = available() / GIB / 2
    assert launcher(Local(workers=8, gpus=0, memory=0.9 * half), tmp_path).limit in (1, 2, 3)
    assert launcher(Local(workers=8, gpus=0, memory=100 * half), tmp_path).limit == 1
    assert LocalLauncher(Local(workers=2, gpus=0), tmp_path, largest=int(1e6)).limit == 2


def test_gpus_that_are_not_there(said, tmp_path):
    words = ("--datasets", "toy", "--algorithms", "toy-sgd", "--plugin", TOYS, "--model", "line", "--launcher", "local")
    status, _, errors = said("sweep", *words, "--set", "launcher.gpus=99", "--output", tmp_path)
    assert status == 2
    assert "launcher.gpus=99, but torch sees" in errors


@pytest.mark.slow
def test_slurm_jobs_on_this_machine(tmp_path, expected):
    pytest.importorskip("submitit", reason="no submitit: pip install 'pgrad[slurm]'")
    records, summary = done(tmp_path, kind="slurm", cluster="local", workers=1)
    check(records, summary, expected, "slurm")
    assert list((tmp_path / "slurm").glob("*/*_log.out"))


@pytest.mark.slow
def test_slurm_without_slurm(tmp_path):
    pytest.importorskip("submitit", reason="no submitit: pip install 'pgrad[slurm]'")
    with pytest.raises(RuntimeError, match=r"no Slurm here.*cluster=local"):
        done(tmp_path, kind="slurm")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ray(tmp_path, expected):
    if importlib.util.find_spec("ray") is None:
        pytest.skip(
            "RAY IS NOT TESTED: it is large and not in pgrad[test]; pip install 'pgrad[ray]' and run this again"
        )
    records, summary = done(tmp_path, kind="ray", workers=1)
    check(records, summary, expected, "ray")


def test_without_the_library(tmp_path, monkeypatch):
    for kind, library in (("slurm", "submitit"), ("ray", "ray")):
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(ImportError, match=rf"pgrad\[{kind}\]"):
            done(tmp_path, kind=kind)


def test_everything_is_in_one_file(expected, tmp_path):
    done(tmp_path, kind="in-process")
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM attempts").fetchone() == (15,)
    connection.close()
    assert len((tmp_path / "records.jsonl").read_text().splitlines()) == 15
    assert len(list((tmp_path / "data").glob("*.pt"))) == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ray_on_two_nodes_one_of_which_goes_away(tmp_path, expected, postgresql):
    """Ray's own utility starts the nodes; the store is PostgreSQL. The runs of the lost node are no failures."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("RAY ON TWO NODES IS NOT TESTED: pip install 'pgrad[ray]' and run this again")
    from ray.cluster_utils import Cluster

    empty(postgresql)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        second = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        sweep = toy_sweep(
            "toy-slow", *ALGORITHMS, launcher={"kind": "ray", "workers": 2, "address": cluster.address}, max_attempts=1
        )
        removed = []

        def watch(now):
            if now.counts["running"] == 2 and not removed:
                removed.append(cluster.remove_node(second))

        with Store(postgresql) as store:
            records = perform(sweep, store, tmp_path, watch=watch)
    finally:
        cluster.shutdown()
    assert removed
    assert [record["status"] for record in records if record["config"]["algorithm"] == "toy-slow"] == ["finished"] * 3
    assert comparable(record for record in records if record["config"]["algorithm"] != "toy-slow") == comparable(
        expected
    )
