"""The committed records and the page that is made from them."""

import json
import lzma
import re

import numpy as np
import pytest
import yaml

from benchmarks import plugins
from benchmarks.algorithms import ALGORITHMS
from benchmarks.config.files import validated
from benchmarks.results.__main__ import BEGIN, END, FOLDER, PAGE, PROBE, studies, tables

RECORDS = sorted(FOLDER.glob("*.jsonl.xz"))


def lines(path):
    return lzma.decompress(path.read_bytes()).splitlines()


@pytest.fixture(scope="module")
def found():
    return studies()


def test_the_tables_are_those_of_the_records(found):
    page = PAGE.read_text(encoding="utf-8")
    assert page.split(BEGIN)[1].split(END)[0].strip() == tables(found)


def test_no_row_is_left_out(found):
    ladder = [study for name, study in found.items() if not name.startswith(PROBE)]
    own = {name for name in ALGORITHMS if not plugins.sources("", name, "")}  # other tests register some
    assert {dataset for study in ladder for dataset in study.datasets} >= {"rotated-digits", "coloured-digits"}
    for study in ladder:
        for dataset in study.datasets:
            assert set(study.algorithms_on(dataset)) == own, dataset


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name)
def test_the_records_are_runs_of_their_sweep(path):
    sweep = validated(
        yaml.safe_load(path.with_name(path.name.replace(".jsonl.xz", ".yaml")).read_text(encoding="utf-8"))
    )
    planned = {run.key() for run in sweep.runs()}
    assert {json.loads(line)["key"] for line in lines(path)} == planned


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name)
def test_a_line_by_hand(path):
    chosen, dataset = {}, None
    for line in lines(path):
        record = json.loads(line)
        config = record["config"]
        dataset = dataset or config["dataset"]
        if (config["dataset"], config["algorithm"]) == (dataset, "pgrad"):
            curves = record["curves"]
            best = int(np.argmax(curves["validation"]))
            candidate = (curves["validation"][best], -config["point"], curves["held_out"][best])
            place = (config["seed"], config["held_out"])
            chosen[place] = max(chosen.get(place, candidate), candidate)
    seeds = {seed for seed, _ in chosen}
    means = [np.mean([value[2] for place, value in chosen.items() if place[0] == seed]) for seed in seeds]
    factor = 1 if dataset.startswith("bethe") else 100
    name = path.name.removesuffix(".jsonl.xz")
    title = f"{dataset} ({name})" if name.startswith(PROBE) else dataset
    section = PAGE.read_text(encoding="utf-8").split(f"### {title}\n")[1]
    printed = re.search(r"^\| pgrad +\| ([−\d.]+)", section, flags=re.MULTILINE)[1].replace("−", "-")
    assert float(printed) == pytest.approx(factor * np.mean(means), abs=0.051)
