"""The committed records and the page that is made from them."""

import json
import lzma
import re

import numpy as np
import pytest
import yaml

from benchmarks.algorithms import ALGORITHMS
from benchmarks.studies.results.tables import BEGIN, END, FOLDER, PAGE, PROBE, selections, tables
from benchmarks.sweeps.files import validated

RECORDS = sorted(FOLDER.glob("*.jsonl.xz"))


def lines(path):
    return lzma.decompress(path.read_bytes()).splitlines()


@pytest.fixture(scope="module")
def found():
    return selections()


@pytest.mark.slow
def test_the_tables_are_those_of_the_records(found):
    page = PAGE.read_text(encoding="utf-8")
    assert page.split(BEGIN)[1].split(END)[0].strip() == tables(found)


@pytest.mark.slow
def test_no_row_is_left_out(found):
    """57 algorithms each: those of version 0.1, most of which the registry no longer has."""
    ladder = [selection for name, selection in found.items() if not name.startswith(PROBE)]
    assert {dataset for selection in ladder for dataset in selection.datasets} >= {"rotated-digits", "coloured-digits"}
    names = {frozenset(selection.algorithms_on(dataset)) for selection in ladder for dataset in selection.datasets}
    assert len(names) == 1
    assert len(names.pop()) == 57


@pytest.mark.slow
@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name)
def test_the_records_are_runs_of_their_sweep(path):
    """Every algorithm of the file has all its runs; of those left in the registry they would be the same today."""
    content = yaml.safe_load(path.with_name(path.name.replace(".jsonl.xz", ".yaml")).read_text(encoding="utf-8"))
    left = [name for name in content["algorithms"] if name in ALGORITHMS]
    planned = {}
    for run in validated({**content, "algorithms": left}).runs():
        planned.setdefault(run.algorithm, set()).add(run.key())
    recorded = {}
    for line in lines(path):
        record = json.loads(line)
        recorded.setdefault(record["config"]["algorithm"], set()).add(record["key"])
    assert set(recorded) == set(content["algorithms"])
    assert {name: recorded[name] for name in left} == planned
    assert len({len(keys) for keys in recorded.values()}) == 1


def by_training_domains(runs):
    """Place to held-out score: the first of the best checkpoints of the first of the best points."""
    chosen = {}
    for (seed, held_out, point), record in runs.items():
        curves = record["curves"]
        best = int(np.argmax(curves["validation"]))
        candidate = (curves["validation"][best], -point, curves["held_out"][best])
        chosen[seed, held_out] = max(chosen.get((seed, held_out), candidate), candidate)
    return {place: found[2] for place, found in chosen.items()}


def inner(runs, seed, held_out, name, point):
    pair = next(pair for pair in (f"{held_out}+{name}", f"{name}+{held_out}") if (seed, pair, point) in runs)
    return runs[seed, pair, point]["domain_curves"][name]


def by_cross_validation(runs):
    """The same, by the scores that runs which hold one more domain out have on it."""
    chosen = {}
    for (seed, held_out, point), record in runs.items():
        if "+" in held_out:
            continue
        others = [name for name in record["domain_curves"] if name != held_out]
        scores = np.mean([inner(runs, seed, held_out, name, point) for name in others], axis=0)
        best = int(np.argmax(scores))
        candidate = (scores[best], -point, record["curves"]["held_out"][best])
        chosen[seed, held_out] = max(chosen.get((seed, held_out), candidate), candidate)
    return {place: found[2] for place, found in chosen.items()}


@pytest.mark.slow
@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name)
def test_a_line_by_hand(path):
    runs, dataset = {}, None
    for line in lines(path):
        record = json.loads(line)
        config = record["config"]
        dataset = dataset or config["dataset"]
        if (config["dataset"], config["algorithm"]) == (dataset, "pgrad"):
            runs[config["seed"], config["held_out"], config["point"]] = record
    crossed = any("+" in held_out for _, held_out, _ in runs)
    chosen = (by_cross_validation if crossed else by_training_domains)(runs)
    means = [np.mean([found for (own, _), found in chosen.items() if own == seed]) for seed, _ in chosen]
    factor = 1 if dataset.startswith("bethe") else 100
    section = PAGE.read_text(encoding="utf-8").split(f"### {dataset} ({path.name.removesuffix('.jsonl.xz')})\n")[1]
    printed = re.search(r"^\| pgrad +\| ([−\d.]+)", section, flags=re.MULTILINE)[1].replace("−", "-")
    assert float(printed) == pytest.approx(factor * np.mean(means), abs=0.051)


def test_every_interval_in_the_words_stands_in_the_tables():
    words, tables_ = PAGE.read_text(encoding="utf-8").split(BEGIN)
    found = re.findall(r"[+-]\d+\.\d \[[+-]\d+\.\d, [+-]\d+\.\d\]", " ".join(words.split()))
    assert len(found) > 50
    assert [each for each in found if each.replace("-", "−") not in tables_] == []
