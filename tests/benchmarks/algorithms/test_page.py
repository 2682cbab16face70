"""What docs/algorithms.md says is in the registry, and what it shows runs."""

import re

import pytest
import yaml

from benchmarks.__main__ import app
from benchmarks.algorithms import ALGORITHMS
from benchmarks.algorithms.averaging import AVERAGES
from benchmarks.algorithms.rollouts import ABLATIONS
from benchmarks.runs import plugins
from benchmarks.sweeps.files import validated
from tests.benchmarks.toy_sweeps import ROOT

PAGE = (ROOT / "docs/algorithms.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL)
OWN = {name for name in ALGORITHMS if not plugins.sources("", name, "")}  # other tests register some


def test_the_first_table_names_every_algorithm_once():
    table = PAGE.split("| family |")[1].split("\n\n")[0]
    named = re.findall(r"`([a-z0-9-]+)`", table)
    assert sorted(named) == sorted(OWN)
    assert f"lists the {len(OWN)} that one would choose" in PAGE


def test_every_ablation_and_every_average_has_a_row():
    rows = re.findall(r"^\| `?([A-Za-z]+)`? \|", PAGE, flags=re.MULTILINE)
    assert {name for name in ABLATIONS if name} <= set(rows)
    assert {name.upper() for name in AVERAGES} <= set(rows)


def test_what_is_gone_is_gone():
    gone = PAGE.split("## What version 0.1 had besides")[1]
    assert not set(re.findall(r"`([a-z0-9-]+)`", gone)) & OWN


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "yaml"])
def test_yaml_blocks_are_sweeps(text):
    validated(yaml.safe_load(text))


def test_commands_and_algorithms_in_them_exist():
    for command in re.findall(r"^    python -m benchmarks ([a-z]+)", PAGE, flags=re.MULTILINE):
        assert command in app
    for names in re.findall(r"--algorithms ([a-z0-9 -]+)", PAGE):
        assert set(names.split()) <= OWN
