"""Ctrl-C ends with the best so far, time that is over too; after kill -9 the same command goes on to the same model."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from benchmarks.base.errors import ConfigError
from benchmarks.runs.model_folder import load
from benchmarks.studies.choose.request import alone
from benchmarks.studies.choose.run import Asked
from benchmarks.studies.choose.search import NothingChosenError
from benchmarks.sweeps.store import Store
from tests.benchmarks.studies.choose.test_choose import said
from tests.benchmarks.studies.choose.toys import TINY, patients
from tests.benchmarks.toy_sweeps import ROOT

pytestmark = pytest.mark.slow

LONG = replace(TINY, sizes=(replace(TINY.sizes[0], points=4, seeds=1),))


def finished(output):
    if not (output / "store.sqlite").exists():
        return 0
    with Store(str(output / "store.sqlite")) as store:
        return sum(record["status"] == "finished" for record in store.records())


def when(output, number, do):
    """Does something once so many runs have finished; a thread, to be joined."""

    def wait():
        while finished(output) < number:
            time.sleep(0.05)
        do()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.fixture
def interrupts():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_ends_with_the_best_so_far_and_the_same_command_goes_on(tmp_path, interrupts):
    name = patients(tmp_path / "patients.csv", sites=("north", "south", "east"), rows=120)
    asked = Asked(name, 600.0, tmp_path / "out", recipe=LONG)
    thread = when(asked.output, 9, lambda: os.kill(os.getpid(), signal.SIGINT))
    done, text = said(asked)
    thread.join()
    assert "Stopped; what is best so far is trained and written now. Ctrl-C again ends at once." in text
    assert done.stopped == "it was stopped by hand"
    assert "The search ended early, for it was stopped by hand" in (done.folder / "model_card.md").read_text()
    assert load(asked.output).about.choice["stopped"] == "it was stopped by hand"
    again, _ = said(asked)
    assert again.stopped == ""
    assert again.about.choice["candidates"][0] == 12


def test_time_that_is_over_at_once_still_gives_plain_erm(tmp_path):
    name = patients(tmp_path / "patients.csv", sites=("north", "south", "east"), rows=60)
    asked = Asked(name, 600.0, tmp_path / "out", spent=100_000.0, recipe=TINY)
    with pytest.raises(ConfigError, match="is too short"):
        said(asked)
    said(replace(asked, spent=0.0))
    more = replace(asked, output=tmp_path / "more")
    more.output.mkdir()
    (more.output / "choose.json").write_text((asked.output / "choose.json").read_text())  # the plan, and no run
    done, _ = said(more)
    assert done.stopped == "the time was over"
    assert done.about.choice["algorithm"] == "erm"
    assert "The search ended early, for the time was over" in (done.folder / "model_card.md").read_text()


def test_killed_choice_goes_on_to_the_same_model(tmp_path):
    name = patients(tmp_path / "patients.csv", sites=("north", "south", "east"), rows=120)
    whole, _ = said(Asked(name, 600.0, tmp_path / "whole", recipe=TINY))
    output = tmp_path / "killed"
    lines = (
        "import sys; from pathlib import Path; from rich.console import Console; "
        "from benchmarks.studies.choose.run import Asked, choose; "
        "from tests.benchmarks.studies.choose.toys import TINY; "
        "choose(Asked(sys.argv[1], 600.0, Path(sys.argv[2]), recipe=TINY), Console())"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", lines, name, str(output)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    thread = when(output, 6, process.kill)
    assert process.wait() == -signal.SIGKILL
    thread.join()
    assert not (output / "model").exists()
    done, _ = said(Asked(name, 600.0, output, recipe=TINY))
    assert done.about.choice == whole.about.choice
    assert done.about.expectation == whole.about.expectation
    assert (done.folder / "model.safetensors").read_bytes() == (whole.folder / "model.safetensors").read_bytes()


def test_folder_in_use_is_refused(tmp_path):
    with alone(tmp_path / "out"), pytest.raises(ConfigError, match="is in use by another choice just now"):
        alone(tmp_path / "out").__enter__()


def test_all_runs_that_fail_are_said(tmp_path):
    """A learning rate at which every run diverges leaves nothing to choose."""
    name = patients(tmp_path / "patients.csv", sites=("north", "south", "east"), rows=60)
    recipe = replace(TINY, algorithms=("erm",), sizes=TINY.sizes[:1])
    asked = Asked(name, 600.0, tmp_path / "out", settings={"class_weights": "1e38,1e38"}, recipe=recipe)
    with pytest.raises(NothingChosenError, match="no candidate has all the runs that it needs"):
        said(asked)
