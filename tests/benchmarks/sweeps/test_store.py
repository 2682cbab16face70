"""The store, on SQLite and on a real PostgreSQL."""

import json
import lzma
import math
import os
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
import sqlalchemy

from benchmarks.base.errors import ConfigError
from benchmarks.runs.runner import run
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.glance import Glance
from benchmarks.sweeps.store import Store
from benchmarks.sweeps.store.importing import bring_in
from benchmarks.sweeps.store.schema import attempts, checkpoints, runs
from benchmarks.sweeps.store.transfer import export, read_lines, table, write_lines

SWEEP = SweepConfig(
    datasets="coloured-digits",
    algorithms=("erm", "pgrad"),
    seeds=1,
    settings={"rollouts": 2, "evaluate_every": 1, "batch_size": 8, "splits": 1, "width": 4},
)
"""Six runs of a few milliseconds."""
SURROUNDINGS = {"commit": "c0ffee", "python": "3"}


@pytest.fixture
def store(address):
    with Store(address) as store:
        yield store


@pytest.fixture(scope="module")
def outcomes():
    """The outcomes of the runs of the sweep, by key."""
    return {config.key(): run(config) for config in SWEEP.runs()}


def claimed(store):
    number = store.enter(SWEEP)
    return number, store.claim(number, store.new_worker("test", number))


def test_a_run_from_claim_to_record(store, outcomes):
    number, claim = claimed(store)
    assert claim.config == SWEEP.runs()[0]
    assert store.counts(number) == {"pending": 5, "running": 1, "finished": 0, "failed": 0, "diverged": 0}
    store.beat(claim.attempt_id)
    (running,) = store.running(number)
    assert (running.beats, running.pid, running.host) == (1, os.getpid(), socket.gethostname())
    outcome = outcomes[claim.config.key()]
    assert store.finish(claim, outcome, {**SURROUNDINGS, "code": claim.code})
    assert store.counts(number) == {"pending": 5, "running": 0, "finished": 1, "failed": 0, "diverged": 0}

    (record,) = store.records(number)
    for name in (
        "key",
        "config",
        "status",
        "curves",
        "domain_curves",
        "measures",
        "selection",
        "selections",
        "diagnostics",
    ):
        assert record[name] == outcome[name], name
    assert record["timings"] == pytest.approx(outcome["timings"])
    assert record["peak_memory"] == outcome["peak_memory"]
    assert record["peak_memory"]["resident_bytes"] > 50e6
    assert record["environment"] == {**SURROUNDINGS, "code": claim.code}
    assert record["evaluations"] == 2 * 1 * 2
    assert record["worker"]["pid"] == os.getpid()
    assert [attempt["status"] for attempt in record["attempts"]] == ["finished"]
    assert json.loads(json.dumps(record)) == record


def test_entering_again_adds_nothing_and_another_sweep_shares_runs(store, outcomes):
    number, claim = claimed(store)
    store.finish(claim, outcomes[claim.config.key()], SURROUNDINGS)
    assert store.enter(SWEEP) == number
    larger = store.enter(SWEEP.model_copy(update={"seeds": (0, 1)}))
    assert larger != number
    assert store.counts(larger) == {"pending": 11, "running": 0, "finished": 1, "failed": 0, "diverged": 0}
    assert [sweep["id"] for sweep in store.sweeps()] == [number, larger]


def test_other_code_is_another_run(store, outcomes, monkeypatch):
    number, claim = claimed(store)
    store.finish(claim, outcomes[claim.config.key()], SURROUNDINGS)
    monkeypatch.setattr("benchmarks.sweeps.store.store.fingerprint", lambda *names: "other")
    other = store.enter(SWEEP)
    assert other != number
    assert store.counts(other)["pending"] == 6
    assert store.counts(number)["finished"] == 1


def test_a_failure_is_a_record(store, outcomes):
    number, claim = claimed(store)
    outcome = {
        **outcomes[claim.config.key()],
        "status": "failed",
        "failure": "error",
        "error": "E",
        "traceback": "T",
    }
    assert store.finish(claim, outcome, SURROUNDINGS)
    (record,) = store.records(number)
    assert (record["status"], record["failure"], record["error"], record["traceback"]) == ("failed", "error", "E", "T")
    assert record["curves"] == outcome["curves"]
    assert "selection" not in record
    assert store.redo(number, ("failed",)) == 1
    assert store.counts(number)["pending"] == 6
    assert store.records(number) == []


def test_a_run_that_diverged_is_a_result(store, outcomes):
    number, claim = claimed(store)
    outcome = {**outcomes[claim.config.key()], "status": "failed", "failure": "diverged", "error": "NaN"}
    assert store.finish(claim, outcome, SURROUNDINGS)
    assert store.counts(number)["diverged"] == 1
    (record,) = store.records(number)
    assert (record["status"], record["failure"], record["error"]) == ("diverged", "diverged", "NaN")
    assert store.redo(number, ("failed",)) == 0
    assert store.redo(number, keys=[claim.config.key()[:6]]) == 1  # asked for by name
    again = store.claim(number, claim.worker_id)
    assert again.run_id == claim.run_id
    store.finish(again, outcomes[claim.config.key()], SURROUNDINGS)
    (record,) = store.records(number)
    assert [attempt["status"] for attempt in record["attempts"]] == ["diverged", "finished"]


def test_lost_attempts_are_done_again_until_they_were_too_many(store):
    number = store.enter(SWEEP)
    worker = store.new_worker("test", number)
    for expected in ("pending", "pending", "failed"):
        claim = store.claim(number, worker)
        assert store.give_up(claim.attempt_id, "lost", "killed by signal 9", max_attempts=3)
        assert not store.give_up(claim.attempt_id, "lost", "again", max_attempts=3)
        assert store.counts(number)[expected] >= 1
    (record,) = store.records(number)
    assert record["failure"] == "killed"
    assert "killed by signal 9" in record["error"]
    assert "max_attempts=3" in record["error"]
    assert [attempt["status"] for attempt in record["attempts"]] == ["lost", "lost", "failed"]
    store.redo(number, ("failed",))
    claim = store.claim(number, worker)  # a run that is retried has all its attempts again
    store.give_up(claim.attempt_id, "lost", "killed", max_attempts=3)
    assert store.counts(number)["failed"] == 0


def test_an_interruption_is_no_lost_attempt(store):
    number, claim = claimed(store)
    for _ in range(5):
        store.give_up(claim.attempt_id, "interrupted", "stopped", max_attempts=1)
        claim = store.claim(number, claim.worker_id)
    assert store.counts(number)["failed"] == 0


@pytest.mark.parametrize("claimed_again", [False, True])
def test_the_first_result_counts_and_the_second_does_not(store, outcomes, claimed_again):
    number, slow = claimed(store)
    outcome = outcomes[slow.config.key()]
    store.give_up(slow.attempt_id, "lost", "silent", max_attempts=3)
    again = store.claim(number, slow.worker_id) if claimed_again else None
    assert store.finish(slow, outcome, SURROUNDINGS)
    if again is not None:
        assert again.config == slow.config
        assert not store.finish(again, outcome, SURROUNDINGS)
    assert store.counts(number)["finished"] == 1
    (record,) = store.records(number)
    assert [attempt["status"] for attempt in record["attempts"]] == ["finished", "superseded"][: 1 + claimed_again]
    with store.database.read() as connection:
        points = connection.execute(sqlalchemy.select(checkpoints.c.attempt_id)).scalars().all()
    assert points == [slow.attempt_id] * 2


def test_the_database_itself_refuses_a_second_result_and_a_second_claim(store):
    _, claim = claimed(store)
    for status in ("finished", "running"):
        row = {"run_id": claim.run_id, "status": status, "beats": 0}
        two = [{**row, "number": 8}, {**row, "number": 9}]
        with pytest.raises(sqlalchemy.exc.IntegrityError), store.database.write() as connection:
            connection.execute(attempts.insert(), two)
    with store.database.read() as connection:
        copied = dict(connection.execute(sqlalchemy.select(runs)).first()._mapping)
    with pytest.raises(sqlalchemy.exc.IntegrityError), store.database.write() as connection:
        connection.execute(runs.insert().values({**copied, "id": 999}))


def test_nothing_is_stored_of_numbers_that_are_not_finite(store, outcomes):
    number, claim = claimed(store)
    with pytest.raises(ValueError, match="JSON"):
        store.finish(claim, {**outcomes[claim.config.key()], "diagnostics": {"x": [math.nan]}}, SURROUNDINGS)
    assert store.counts(number)["running"] == 1


def test_many_threads_claim_every_run_once(address):
    sweep = SWEEP.model_copy(update={"seeds": tuple(range(10))})
    with Store(address) as store:
        number = store.enter(sweep)

    def take(_):
        taken = []
        with Store(address) as store:
            worker = store.new_worker("test", number)
            while claim := store.claim(number, worker):
                taken.append(claim.run_id)
        return taken

    with ThreadPoolExecutor(4) as pool:
        taken = [run_id for found in pool.map(take, range(4)) for run_id in found]
    assert len(taken) == 60
    assert max(Counter(taken).values()) == 1


def fill(store, outcomes):
    """Does the whole sweep; the last run fails, the first one was lost once."""
    number = store.enter(SWEEP)
    worker = store.new_worker("test", number)
    store.give_up(store.claim(number, worker).attempt_id, "lost", "killed", max_attempts=3)
    while claim := store.claim(number, worker):
        outcome = outcomes[claim.config.key()]
        if store.counts(number)["pending"] == 0:
            outcome = {**outcome, "status": "failed", "failure": "error", "error": "E", "traceback": ""}
        store.finish(claim, outcome, SURROUNDINGS)
    return store.records(number)


@pytest.mark.parametrize("name", ["records.jsonl", "records.jsonl.xz"])
def test_lines_and_back(store, outcomes, tmp_path, name):
    records = fill(store, outcomes)
    path = tmp_path / "new" / name
    write_lines(records, path)
    assert list(read_lines(path)) == records
    with Store(tmp_path / "other.sqlite") as other:
        assert bring_in(other, read_lines(path)).new == 6
        assert bring_in(other, read_lines(path)).known == 6
        copies = other.records()
        forgotten = {"worker", "attempts"}
        assert [{k: v for k, v in each.items() if k not in forgotten} for each in copies] == [
            {k: v for k, v in each.items() if k not in forgotten} for each in records
        ]
        assert [a["status"] for a in copies[0]["attempts"]] == ["lost", "finished"]
        number = other.enter(SWEEP)  # imported runs are not done again
        assert other.counts(number) == {"pending": 0, "running": 0, "finished": 5, "failed": 1, "diverged": 0}


def test_compressed_lines_are_an_xz_file_of_the_plain_ones(store, outcomes, tmp_path):
    records = fill(store, outcomes)
    plain, small = tmp_path / "records.jsonl", tmp_path / "records.jsonl.xz"
    export(records, plain)
    export(records, small)
    assert lzma.decompress(small.read_bytes()) == plain.read_bytes()
    small.write_bytes(small.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"records.jsonl.xz is damaged"):
        list(read_lines(small))


@pytest.mark.parametrize("torn", [b'{"key": "c", "sel', b"{", b'{"key": "c"}', '{"name": "75°'.encode()[:-1]])
def test_a_torn_last_line_is_no_record(tmp_path, torn):
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"key": "a", "config": {}, "status": "finished"}\n' + torn)
    assert [record["key"] for record in read_lines(path)] == ["a"]


@pytest.mark.parametrize("wrong", ['{"key": ', "[]", '{"key": "a"}', '{"key": "a", "config": "x", "status": "failed"}'])
def test_a_damaged_line_in_the_middle_is_an_error(tmp_path, wrong):
    path = tmp_path / "records.jsonl"
    path.write_text(f'{wrong}\n{{"key": "b", "config": {{}}, "status": "finished"}}\n')
    with pytest.raises(ValueError, match=r"records.jsonl, line 1: not a record"):
        list(read_lines(path))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_tables(store, outcomes, tmp_path, ending):
    records = fill(store, outcomes)
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet}[ending]
    path = tmp_path / f"out.{ending}"
    assert export(records, path) == 6
    frame = read(path)
    assert frame["config.algorithm"].tolist() == ["erm", "pgrad"] * 3
    assert frame["selections.last.held_out"][0] == pytest.approx(records[0]["selections"]["last"]["held_out"])
    assert frame["status"].tolist() == ["finished"] * 5 + ["failed"]
    assert frame["attempts"].tolist() == [2, 1, 1, 1, 1, 1]
    assert export(records, path, "checkpoints") == 6 * 2 * 3
    frame = read(path)
    assert frame.groupby("key")["held_out"].sum().tolist() == [2] * 6
    assert export(records, path, "attempts") == 7
    assert sorted(read(path)["status"]) == ["failed"] + ["finished"] * 5 + ["lost"]
    with pytest.raises(ValueError, match=r"got 'out\.xlsx'"):
        export(records, tmp_path / "out.xlsx")
    with pytest.raises(ValueError, match="got 'rows'"):
        table(records, "rows")


def test_a_look_with_the_drivers_alone_sees_the_same(store, address, outcomes):
    number, claim = claimed(store)
    store.finish(claim, outcomes[claim.config.key()], {"code": claim.code})
    failing = store.claim(number, claim.worker_id)
    failed = {"status": "failed", "failure": "error", "error": "ValueError: 3 of 5", "traceback": "Traceback ..."}
    store.finish(failing, failed, {"code": claim.code})
    with Glance(address) as glance:
        (state,) = glance.sweeps()
        assert (state.number, state.config) == (number, store.sweeps()[0]["config"])
        assert state.counts() == {status: n for status, n in store.counts(number).items() if n}
        assert glance.speeds() == pytest.approx(store.speeds())
        (cause,) = glance.causes()
        assert (cause.keys, cause.error, cause.failure) == ([failing.config.key()], "ValueError: 3 of 5", "error")
        found = glance.run(failing.config.key()[:12])
        assert (found.config, found.status, found.code) == (failing.config.config(), "failed", failing.code)
        assert [attempt["traceback"] for attempt in found.attempts] == ["Traceback ..."]
        assert found.sweeps == {number: state.config}
        with pytest.raises(ConfigError, match="has no run whose key begins with 000000000000"):
            glance.run("000000000000")
