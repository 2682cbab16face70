"""What docs/levers.md says is in the registry, and what it shows runs."""

import re

import pytest
import yaml

from benchmarks.__main__ import app
from benchmarks.algorithms import ALGORITHMS
from benchmarks.algorithms.levers import LEVERS
from benchmarks.sweeps.files import validated
from tests.benchmarks.toy_sweeps import ROOT

PAGE = (ROOT / "docs/levers.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL)
ROWS = [
    [cell.strip() for cell in row.strip("| ").split(" | ")] for row in re.findall(r"^\| .*", PAGE, flags=re.MULTILINE)
]


def named():
    """Every algorithm that a table names, `-null` and its like written out."""
    for row in ROWS:
        last = ""
        for word in re.findall(r"`([a-z0-9-]+)`", row[0] + " " + row[-1]):
            name = f"{last}{word}" if word.startswith("-") else word
            last = last if word.startswith("-") else word
            if name in ALGORITHMS or word.startswith("-"):
                yield name


def test_the_tables_name_every_lever_and_every_control():
    paired = {name for name, entry in ALGORITHMS.items() if entry.control}
    assert paired | {ALGORITHMS[name].control for name in paired} <= set(named()) <= set(ALGORITHMS)
    assert set(LEVERS) <= {row[0].strip("`") for row in ROWS}


def test_python_blocks_run():
    namespace = {}
    for kind, text in BLOCKS:
        if kind == "python":
            exec(compile(text, "docs/levers.md", "exec"), namespace)
    assert namespace["optimizer"].last_update.n_components == 1


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "yaml"])
def test_yaml_blocks_are_sweeps(text):
    validated(yaml.safe_load(text))


def test_commands_and_algorithms_in_them_exist():
    for command, names in re.findall(r"python -m benchmarks ([a-z]+).*?--algorithms ([a-z0-9 -]+)", PAGE):
        assert command in app
        assert set(names.split()) <= set(ALGORITHMS)
