"""Records that come in from elsewhere, into stores that others are at work on."""

import threading

import pytest

from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.store import Store, StoreError, importing
from benchmarks.sweeps.store.importing import bring_in
from benchmarks.sweeps.store.mending import check
from tests.benchmarks.sweeps.test_states import outcome

SWEEP = SweepConfig(datasets="coloured-digits", algorithms="erm", seeds=20, settings={"rollouts": 2})
"""Sixty runs."""


def record(config, code, event="result", **more):
    """What another store exports of a run."""
    found = outcome(config, event)
    status = "finished" if event == "result" else "failed"
    tries = [{"number": 1, "status": "lost"}, {"number": 2, "status": status, "failure": found.get("failure")}]
    return {**found, "evaluations": 1, "environment": {"code": code}, "attempts": tries, **more}


def code_of(store, number):
    claim = store.claim(number, store.new_worker("test", number))
    store.give_up(claim.attempt_id, "interrupted", "only looked", 3)
    return claim.code


def test_workers_go_on_while_records_come_in(address, monkeypatch):
    """No transaction takes more than a batch of them, and a claim comes in between."""
    monkeypatch.setattr(importing, "BATCH", 3)
    claimed = []
    with Store(address) as store:
        number = store.enter(SWEEP)
        code = code_of(store, number)
        done = threading.Event()

        def work():
            with Store(address) as other:
                worker = other.new_worker("test", number)
                while claim := other.claim(number, worker):
                    claimed.append(claim)
                    other.finish(claim, outcome(claim.config, "result"), {"code": claim.code})

        def last_first():  # the worker begins at the other end
            for config in reversed(SWEEP.runs()):
                yield record(config, code)
            done.set()

        thread = threading.Thread(target=work)
        thread.start()
        brought = bring_in(store, last_first())
        thread.join()
        assert done.is_set()
        assert brought.new + brought.known == 60
        assert brought.new + len(claimed) == 60
        assert store.counts(number)["finished"] == 60
        assert len(store.records(number)) == 60
        assert check(store.database) == []


def test_a_record_of_a_run_that_was_tried_here(address):
    """Its attempts come after those that are there; one of an older version that diverged is called so."""
    config = SWEEP.runs()[0]
    with Store(address) as store:
        number = store.enter(SWEEP)
        code = code_of(store, number)
        assert bring_in(store, [record(config, code, "divergence"), record(config, code)]).new == 1
        (found,) = store.records(number)
        assert found["status"] == "diverged"
        assert [attempt["status"] for attempt in found["attempts"]] == ["interrupted", "lost", "diverged"]
        assert [attempt["number"] for attempt in found["attempts"]] == [1, 2, 3]
        assert bring_in(store, [record(config, code)]).known == 1  # what the store has, it keeps


def test_attempts_that_an_older_version_left(address):
    """No record is refused for them: a second result, an attempt at work, none that counts, none at all."""
    odd = [
        [{"number": 1, "status": "finished"}, {"number": 2, "status": "finished"}],
        [{"number": 1, "status": "finished"}, {"number": 2, "status": "running"}],
        [{"number": 1, "status": "superseded"}],
        [],
    ]
    with Store(address) as store:
        for config, tries in zip(SWEEP.runs(), odd, strict=False):
            assert bring_in(store, [record(config, "x", attempts=tries)]).new == 1
        assert [each["status"] for each in store.records()] == ["finished"] * 4
        assert check(store.database) == []


def test_only_ended_runs_come_in(address):
    with Store(address) as store, pytest.raises(StoreError, match="only ended runs can be imported, got 'running'"):
        bring_in(store, [record(SWEEP.runs()[0], "x", status="running")])
