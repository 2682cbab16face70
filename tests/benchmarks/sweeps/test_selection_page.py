"""What docs/selection.md says of ranges, rules and sweep files is so; the committed sweep files are sweeps."""

import re

import pytest
import yaml

from benchmarks.__main__ import app
from benchmarks.algorithms.ranges import USUAL
from benchmarks.datasets import DATASETS
from benchmarks.runs.rules import METHODS
from benchmarks.sweeps.files import read, validated
from benchmarks.sweeps.stages import costs
from tests.benchmarks.toy_sweeps import ROOT

PAGE = (ROOT / "docs/selection.md").read_text(encoding="utf-8")
FILES = sorted((ROOT / "benchmarks/studies/comparison").glob("*.yaml"))


def test_the_ranges_are_those_of_the_table():
    rows = re.findall(r"^\| `([a-z-]+)` \| ([0-9.]+) \| ([0-9.]+) \|", PAGE, flags=re.MULTILINE)
    assert {name: (float(adam), float(sgd)) for name, adam, sgd in rows} == {
        name: (usual.adam, usual.sgd) for name, usual in USUAL.items()
    }


def test_every_rule_has_a_row():
    table = PAGE.split("| rule |")[1].split("\n\n")[0]
    assert sorted(re.findall(r"^\| `([a-z-]+)` \|", table, flags=re.MULTILINE)) == sorted(METHODS)


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL))
def test_yaml_blocks_are_sweeps(text):
    validated({"datasets": "coloured-digits", **yaml.safe_load(text)})


def test_single_settings_are_settings():
    content = {"datasets": "coloured-digits", "algorithms": ["erm", "erm-swad"], "families": {"averaged": ["erm-swad"]}}
    for text in re.findall(r"`(settings: \{.*?\}|refit: \[.*?\]|widen: \d)`", PAGE):
        validated({**content, **yaml.safe_load(text)})


def test_commands_exist():
    for command in re.findall(r"^    python -m benchmarks ([a-z]+)", PAGE, flags=re.MULTILINE):
        assert command in app


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_committed_sweeps(path):
    """At least 12 points for every algorithm (or openly reduced, with the command for all of them), a family named."""
    sweep = validated(read(path)[0])
    head = path.read_text(encoding="utf-8").partition("datasets:")[0]
    assert sweep.points >= 12 or ("Reduced to what two cores do" in head and "--points 12" in head)
    assert sweep.search.ranges == "wide"
    assert sweep.confirmatory
    for name in sweep.datasets if sweep.crossed else ():
        points = 6 * len(DATASETS[name].domains)  # as the file says: validation may try as many more as others cost
        own = sweep.model_copy(update={"datasets": {name: sweep.datasets[name]}, "points": points})
        found = {cost.rule: cost.total for cost in costs(own)}
        assert found["validation-shared"] == found["both-shared"]
