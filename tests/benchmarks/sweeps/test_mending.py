"""Stores of an older version, and stores that a hand has been at, are read and mended."""

import sqlite3

import pytest
from sqlalchemy import text

from benchmarks.runs.runner import run
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.store import Store
from benchmarks.sweeps.store.mending import check

SWEEP = SweepConfig(
    datasets="coloured-digits",
    algorithms="erm",
    seeds=1,
    settings={"rollouts": 2, "evaluate_every": 1, "batch_size": 8, "splits": 1, "width": 4},
)

VERSION_2 = """
DROP INDEX waiting; DROP INDEX tallies_of_sweep; DROP TABLE tallies;
CREATE TABLE old_members (sweep_id INTEGER NOT NULL, position INTEGER NOT NULL, run_id INTEGER NOT NULL,
    PRIMARY KEY (sweep_id, position), UNIQUE (sweep_id, run_id),
    FOREIGN KEY(sweep_id) REFERENCES sweeps (id), FOREIGN KEY(run_id) REFERENCES runs (id));
INSERT INTO old_members SELECT sweep_id, position, run_id FROM members;
DROP TABLE members; ALTER TABLE old_members RENAME TO members;
CREATE INDEX members_by_run ON members (run_id); CREATE INDEX runs_by_status ON runs (status);
ALTER TABLE sweeps DROP COLUMN complete; ALTER TABLE workers DROP COLUMN place;
UPDATE runs SET status = 'failed' WHERE status = 'diverged';
UPDATE attempts SET status = 'failed', failure = 'diverged' WHERE status = 'diverged';
UPDATE meta SET version = 2;
"""
"""Makes of the present tables what they were."""


@pytest.fixture(scope="module")
def outcome():
    """Of the first run of the sweep."""
    return run(SWEEP.runs()[0])


def filled(store, outcome):
    """One run finished, one diverged, one waits."""
    number = store.enter(SWEEP)
    worker = store.new_worker("test", number)
    first = store.claim(number, worker)
    store.finish(first, outcome, {"code": first.code})
    second = store.claim(number, worker)
    diverged = {**outcome, "status": "failed", "failure": "diverged", "error": "NaN", "traceback": "T"}
    store.finish(second, diverged, {"code": second.code})
    return number, worker


def test_a_store_of_version_2_is_read_and_gone_on_with(tmp_path, outcome):
    path = tmp_path / "store.sqlite"
    with Store(path) as store:
        number, worker = filled(store, outcome)
        records = store.records()
        counts = store.counts(number)
    with sqlite3.connect(path) as connection:
        connection.executescript(VERSION_2)
    connection.close()
    with Store(path) as store:
        assert store.records() == records
        assert store.enter(SWEEP) == number
        assert store.counts(number) == counts == {"pending": 1, "running": 0, "finished": 1, "failed": 0, "diverged": 1}
        assert store.progress(number).best[0].validation == records[0]["selection"]["validation"]
        assert check(store.database) == []
        assert store.claim(number, worker) is not None
        assert store.claim(number, worker) is None


HANDS = {
    "UPDATE runs SET status = 'failed' WHERE status = 'diverged'": "diverged and are called failed",
    "DELETE FROM attempts WHERE status = 'diverged'": "no attempt that is",
    "UPDATE runs SET status = 'failed' WHERE status = 'pending'": "no attempt that is",
    "UPDATE runs SET status = 'finished'": "no attempt that is",
    "UPDATE runs SET status = 'running'": "do not count",
    "UPDATE runs SET status = 'whatever'": "no attempt that is",
    "UPDATE attempts SET status = 'whatever' WHERE status = 'diverged'": "a status that does not exist",
    "UPDATE attempts SET status = 'failed', failure = 'diverged' WHERE status = 'diverged'": "called failed",
    "UPDATE attempts SET selections = NULL": "without what was selected",
    "UPDATE attempts SET status = 'superseded' WHERE status = 'finished'": "checkpoints of no attempt",
    "UPDATE members SET status = 'pending'": "places that do not have the status",
    "DELETE FROM tallies": "tallies of sweep 1",
    "DELETE FROM runs WHERE status = 'finished'": "attempts at runs that are not there",
    "DELETE FROM sweeps": "places of runs or sweeps",
}


@pytest.mark.parametrize("hand", HANDS)
def test_what_a_hand_left_is_read_found_and_mended(tmp_path, outcome, hand):
    path = tmp_path / "store.sqlite"
    with Store(path) as store:
        number, worker = filled(store, outcome)
    with sqlite3.connect(path) as connection:  # no foreign keys here
        connection.execute(hand)
    connection.close()
    with Store(path) as store:
        before = store.records()  # nothing crashes
        assert all(record["status"] in ("finished", "failed", "diverged") for record in before)
        store.counts(number)
        told = check(store.database, mend=False)
        assert any(HANDS[hand] in one.what for one in told), told
        assert store.records() == before
        found = check(store.database)
        assert found[0] == told[0]
        if "DELETE FROM runs" in hand:
            assert "broken off" in found[-1].what
            store.enter(SWEEP)
        assert check(store.database) == []
        number = store.enter(SWEEP)
        while claim := store.claim(number, worker):  # the sweep comes to its end
            store.finish(claim, {**outcome, "key": claim.config.key()}, {"code": claim.code})
        counts = store.counts(number)
        assert counts["pending"] == counts["running"] == 0
        assert len(store.records(number)) == 3
        assert "no attempt" not in str(store.records())


def test_a_late_result_of_a_run_that_was_given_up_for_good(tmp_path, outcome):
    """A coordinator that was suspended comes back: its result counts, since nothing of the run itself had failed."""
    with Store(tmp_path / "store.sqlite") as store:
        number = store.enter(SWEEP)
        claim = store.claim(number, store.new_worker("test", number))
        store.give_up(claim.attempt_id, "lost", "no sign of life", max_attempts=1)
        assert store.counts(number)["failed"] == 1
        assert store.records(number)[0]["failure"] == "killed"
        assert store.finish(claim, outcome, {"code": claim.code})
        (record,) = store.records(number)
        assert (record["status"], record["curves"]) == ("finished", outcome["curves"])
        assert store.finish(claim, outcome, {"code": claim.code})  # said again, it is the same
        assert store.records(number) == [record]


def test_a_late_failure_changes_nothing(tmp_path, outcome):
    failed = {**outcome, "status": "failed", "failure": "error", "error": "E", "traceback": ""}
    with Store(tmp_path / "store.sqlite") as store:
        number = store.enter(SWEEP)
        claim = store.claim(number, store.new_worker("test", number))
        store.give_up(claim.attempt_id, "lost", "no sign of life", max_attempts=1)
        before = store.records(number)
        assert not store.finish(claim, failed, {"code": claim.code})
        assert store.records(number) == before


def test_a_result_of_a_run_that_was_deleted_is_not_stored(tmp_path, outcome):
    with Store(tmp_path / "store.sqlite") as store:
        number = store.enter(SWEEP)
        claim = store.claim(number, store.new_worker("test", number))
        assert store.delete(number) == 3
        assert not store.finish(claim, outcome, {"code": claim.code})
        assert store.records() == []
        with store.database.read() as connection:
            assert connection.execute(text("SELECT count(*) FROM attempts")).scalar() == 0


def test_a_damaged_file_is_told_of(tmp_path, outcome):
    path = tmp_path / "store.sqlite"
    with Store(path) as store:
        filled(store, outcome)
        assert check(store.database) == []
    content = bytearray(path.read_bytes())
    content[-4096:] = b"\xff" * 4096
    path.write_bytes(content)
    with Store(path) as store:
        (finding,) = check(store.database)
    assert "damaged" in finding.what
