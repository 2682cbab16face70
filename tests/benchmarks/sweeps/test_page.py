"""What docs/sweeps.md shows is run as it stands there."""

import re

import pytest
import yaml

from benchmarks.__main__ import app
from benchmarks.algorithms import ALGORITHMS
from benchmarks.datasets import DATASETS
from benchmarks.sweeps.files import validated
from benchmarks.sweeps.store.transfer import read_lines
from tests.benchmarks.toy_sweeps import ROOT

PAGE = (ROOT / "docs/sweeps.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL)
DATA, METHOD = (text for kind, text in BLOCKS if kind == "python")
SWEEP, *OTHERS = (text for kind, text in BLOCKS if kind == "yaml")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my_data.py").write_text(DATA, encoding="utf-8")
    (tmp_path / "my_method.py").write_text(METHOD, encoding="utf-8")
    (tmp_path / "sweep.yaml").write_text(SWEEP, encoding="utf-8")
    yield tmp_path
    DATASETS.pop("clinics", None)
    ALGORITHMS.pop("sign-sgd", None)


def test_the_way_to_a_sweep_of_ones_own(folder, said):
    assert len([line for line in (DATA + METHOD).splitlines() if line.strip()]) <= 30
    common = [folder / "sweep.yaml", "--output", folder / "out", "--rollouts", "2", "--seeds", "1"]
    for command in ("plan", "sweep"):
        status, out, err = said(command, *common, "--points", "1", "--launcher", "in-process")
        assert status == 0, err
        assert "12 runs" in out
    records = list(read_lines(folder / "out/records.jsonl"))
    assert {record["config"]["algorithm"] for record in records} == {"erm", "pgrad", "reptile", "sign-sgd"}
    assert {record["status"] for record in records} == {"finished"}


@pytest.mark.parametrize("text", OTHERS)
def test_parts_of_sweep_files(text):
    content = yaml.safe_load(text)
    if "search" in content:
        pytest.importorskip("optuna")
    if "launcher" in content:
        content["launcher"].pop("gpus", None)  # which this machine may lack; the launcher checks it
    validated({"datasets": "coloured-digits", **content})


def test_commands_and_options_exist():
    for command in re.findall(r"python -m benchmarks ([a-z]+)", PAGE):
        assert command in app, command
