"""The comparison with tuned baselines: its records are whole, and its page is what they give."""

import lzma

import numpy as np
import pytest
from scipy.stats import friedmanchisquare

from benchmarks.reports.load import load
from benchmarks.runs.selection import is_refit, select_all
from benchmarks.studies.comparison import tables
from benchmarks.sweeps.files import validated

RECORDS = [(name, path) for name in tables.SWEEPS for path in tables.records_of(name)]
EVERY = sorted((tables.FOLDER / "records").rglob("*.jsonl.xz"))


@pytest.fixture(scope="module")
def selection():
    return {name: tables.found(name) for name in tables.done()}


def test_the_pages_are_what_the_records_give(selection):
    assert "tuned" in selection
    for name, found in selection.items():
        assert tables.page_of(name).read_text(encoding="utf-8") == tables.page(name, found)


@pytest.mark.parametrize(("sweep", "path"), RECORDS, ids=lambda one: getattr(one, "name", one).split(".")[0])
def test_every_planned_run_is_there_and_none_failed(sweep, path):
    content = tables.sweep_of(sweep)
    name = path.name.removesuffix(".jsonl.xz")
    sweep = validated({**content, "datasets": {name: content["datasets"][name] or {}}})
    records = load([str(path)]).records
    assert {run.key() for run in sweep.runs()} <= {record["key"] for record in records}
    assert all(record["status"] == "finished" for record in records)
    chosen = select_all(records, families=sweep.families)
    asked = [row for row in chosen if sweep.refit is True or (sweep.refit and row["algorithm"] in sweep.refit)]
    assert all(row["refit_accuracy"] is not None for row in asked)
    assert any(map(is_refit, records)) == bool(asked) == bool(sweep.refit)


def test_a_row_by_hand(selection):
    """SGD on coloured digits: the mean over held-out domains and seeds of what has the best validation."""
    records = load([str(tables.FOLDER / "records/tuned/coloured-digits.jsonl.xz")]).records
    best = {}
    for record in records:
        config = record["config"]
        if config["algorithm"] != "erm-sgd" or is_refit(record):
            continue
        curves = record["curves"]
        at = int(np.nanargmax(np.array(curves["validation"], dtype=float)))
        place = config["held_out"], config["seed"]
        rank = (curves["validation"][at], -config["point"])
        if place not in best or rank > best[place][0]:
            best[place] = rank, (curves["validation"][at], curves["held_out"][at], (at + 1) / len(curves["step"]))
    assert len(best) == 15
    validation, held_out, length = 100 * np.mean([found for _, found in best.values()], axis=0)
    rung = tables.page("tuned", selection["tuned"]).split("## coloured-digits")[1]
    line = next(one for one in rung.splitlines() if one.startswith("| erm-sgd "))
    cells = [cell.split("±")[0].strip() for cell in line.split("|")[2:7]]
    assert cells == ["12", f"{length:.0f}%", f"{validation:.1f}", f"{validation - held_out:.1f}", f"{held_out:.1f}"]


def test_points_and_ties_by_hand(selection):
    """Fine-tuning: each point of PGrad; and ranks in which averages that differ by rounding alone are equal."""
    records = load([str(tables.FOLDER / "records/fine-tuning/emoji-styles4-64.jsonl.xz")]).records
    best, of_point = {}, {}
    for record in records:
        config = record["config"]
        if is_refit(record):
            continue
        curves = record["curves"]
        at = int(np.nanargmax(np.array(curves["validation"], dtype=float)))
        found = curves["validation"][at], -config["point"], curves["held_out"][at]
        place = config["algorithm"], config["seed"], config["held_out"]
        best[place] = max(best.get(place, found), found)
        of_point.setdefault((config["algorithm"], config["point"]), []).append(found)
    page = tables.page("fine-tuning", selection["fine-tuning"])
    points = next(line for line in page.splitlines() if line.startswith("| pgrad ") and "(0.0003)" in line)
    for cell, point in zip(points.split("|")[2:], range(4), strict=False):
        validation, _, held_out = 100 * np.mean(of_point["pgrad", point], axis=0)
        assert cell.split(" (")[0].strip() == f"{validation:.1f} / {held_out:.1f}"
    names = dict.fromkeys(algorithm for algorithm, *_ in best)
    sides = dict.fromkeys(side for *_, side in best)
    means = [[round(np.mean([best[name, seed, side][2] for side in sides]), 9) for seed in range(5)] for name in names]
    assert f"p = {friedmanchisquare(*means).pvalue:.2g} as they were chosen (10)" in page


def test_the_records_stay_small():
    assert sum(path.stat().st_size for path in EVERY) < 15e6
    for path in EVERY:
        with lzma.open(path, "rb") as file:
            assert file.read(1) == b"{"
