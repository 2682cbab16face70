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


def test_it_does_not_matter_whether_the_runs_were_entered(address):
    """A record comes out as it came in, from a store where its run waited and from one that did not know of it."""
    events = ("result", "failure", "divergence")
    with Store(address) as store:
        number = store.enter(SWEEP)
        code = code_of(store, number)
        known = [record(config, code, event) for config, event in zip(SWEEP.runs()[1:], events, strict=False)]
        unknown = [{**each, "environment": {"code": "other"}} for each in known]
        mixed = [each for pair in zip(known, unknown, strict=True) for each in pair]
        assert bring_in(store, mixed + mixed).new == 6
        assert store.counts(number) == {"pending": 57, "running": 0, "finished": 1, "failed": 1, "diverged": 1}
        found = store.records()
        assert len(found) == 6
        for waited, fresh in zip(found[:3], found[3:], strict=True):
            own = {"environment": 0, "evaluations": 0}
            assert {**waited, **own} == {**fresh, **own}
        for brought, told in zip(found, known + unknown, strict=True):
            assert brought["key"] == told["key"]
            assert brought["curves"] == told["curves"]
            assert brought["environment"]["code"] == told["environment"]["code"]
        assert check(store.database) == []


def test_what_the_server_refuses_leaves_nothing(address):
    """Whichever way rows went to it: the error is the store's, and the batch is gone whole."""
    wrong = record(SWEEP.runs()[1], "x")
    wrong["evaluations"] = 2**70
    with Store(address) as store:
        with pytest.raises(StoreError, match=r"out of range|too large"):
            bring_in(store, [record(SWEEP.runs()[0], "x"), wrong])
        assert store.records() == []
        assert bring_in(store, [record(SWEEP.runs()[0], "x")]).new == 1
