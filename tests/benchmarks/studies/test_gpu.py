"""The check of a card, rehearsed on the CPU: its parts, what becomes of those that fail, the whole as a user has it."""

import importlib.metadata
import io
import os
import re
import statistics
import subprocess
import sys
import time

import psutil
import pytest
import torch
from rich.console import Console

from benchmarks.runs.environment import ROOT
from benchmarks.studies.gpu import check, outcomes, overlap, parts, record, report
from benchmarks.studies.performance.passes import time_passes

WAIT = [sys.executable, "-c", "import signal; print('begun', flush=True); signal.pause()"]


def settings(**changes):
    tiny = {"device": "cpu", "problems": (), "steps": 3, "batch": 2, "rounds": 2, "seconds": 1e6}
    return check.Settings(**{**tiny, **changes})


def silent(text):
    pass


# ------------------------------------------------------------------------------------------------------------- parts


def test_a_part_that_ends(tmp_path):
    part = parts.run("p", [sys.executable, "-c", "print('said')"], 1e6, tmp_path / "log")
    assert (part.outcome, part.reason) == ("done", None)
    assert (tmp_path / "log").read_text() == "said\n"


def test_a_part_that_fails_says_its_last_words(tmp_path):
    part = parts.run("p", [sys.executable, "-c", "raise ValueError('no such thing')"], 1e6, tmp_path / "log")
    assert part.outcome == "failed"
    assert part.reason.startswith("status 1\n")
    assert part.reason.endswith("ValueError: no such thing")


def test_a_part_that_hangs_is_ended(tmp_path):
    part = parts.run("p", WAIT, 0.01, tmp_path / "log")
    assert part.outcome == "killed"
    assert "was not done after" in part.reason


def test_a_part_that_does_not_listen_is_ended_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "GRACE", 0.01)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"
    part = parts.run("p", [sys.executable, "-c", deaf], 0.01, tmp_path / "log")
    assert part.outcome == "killed"


def test_a_part_that_a_signal_ends(tmp_path):
    part = parts.run("p", [sys.executable, "-c", "import os; os.abort()"], 1e6, tmp_path / "log")
    assert (part.outcome, part.reason) == ("killed", "by SIGABRT")


def test_nothing_of_a_part_is_left_behind(tmp_path):
    code = f"import subprocess; print(subprocess.Popen({WAIT!r}, stdout=subprocess.DEVNULL).pid)"
    assert parts.run("p", [sys.executable, "-c", code], 1e6, tmp_path / "log").outcome == "done"
    child = int((tmp_path / "log").read_text())
    while _is_alive(child):
        time.sleep(0.01)


def _is_alive(process):
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# ------------------------------------------------------------------------------------------------------------- tests

TESTS = """
import os
import pytest

def test_good(): pass

def test_bad(): assert 1 == 2

@pytest.mark.skip(reason="two cards needed")
def test_left_out(): pass

@pytest.mark.xfail(reason="known")
def test_known(): raise ValueError

@pytest.fixture
def late():
    yield
    raise OSError("late")

def test_teardown(late): pass

def test_dead(): os._exit(7)

def test_never(): pass
"""


@pytest.mark.slow
def test_outcomes_by_name_though_pytest_dies(tmp_path):
    file = tmp_path / "test_some.py"
    file.write_text(TESTS)
    found = check.check(settings(tests=(str(file),)), tmp_path / "out", silent)
    assert {test.name.rpartition("::")[2]: test.outcome for test in found.tests} == {
        "test_good": "passed",
        "test_bad": "failed",
        "test_left_out": "skipped",
        "test_known": "xfailed",
        "test_teardown": "failed",
        "test_dead": "crashed",
    }
    reasons = {test.name.rpartition("::")[2]: test.reason for test in found.tests}
    assert "assert 1 == 2" in reasons["test_bad"]
    assert "two cards needed" in reasons["test_left_out"]
    assert reasons["test_known"] == "known"
    (part,) = found.parts
    assert part.outcome == "failed"
    assert part.reason.startswith("status 7")
    assert len(found.failures) == 4
    assert (tmp_path / "out" / "gpu.json").read_text() == found.model_dump_json(indent=1) + "\n"
    console = Console(record=True, width=200, file=io.StringIO())
    for table in report.tables(found):
        console.print(table)
    text = console.export_text()
    assert "1 passed, 2 failed, 1 skipped, 1 xfailed, 1 crashed" in text
    assert "test_bad" in text
    assert "two cards needed" in text


@pytest.mark.slow
def test_a_file_that_cannot_be_imported_is_a_failure(tmp_path):
    file = tmp_path / "test_some.py"
    file.write_text("import no_such_module")
    found = check.check(settings(tests=(str(file),)), tmp_path / "out", silent)
    (test,) = found.tests
    assert test.outcome == "failed"
    assert "no_such_module" in test.reason


def test_a_line_that_was_being_written_does_not_count(tmp_path):
    whole = record.Outcome(name="a", outcome="passed").model_dump_json()
    (tmp_path / "lines").write_text(f"{whole}\n{whole[:20]}")
    assert [test.name for test in outcomes.read(tmp_path / "lines")] == ["a"]
    assert outcomes.read(tmp_path / "none") == ()


@pytest.mark.slow
def test_every_test_for_a_cuda_device_is_in_the_files_that_are_run():
    """Those that pytest itself finds by the marker."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only", "-m", "cuda"]
    command.append("tests/pgrad")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = set(re.findall(r"^(tests/\S+?\.py)::", done.stdout, re.MULTILINE))
    assert found
    assert found == set(check.marked_files())


# ----------------------------------------------------------------------------------------------------------- figures


@pytest.mark.parametrize("steps", [3, 5])
def test_overlap_is_made_of_its_rounds(steps):
    row = overlap.measure("mlp-100k", steps, 2, "cpu", rounds=3)
    assert row["rows"] in (steps - 2, steps - 1)  # before the last step
    seconds = row["rounds"]
    assert {len(values) for values in seconds.values()} == {3}
    by_hand = [
        1 - (host - device) / copies
        for host, device, copies in zip(seconds["steps_host"], seconds["steps_device"], seconds["copies"], strict=True)
    ]
    assert row["hidden_share"] == pytest.approx(statistics.quantiles(by_hand, n=4, method="inclusive"))
    assert row["seconds"]["copies"][1] == statistics.median(seconds["copies"])
    assert row["ratio"][0] <= row["ratio"][1] <= row["ratio"][2]


def test_overlap_needs_a_step_to_hide_behind():
    with pytest.raises(ValueError, match=r"at least 3.*got 2"):
        overlap.measure("mlp-100k", 2, 2, "cpu", rounds=1)


def test_shares_of_bandwidth_are_made_of_their_rounds():
    row = time_passes(5000, 4, torch.device("cpu"), "wall", rounds=3)
    copies, closes, sums = (row["rounds"][name] for name in ("copy", "close", "sum"))
    by_hand = [13 / 2 * copy / (a + b) for copy, a, b in zip(copies, closes, sums, strict=True)]  # 4 + T and T + 1
    lower, middle, upper = statistics.quantiles(by_hand, n=4, method="inclusive")
    assert row["share_of_copy_bandwidth"] == pytest.approx(middle)
    assert row["share_of_copy_bandwidth_quartiles"] == pytest.approx([lower, upper])
    assert row["close_share"] == pytest.approx(
        statistics.median(8 / 2 * a / b for a, b in zip(copies, closes, strict=True))
    )


def test_targets():
    def row(problem, name, ratio):
        return {"task": {"problem": problem}, "name": name, "ratio": ratio}

    times = (row("resnet50", "inner", 1.0), row("resnet50", "pgrad", 1.015), row("vit-b", "pgrad", 1.3))
    passes = ({"parameters": 1, "share_of_copy_bandwidth": 0.9}, {"parameters": 2, "share_of_copy_bandwidth": 0.7})
    assert [(target.found, target.met) for target in record.targets(times, passes)] == [(1.015, True), (0.7, False)]
    assert [(target.found, target.met) for target in record.targets((), ())] == [(None, None)] * 2


# ------------------------------------------------------------------------------------------------------- the whole way


def test_what_does_not_fit_into_the_time_is_missing_and_says_so(tmp_path):
    found = check.check(settings(problems=("mlp-100k",), seconds=0.0), tmp_path, silent)
    assert [part.name for part in found.parts] == ["tests", "times of mlp-100k", "overlap of mlp-100k"]
    assert {part.outcome for part in found.parts} == {"not run"}
    assert all("0 seconds" in part.reason for part in found.parts)
    assert found.failures == [part.name for part in found.parts]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_cuda_device_nothing_is_begun(tmp_path):
    with pytest.raises(ValueError, match=r"got 'cuda', but torch .* finds 0 CUDA devices: run this where nvidia-smi"):
        check.check(settings(device="cuda"), tmp_path / "out", silent)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_make_refuses_before_it_installs_anything(tmp_path):
    done = subprocess.run(["make", "gpu", f"VENV={tmp_path}/v"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "make gpu needs an NVIDIA card and its driver" in done.stderr
    assert not (tmp_path / "v").exists()


@pytest.mark.slow
def test_command_line(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "gpu", "--device", "cpu", "--problems", "mlp-100k", "--steps", "3"]
    command += ["--batch", "2", "--rounds", "2", "--seconds", "1e6", "--output", str(tmp_path), "--tests"]
    command += ["tests/pgrad/integrations/test_devices.py::test_outer_optimizers"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    found = record.Record.model_validate_json((tmp_path / "gpu.json").read_text())
    assert {part.name: part.outcome for part in found.parts} == {
        "tests": "done",
        "times of mlp-100k": "done",
        "overlap of mlp-100k": "done",
    }
    assert [test.name for test in found.tests if test.outcome == "passed"] == [
        f"tests/pgrad/integrations/test_devices.py::test_outer_optimizers[{fused}-cpu]" for fused in (False, True)
    ]
    assert {row["task"]["method"] for row in found.times} == set(check.METHODS)
    assert all(len(row["rounds"]) == 2 and len(row["ratio_quartiles"]) == 2 for row in found.times)
    (passes,), (copies,) = found.passes, found.overlaps
    assert passes["steps"] == copies["steps"] == 3
    assert found.card.name == "cpu"
    assert found.environment["torch"] == importlib.metadata.version("torch")
    for words in ("A roll-out against its inner steps", "share of copy bandwidth", "hidden share", "not met"):
        assert words in done.stdout
