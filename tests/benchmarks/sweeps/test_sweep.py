"""The coordinator and the command line."""

import dataclasses
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch

from benchmarks.runs.environment import SOURCES
from benchmarks.sweeps import coordinator as coordinator
from benchmarks.sweeps import worker
from benchmarks.sweeps.coordinator import Coordinator, SweepError, perform, summarize
from benchmarks.sweeps.plan import plan
from benchmarks.sweeps.store import Store, identity
from benchmarks.sweeps.store.transfer import read_lines
from tests.benchmarks.sweeps.conftest import empty
from tests.benchmarks.toy_sweeps import ROOT, TOYS, command, comparable, end, toy_sweep


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "toys.yaml"
    content = {"plugins": [TOYS], "datasets": {"toy": {"rollouts": 2}}, "algorithms": ["toy-sgd"], "seeds": 1}
    settings = {"evaluate_every": 1, "batch_size": 4, "splits": 1, "model": "line"}
    path.write_text(json.dumps({**content, "settings": settings, "launcher": "in-process"}))  # JSON is YAML
    return path


def test_plan_sweep_status_export_import(said, file, tmp_path):
    out = tmp_path / "out"
    code, text, _ = said("plan", file, "--points", "4", "--output", out)
    assert code == 0
    assert re.search(r"12 runs, 48 gradient evaluations, about \d+ \w+ of one worker\. Timed by a few steps", text)
    assert "48 gradient evaluations, time not known" in said("plan", file, "--points", "4", "--no-timing")[1]
    assert not out.exists()

    code, text, _ = said("sweep", file, "--output", out)
    assert code == 0
    assert "3 runs, 0 of them failed" in text
    assert len(list(read_lines(out / "records.jsonl"))) == 3
    assert json.loads((out / "sweep.json").read_text())["counts"]["finished"] == 3

    code, text, _ = said("plan", file, "--points", "4", "--output", out)
    assert "The store has 3 of them finished" in text
    assert re.search(r"about \d+ \w+ of one worker\.$", text, flags=re.MULTILINE)
    assert "toy" in said("status", out)[1]
    assert said("export", tmp_path / "t.csv", "--output", out)[:2] == (0, f"3 rows in {tmp_path / 't.csv'}\n")
    code, text, _ = said("import", out / "records.jsonl", "--output", tmp_path / "other")
    assert (code, text) == (0, "3 runs imported, 0 were there already.\n")
    assert said("status", tmp_path / "nothing")[0] == 2


def test_failures_are_told_and_done_again_when_asked(said, file, tmp_path):
    words = ("sweep", file, "--output", tmp_path / "out", "--algorithms", "toy-sgd", "toy-import")
    code, text, _ = said(*words)
    assert code == 1
    assert "3 runs failed, by cause:" in text
    assert re.search(r"3 x .* \[import; toy-import on toy; first: ", text)
    assert "--retry-failed" in text
    assert "3 runs failed, by cause:" in said("status", tmp_path / "out")[1]
    said(*words)
    said(*words, "--retry-failed")
    records = list(read_lines(tmp_path / "out/records.jsonl"))
    assert [len(record["attempts"]) for record in records] == [1, 2] * 3
    assert said("again", records[0]["key"][:8], "--output", tmp_path / "out")[0] == 0
    records = list(read_lines(tmp_path / "out/records.jsonl"))
    assert [len(record["attempts"]) for record in records] == [2, 2, 1, 2, 1, 2]


def test_a_run_that_diverged_is_a_result(said, file, tmp_path):
    words = ("sweep", file, "--output", tmp_path / "out", "--algorithms", "toy-sgd", "toy-nan")
    code, text, _ = said(*words)
    assert code == 0
    assert "6 runs, 0 of them failed, 3 diverged" in text
    assert "--retry-failed" not in text
    said(*words, "--retry-failed")
    records = list(read_lines(tmp_path / "out/records.jsonl"))
    assert [len(record["attempts"]) for record in records] == [1] * 6
    assert [record["status"] for record in records] == ["finished", "diverged"] * 3
    assert "failed:" not in said("status", tmp_path / "out")[1]
    assert said("check", tmp_path / "out")[:2] == (0, "nothing is wrong\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--algorithms", "pgard"], "algorithms[0]: 'pgard' is not known. Did you mean 'pgrad'?"),
        (["--launcher", "slrum"], "'slrum' is not known. Did you mean 'slurm'?"),
        (["--plugin", "nowhere.py"], "the plugin 'nowhere.py' cannot be imported: FileNotFoundError"),
        (["--leave-out", "3"], "leaves none to train on"),
        (["--store", "what://"], "neither a file nor"),
    ],
)
def test_errors_point_at_the_wrong_word(said, file, tmp_path, words, expected):
    code, _, errors = said("sweep", file, "--output", tmp_path / "out", *words)
    assert code == 2
    assert expected in " ".join(errors.split())
    assert not (tmp_path / "out" / "records.jsonl").exists()


@pytest.mark.slow
def test_the_command_line_on_postgresql(said, file, tmp_path, postgresql):
    empty(postgresql)
    where = ("--store", postgresql)
    words = ("sweep", file, "--output", tmp_path / "out", *where, "--algorithms", "toy-sgd", "toy-nan", "toy-import")
    code, text, _ = said(*words)
    assert code == 1
    assert "9 runs, 3 of them failed, 3 diverged" in text
    assert len(list(read_lines(tmp_path / "out/records.jsonl"))) == 9
    assert said(*words, "--retry-failed")[0] == 1
    assert "The store has 3 of them finished and 3 failed" in said("plan", *words[1:2], *where, *words[-4:])[1]
    assert "3 runs failed, by cause:" in said("status", *where)[1]
    assert said("check", postgresql)[:2] == (0, "nothing is wrong\n")
    assert "9 rows" in said("export", tmp_path / "all.jsonl", *where)[1]
    assert "0 runs imported, 9 were there" in said("import", tmp_path / "all.jsonl", *where)[1]
    code, text, _ = said("report", postgresql, "--output", tmp_path / "report", "--plugin", TOYS)
    assert code == 0
    assert (tmp_path / "report/report.html").exists()


@pytest.mark.slow
def test_eight_coordinators_at_once_on_postgresql(tmp_path, postgresql):
    """They enter the same sweep at the same time, and share its runs."""
    empty(postgresql)
    words = (
        "--algorithms",
        "toy-sgd",
        "toy-nan",
        "--plugin",
        TOYS,
        "--seeds",
        "4",
        "--rollouts",
        "2",
        "--model",
        "line",
    )
    started = [
        command(
            *("sweep", "--datasets", "toy", *words, "--launcher", "in-process", "--store", postgresql),
            *("--output", tmp_path / str(number)),
        )
        for number in range(8)
    ]
    try:
        for process in started:
            _, errors = process.communicate()
            assert process.returncode == 0, errors
    finally:
        for process in started:
            end(process)
    with Store(postgresql) as store:
        (sweep,) = store.sweeps()
        assert store.counts(sweep["id"]) == {"pending": 0, "running": 0, "finished": 12, "failed": 0, "diverged": 12}
        assert [len(record["attempts"]) for record in store.records()] == [1] * 24


def test_without_a_file(said, tmp_path):
    assert "--datasets" in said("plan")[2]
    assert said("plan", "--datasets", "coloured-digits", "--seeds", "1", "--algorithms", "erm")[0] == 0
    assert said("plan", tmp_path / "none.yaml")[0] == 2


def test_plan_counts_what_the_runs_then_do(tmp_path):
    sweep = toy_sweep("toy-sgd", points=2, selection=("training-domain", "leave-one-domain-out"))
    (share,) = plan(sweep)
    records = run_here(sweep, tmp_path)
    assert share.runs == len(records) == 2 * (3 + 3)
    assert share.evaluations == sum(record["curves"]["step"][-1] for record in records)
    with Store(tmp_path / "store.sqlite") as store:
        speeds = store.speeds()
    (again,) = plan(sweep, speeds)
    assert again.seconds == pytest.approx(sum(record["timings"]["wall_seconds"] for record in records))


def run_here(sweep, folder, **options):
    with Store(folder / "store.sqlite") as store:
        return perform(sweep, store, folder, **options)


@pytest.mark.parametrize("stop", [0, 1, 4])
def test_interrupted_and_resumed(tmp_path, stop):
    sweep = toy_sweep("toy-sgd", "toy-nan")
    whole = run_here(sweep, tmp_path / "whole")

    def interrupt(now):
        if now.done == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_here(sweep, tmp_path / "parts", watch=interrupt)
    assert len(list(read_lines(tmp_path / "parts/records.jsonl"))) == stop
    resumed = run_here(sweep, tmp_path / "parts")
    assert comparable(resumed) == comparable(whole)
    assert all(len(record["attempts"]) == 1 for record in resumed)


def test_interrupted_in_the_middle_of_a_run(tmp_path, monkeypatch):
    real = worker.TRAINING

    def interrupt(config, place):
        raise KeyboardInterrupt

    sweep = toy_sweep()
    monkeypatch.setattr(worker, "TRAINING", dataclasses.replace(real, run=interrupt))
    with pytest.raises(KeyboardInterrupt):
        run_here(sweep, tmp_path)
    monkeypatch.setattr(worker, "TRAINING", real)
    first, *_ = run_here(sweep, tmp_path)
    assert [attempt["status"] for attempt in first["attempts"]] == ["interrupted", "finished"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_kill_stop_the_workers_and_say_how_to_go_on(tmp_path, number):
    out = tmp_path / "out"
    words = ("sweep", "--datasets", "toy", "--algorithms", "toy-slow", "--plugin", TOYS, "--output", out)
    process = command(*words, "--seeds", "50", "--rollouts", "50", "--launcher", "local", "--workers", "2")
    try:
        wait_for(lambda: (out / "store.sqlite").exists() and running(out) == 2, process)
        os.kill(process.pid, number)
        _, errors = process.communicate()
    finally:
        end(process)
    assert process.returncode == 130
    assert "To go on: python -m benchmarks sweep --datasets toy" in errors
    assert running(out) == 0
    with Store(out / "store.sqlite") as store:
        counts = store.counts(1)
        assert counts["failed"] == counts["running"] == 0
        endings = [row["ending"] for row in store.workers(1)]
    assert len(endings) == 2
    assert not any(ending is None for ending in endings)


def running(out):
    with Store(out / "store.sqlite") as store:
        return len(store.running(1)) if store.sweeps() else 0


def wait_for(condition, process):
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)


@pytest.mark.slow
def test_silence_is_a_lost_attempt(tmp_path):
    """An attempt on another machine that does not beat is given up; one that beats is waited for."""
    sweep = toy_sweep()
    with Store(tmp_path / "store.sqlite") as store:
        number = store.enter(sweep)
        worker_id = store.new_worker("test", number)
        with store.database.write() as connection:
            connection.exec_driver_sql("UPDATE workers SET host = 'elsewhere', place = 'elsewhere', pid = 1")
        silent, beating = store.claim(number, worker_id), store.claim(number, worker_id)
        looks = []

        def watch(now):
            # It beats before each look, until the silent one's run was done again.
            if now.done < 2 or len(looks) < 50:
                store.beat(beating.attempt_id)
            looks.append(store.counts(number)["running"])

        records = Coordinator(sweep, store, tmp_path, watch=watch, beat=0.05).run()
    assert looks[40:50] == [1] * 10  # the one that beat was waited for
    assert silent.run_id != beating.run_id
    assert [[a["status"] for a in record["attempts"]] for record in records] == [
        ["interrupted", "finished"],
        ["interrupted", "finished"],
        ["finished"],
    ]
    assert "no sign of life from elsewhere" in records[0]["attempts"][0]["error"]


@pytest.mark.slow
def test_a_process_that_is_gone_is_a_lost_attempt(tmp_path):
    sweep = toy_sweep()
    address = str(tmp_path / "store.sqlite")
    with Store(address) as store:
        number = store.enter(sweep)
    child = multiprocessing.get_context("spawn").Process(target=claim_and_end, args=(address, number))
    child.start()
    child.join()
    records = run_here(sweep, tmp_path)
    assert [attempt["status"] for attempt in records[0]["attempts"]] == ["interrupted", "finished"]
    assert f"process {child.pid} does not exist" in records[0]["attempts"][0]["error"]


def test_a_machine_that_is_taken_away_again_and_again_fails_no_run(tmp_path):
    """Coordinator and workers are gone together: that is not the doing of the run, however often it happens."""
    sweep = toy_sweep(max_attempts=1)
    with Store(tmp_path / "store.sqlite") as store:
        number = store.enter(sweep)
        for _ in range(3):
            store.claim(number, store.new_worker("test", number))
            with store.database.write() as connection:  # the process began before this one did: it is another
                connection.exec_driver_sql("UPDATE workers SET born = born - 1")
            Coordinator(sweep, store, tmp_path)._reap()
    records = run_here(sweep, tmp_path)
    assert [attempt["status"] for attempt in records[0]["attempts"]] == ["interrupted"] * 3 + ["finished"]


def test_a_worker_in_another_container_is_not_dead(tmp_path):
    """The same host name and process id in another name space, or after a reboot, is another process."""
    sweep = toy_sweep()
    with Store(tmp_path / "store.sqlite") as store:
        number = store.enter(sweep)
        store.claim(number, store.new_worker("test", number))
        coordinator = Coordinator(sweep, store, tmp_path)
        for change in ("place = place || '0'", "place = NULL", "pid = 1, place = 'another boot'"):
            with store.database.write() as connection:
                connection.exec_driver_sql(f"UPDATE workers SET {change}, born = 1")
            (attempt,) = store.running(number)
            assert coordinator._gone(attempt) == ("", "")
        here = identity.place()
        if here is not None:  # the same place, and no such process: that one is
            with store.database.write() as connection:
                connection.exec_driver_sql(f"UPDATE workers SET place = '{here}', pid = {os.getpid()}, born = 1")
            (attempt,) = store.running(number)
            assert coordinator._gone(attempt)[0] == "interrupted"


def claim_and_end(address, number):
    from benchmarks.runs import plugins

    plugins.load([TOYS])
    store = Store(address)
    store.claim(number, store.new_worker("test", number))


@pytest.mark.slow
def test_workers_that_cannot_start_stop_the_sweep_with_the_reason(tmp_path, monkeypatch):
    plugin = tmp_path / "only_here.py"
    plugin.write_text(
        "import multiprocessing\nif multiprocessing.parent_process():\n    raise OSError('no data here')\n"
    )
    sweep = toy_sweep(launcher={"kind": "local", "workers": 1, "gpus": 0}, plugins=[TOYS, str(plugin)])
    monkeypatch.setattr(coordinator, "IDLE_DEATHS", 2)
    with pytest.raises(SweepError, match=r"2 workers ended one after the other without a run.*no data here"):
        run_here(sweep, tmp_path)
    with Store(tmp_path / "store.sqlite") as store:
        assert store.counts(1)["pending"] == 3


def test_changed_sources_are_no_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "fingerprint", lambda *names: "other")
    with pytest.raises(worker.CodeChangedError, match="sources were changed"):
        run_here(toy_sweep(), tmp_path)
    with Store(tmp_path / "store.sqlite") as store:
        assert store.counts(1) == {"pending": 3, "running": 0, "finished": 0, "failed": 0, "diverged": 0}


@pytest.mark.slow
def test_sources_hold_every_module_that_a_run_imports():
    code = """
import sys, benchmarks.runs.runner
print(*(module.__file__ for name, module in sys.modules.items() if name.split(".")[0] in ("benchmarks", "pgrad")))
"""
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    covered = {path for pattern in SOURCES for path in ROOT.glob(pattern)}
    presenting = {"__init__.py", "records.py", "resources.py", "environment.py", "plugins.py"}
    needed = {ROOT / path for path in process.stdout.split()}
    left = {path for path in needed - covered if path.name not in presenting}
    assert {path.relative_to(ROOT).as_posix() for path in left} <= ALLOWED


ALLOWED = {"benchmarks/base/config.py", "benchmarks/base/errors.py", "benchmarks/base/wording.py"}
"""What every configuration is made of, and words: they decide no result."""


@pytest.mark.slow
def test_many_short_runs_keep_the_workers_busy(tmp_path):
    sweep = toy_sweep("toy-busy", launcher={"kind": "local", "workers": 2, "gpus": 0}, seeds=5)
    with Store(tmp_path / "store.sqlite") as store:
        records = perform(sweep, store, tmp_path)
        summary = summarize(store, store.enter(sweep), sweep)
    assert len(records) == 15
    assert all(record["timings"]["wall_seconds"] >= 0.4 for record in records)
    share = summary["busy_share"]
    assert share == pytest.approx(
        sum(record["timings"]["wall_seconds"] for record in records)
        / sum(row["ended"] - row["started"] for row in summary["workers"])
    )
    assert 0 < share <= 1


def test_outputs_change_no_result(tmp_path):
    plain = run_here(toy_sweep(), tmp_path / "plain")
    rich = run_here(toy_sweep(outputs={"tensorboard": True, "weights": "best"}), tmp_path / "rich")
    assert comparable(plain) == comparable(rich)
    assert plain[0]["model_file"] is None
    for record in rich:
        kept = torch.load(tmp_path / "rich" / record["model_file"], weights_only=True)
        assert kept["checkpoint"]["step"] == record["selection"]["step"]
        assert {value.dtype for value in kept["model"].values()} == {torch.bfloat16}
        folder = tmp_path / "rich/tensorboard" / record["key"]
        assert scalars(folder, "validation") == pytest.approx(record["curves"]["validation"])


def scalars(folder, name):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return [event.value for event in events.Scalars(name)]
