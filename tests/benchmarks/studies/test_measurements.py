"""The programs behind docs/performance.md and docs/analysis.md that no command has: each is run once, and small."""

import importlib.util
import itertools
import math
import subprocess
import sys

import pytest

from benchmarks.reports.load import load
from benchmarks.studies.performance import recorder, reports, stores
from benchmarks.sweeps.store import Store
from benchmarks.sweeps.store.transfer import read_lines, write_lines


def printed(program, *words):
    """Lines of a table or of text."""
    command = [sys.executable, "-m", f"benchmarks.studies.performance.{program}", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_store_is_filled_with_the_committed_runs_again_and_again(tmp_path, monkeypatch):
    theirs = list(itertools.islice(read_lines(reports.RECORDS), 40))
    write_lines(theirs, tmp_path / "some.jsonl")
    monkeypatch.setattr(reports, "RECORDS", tmp_path / "some.jsonl")
    with Store(tmp_path / "store.sqlite") as store:
        reports.fill(store, 100)
    ours = load([str(tmp_path / "store.sqlite")]).records
    assert len(ours) == 100
    for number, (mine, one) in enumerate(zip(ours, itertools.cycle(theirs), strict=False)):
        assert mine["config"] == {**one["config"], "point": one["config"]["point"] + reports.POINTS * (number // 40)}
        assert mine["selections"] == one["selections"]
        assert {name: mine["curves"][name] for name in one["curves"]} == one["curves"]


@pytest.mark.slow
def test_the_cost_of_a_recorder(capsys):
    recorder.main(rollouts=2, rounds=1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["without", "recorder", "recorder with layers"]
    assert "+0.0 %, +0.00 ms" in lines[0]


def test_times_of_which_there_are_few():
    assert stores.of_times("a claim", [0.25]) == stores.Timed("a claim", 0.25, note="95 %: 250.0 ms, of 1")
    none = stores.of_times("a claim", [])
    assert math.isnan(none.wall)
    assert none.note == "there was none"
    several = stores.of_times("a claim", [0.001 * number for number in range(1, 20)])
    assert several == stores.Timed("a claim", pytest.approx(0.010), note="95 %: 19.0 ms, of 19")


@pytest.mark.slow
def test_what_a_store_is_asked_for(tmp_path):
    lines = printed("stores", "--runs", "600", "--imports", "20", "--workers", "2", "--folder", str(tmp_path))
    what = [line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| ")]
    assert what[2:5] == ["plan 600 runs", "enter 600 runs", "enter them again (nothing to do)"]
    assert any("20 were new; the workers did" in line for line in lines)
    assert any("2 workers, 10 runs each" in line for line in lines)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="torchvision is not here")
def test_the_cost_of_curvature():
    lines = printed("curvature", "--pixels", "32", "--pictures", "2", "--batch-size", "2", "--eigenpairs", "1")
    assert lines[0].startswith("23.5 million parameters, one gradient over all pictures")
    assert lines[1].startswith("1 eigenpairs: ")
    assert lines[-1].startswith("eigenvalues: ")
