"""A failed run: its cause in a line, all about it by its key, and how it is done again."""

import dataclasses
import json
import re
import signal
import sqlite3

import pytest

from benchmarks.__main__ import app
from benchmarks.base.errors import ConfigError
from benchmarks.commands.again import selected
from benchmarks.sweeps.coordinator import perform
from benchmarks.sweeps.glance import Glance, cause_of
from benchmarks.sweeps.store import Store
from benchmarks.sweeps.store.transfer import read_lines
from tests.benchmarks.toy_sweeps import toy_sweep


@pytest.fixture
def said(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")

    def call(*words):
        before = signal.getsignal(signal.SIGTERM)
        try:
            with pytest.raises(SystemExit) as stopped:
                app([str(word) for word in words])
        finally:
            signal.signal(signal.SIGTERM, before)
        captured = capsys.readouterr()
        return stopped.value.code or 0, captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder with runs that finished, ran out of memory, lacked a library and diverged."""
    folder = tmp_path_factory.mktemp("done")
    with Store(folder / "store.sqlite") as store:
        perform(toy_sweep("toy-sgd", "toy-memory", "toy-import", "toy-nan", seeds=2), store, folder)
    return folder


@pytest.fixture
def folder(done, tmp_path):
    for name in ("store.sqlite", "records.jsonl"):
        (tmp_path / name).write_bytes((done / name).read_bytes())
    return tmp_path


def records(folder):
    return {record["key"]: record for record in read_lines(folder / "records.jsonl")}


def test_status_has_a_line_for_each_cause(said, folder):
    code, text, _ = said("status", folder)
    assert code == 0
    lines = text.splitlines()
    (head,) = [number for number, line in enumerate(lines) if line == "12 runs failed, by cause:"]
    causes = lines[head + 1 : head + 3]
    assert re.match(r"  6 x \w+Error: .* \[out-of-memory; toy-memory on toy; first: [0-9a-f]{16}\]", causes[0])
    assert causes[1].startswith(
        "  6 x ModuleNotFoundError: No module named 'a_library_that_nobody_has' [import; toy-import"
    )
    assert "6 runs diverged, which is a result: toy-nan." in lines
    assert sum("toy-memory" in line for line in lines) == 1
    keys = re.findall(r"first: ([0-9a-f]{16})", text)
    assert {records(folder)[key]["config"]["algorithm"] for key in keys} == {"toy-memory", "toy-import"}


def test_status_agrees_with_the_store(folder):
    with Store(folder / "store.sqlite") as store, Glance(str(folder / "store.sqlite")) as glance:
        (state,) = glance.sweeps()
        assert state.counts() == {name: n for name, n in store.counts(state.number).items() if n}
        assert glance.speeds() == pytest.approx(store.speeds())
        assert state.config == store.sweeps()[0]["config"]


def test_show_tells_all_about_a_run(said, folder):
    record = next(one for one in records(folder).values() if one["config"]["algorithm"] == "toy-import")
    code, text, _ = said("show", record["key"], folder)
    assert code == 0
    assert text.startswith(f"run {record['key']}: failed\n")
    for name, value in record["config"].items():
        assert f"  {name}: {value if isinstance(value, str) else json.dumps(value)}\n" in text
    assert record["traceback"].rstrip() in text
    assert "import a_library_that_nobody_has" in text
    assert f"Once more: python -m benchmarks again {record['key']} --output {folder}" in text
    finished = next(key for key, one in records(folder).items() if one["status"] == "finished")
    text = said("show", finished, folder)[1]
    assert "finished" in text
    assert "Once more" not in text


def test_the_beginning_of_a_key_is_enough_if_it_is_one_runs_alone(said, folder):
    keys = sorted(records(folder))
    short = next(keys[0][:n] for n in range(1, 17) if sum(key.startswith(keys[0][:n]) for key in keys) == 1)
    assert said("show", short, folder)[1].startswith(f"run {keys[0]}")
    code, _, errors = said("show", "zz", folder)
    assert (code, "'zz' is no key of a run" in errors) == (2, True)
    absent = next(f"{n:016x}" for n in range(100) if f"{n:016x}" not in keys)
    assert "has no run whose key begins with" in said("show", absent, folder)[2]
    first = {key[0] for key in keys if sum(other[0] == key[0] for other in keys) > 1}
    assert "give more digits" in said("show", min(first), folder)[2]


def test_again_does_the_chosen_runs_and_no_others(said, folder):
    before = records(folder)
    chosen = [key for key, one in before.items() if one["config"]["algorithm"] == "toy-memory"][:2]
    code, text, _ = said("again", *chosen, "--output", folder)
    assert code == 1
    assert "2 runs, 2 of them failed" in text
    after = records(folder)
    assert set(after) == set(before)
    for key, record in after.items():
        assert len(record["attempts"]) == (2 if key in chosen else 1), record["config"]["algorithm"]


def test_again_does_a_finished_run_once_more(said, folder):
    before = records(folder)
    finished = next(key for key, one in before.items() if one["status"] == "finished")
    assert said("again", finished, "--output", folder)[0] == 0
    after = records(folder)
    assert len(after[finished]["attempts"]) == 2
    assert after[finished]["curves"] == before[finished]["curves"]


def test_again_refuses_what_it_cannot_do(said, folder):
    failed = next(key for key, one in records(folder).items() if one["status"] == "failed")
    assert "Did you mean 'local'" in said("again", failed, "--output", folder, "--launcher", "locall")[2]
    with Glance(str(folder / "store.sqlite")) as glance:
        run = glance.run(failed)
    assert selected([run], "in-process").launcher.kind == "in-process"
    with pytest.raises(ConfigError, match="is pending: only runs that have ended"):
        selected([dataclasses.replace(run, status="pending")], None)
    run.config["dataset"] = "wilds:camelyon17"
    with pytest.raises(ConfigError, match="wilds does it again"):
        selected([run], None)


def test_runs_that_a_hand_left_behind_are_shown(said, folder):
    """Failed without a failed attempt, and in a state that this version does not know."""
    with sqlite3.connect(folder / "store.sqlite") as connection:
        failed, other = connection.execute("SELECT id, key FROM runs WHERE status = 'failed' ORDER BY id").fetchmany(2)
        connection.execute("DELETE FROM attempts WHERE run_id = ?", failed[:1])
        connection.execute("UPDATE runs SET status = 'parked' WHERE id = ?", other[:1])
    connection.close()
    code, text, _ = said("status", folder)
    assert code == 0
    assert "no attempt says why" in text
    assert "parked" in text
    assert "No attempt yet." in said("show", failed[1], folder)[1]


def test_stores_that_are_none(said, tmp_path):
    (tmp_path / "store.sqlite").write_bytes(b"")
    code, _, errors = said("status", tmp_path)
    assert (code, "cannot be read: no such table" in errors) == (2, True)
    (tmp_path / "store.sqlite").write_bytes(b"SQLite format 3\0" + bytes(2000))
    code, _, errors = said("status", tmp_path)
    assert (code, "cannot be read" in errors) == (2, True)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ValueError: 3 of 5", "ValueError: 12 of 7", True),
        ("KeyError: 'a'", "KeyError: 'b'", True),
        ("at 0x7f01", "at 0x8e02", True),
        ("loss 1e-05", "loss 2.5", True),
        ("ValueError: x", "TypeError: x", False),
    ],
)
def test_causes(one, other, same):
    assert (cause_of(one) == cause_of(other)) == same
