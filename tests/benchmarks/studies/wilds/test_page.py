"""docs/wilds.md says what the tables say."""

from pathlib import Path

import pytest

from benchmarks.algorithms import ALGORITHMS, QUICK
from benchmarks.studies.wilds.catalogue import DEFAULTS
from pgrad.integrations.wilds import TASKS, _bridge, download_command

PAGE = (Path(__file__).parents[4] / "docs" / "wilds.md").read_text()
ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("| ")]


def row(name: str) -> list[str]:
    (found,) = [cells for cells in ROWS if cells[0] == name and len(cells) == 7]
    return found


@pytest.mark.parametrize("name", TASKS)
def test_the_row_of_a_data_set(name: str) -> None:
    _, _, domain, metric, rollout, backbone, size = row(name)
    if TASKS[name].refused:
        assert size == "refused"
        return
    assert domain == " x ".join(TASKS[name].domain_fields)
    assert metric == TASKS[name].metric
    defaults = DEFAULTS[name]
    groups, _, splits = rollout.rpartition(" x ")
    assert int(splits) == defaults.splits
    assert groups.split()[0] == str(defaults.groups or "all")
    assert defaults.backbone in backbone
    assert ("not pretrained" in backbone) == (not defaults.pretrained) or name == "sqf"


def test_what_is_refused_is_named() -> None:
    joint = [name for name, entry in ALGORITHMS.items() if entry.batches == "joint"]
    assert all(f"`{name}`" in PAGE for name in (*joint, *QUICK, "erm-swad"))


def test_the_command_that_downloads() -> None:
    assert download_command("camelyon17", "data") in PAGE
    assert _bridge.__name__.replace(".", "/") + ".py" in PAGE
