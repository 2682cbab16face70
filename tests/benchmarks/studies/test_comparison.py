"""The comparison with tuned baselines: its records are whole, and its page is what they give."""

import lzma

import numpy as np
import pytest
import yaml

from benchmarks.reports.load import load
from benchmarks.runs.selection import is_refit, select_all
from benchmarks.studies.comparison import tables
from benchmarks.sweeps.files import validated

RECORDS = sorted((tables.FOLDER / "records").glob("*.jsonl.xz"))


@pytest.fixture(scope="module")
def selection():
    return tables.found()


def test_the_page_is_what_the_records_give(selection):
    assert tables.PAGE.read_text(encoding="utf-8") == tables.page(selection)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name.split(".")[0])
def test_every_planned_run_is_there_and_none_failed(path):
    content = yaml.safe_load((tables.FOLDER / "tuned.yaml").read_text(encoding="utf-8"))
    name = path.name.removesuffix(".jsonl.xz")
    sweep = validated({**content, "datasets": {name: content["datasets"][name] or {}}})
    records = load([str(path)]).records
    assert {run.key() for run in sweep.runs()} <= {record["key"] for record in records}
    assert all(record["status"] == "finished" for record in records)
    chosen = select_all(records, families=sweep.families)
    assert all(row["refit_accuracy"] is not None for row in chosen)
    assert sum(map(is_refit, records)) > 0


def test_a_row_by_hand(selection):
    """SGD on coloured digits: the mean over held-out domains and seeds of what has the best validation."""
    records = load([str(RECORDS[0])]).records
    best = {}
    for record in records:
        config = record["config"]
        if config["algorithm"] != "erm-sgd" or is_refit(record):
            continue
        curves = record["curves"]
        at = int(np.argmax(curves["validation"]))
        place = config["held_out"], config["seed"]
        rank = (curves["validation"][at], -config["point"])
        if place not in best or rank > best[place][0]:
            best[place] = rank, curves["held_out"][at]
    assert len(best) == 15
    mean = 100 * np.mean([held_out for _, held_out in best.values()])
    line = next(one for one in tables.page(selection).splitlines() if one.startswith("| erm-sgd "))
    assert line.split("|")[3].split("±")[0].strip() == f"{mean:.1f}"


def test_the_records_stay_small():
    assert sum(path.stat().st_size for path in RECORDS) < 8e6
    for path in RECORDS:
        with lzma.open(path, "rb") as file:
            assert file.read(1) == b"{"
