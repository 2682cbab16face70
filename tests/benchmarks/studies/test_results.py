"""The committed records, the tables and the picture that are made from them, and the page with the words."""

import json
import lzma
import re

import numpy as np
import pytest
import yaml

from benchmarks.algorithms import ALGORITHMS
from benchmarks.studies.choose.tables import PAGE as CHOOSE
from benchmarks.studies.comparison.recipe import PAGE as RECIPE
from benchmarks.studies.comparison.tables import SWEEPS, page_of
from benchmarks.studies.decisions.tables import PAGE as DECISIONS
from benchmarks.studies.outer.tables import PAGE as OUTER
from benchmarks.studies.results.picture import REACH, SHOWN, draw
from benchmarks.studies.results.tables import BESIDE, FOLDER, PAGE, PROBE, answered, pages, selections
from benchmarks.sweeps.files import validated

RECORDS = sorted(FOLDER.glob("*.jsonl.xz"))
OTHERS = (CHOOSE, DECISIONS, OUTER, RECIPE, *map(page_of, SWEEPS))
"""Pages of other studies, which have tests of their own."""


def lines(path):
    return lzma.decompress(path.read_bytes()).splitlines()


@pytest.fixture(scope="module")
def found():
    return selections()


@pytest.mark.slow
def test_the_tables_are_those_of_the_records(found):
    made = pages(found)
    assert {path.name: path.read_text(encoding="utf-8") for path in BESIDE.glob("*.md") if path not in OTHERS} == made


@pytest.mark.slow
def test_the_picture_is_that_of_the_table(found):
    """Every mark of it stands in the table in short; what it cannot show it says as a number."""
    told = answered(found)
    rows = [line for line in (BESIDE / "short.md").read_text("utf-8").splitlines() if line.startswith("|")]
    lines = {line.split("|")[1].strip(): line for line in rows[2:]}
    assert list(lines) == list(told)
    figure = draw(told)
    for axes, question in zip(figure.axes, SHOWN, strict=True):
        marks = {int(line.get_ydata()[0]): line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"}
        texts = {int(text.get_position()[1]): text.get_text().strip("← →") for text in axes.texts}
        for place, (setting, row) in enumerate(told.items()):
            shown = f"{marks[place]:+.1f}" if place in marks else texts[place].replace("−", "-")
            assert f" {shown} [" in lines[setting].replace("−", "-").replace("**", " ").replace("|", " ")
            assert (place in marks) == (abs(row[question].mean) <= REACH)
            assert float(shown) == pytest.approx(row[question].mean, abs=0.051)
    assert (BESIDE / "short.svg").stat().st_size < 150_000


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
    name = path.name.removesuffix(".jsonl.xz")
    page = BESIDE / ("probes.md" if name.startswith(PROBE) else f"{name}.md")
    section = page.read_text(encoding="utf-8").split(f"## {dataset} ({name})\n")[1]
    printed = re.search(r"^\| pgrad +\| ([−\d.]+)", section, flags=re.MULTILINE)[1].replace("−", "-")
    assert float(printed) == pytest.approx(factor * np.mean(means), abs=0.051)


def test_every_interval_in_the_words_stands_in_the_tables():
    words = PAGE.read_text(encoding="utf-8") + OUTER.read_text(encoding="utf-8").split("## Tables")[0]
    tables = "".join(path.read_text(encoding="utf-8") for path in BESIDE.glob("*.md"))
    found = re.findall(r"[+-]\d+\.\d \[[+-]\d+\.\d, [+-]\d+\.\d\]", " ".join(words.split()))
    assert len(found) > 60
    assert [each for each in found if each.replace("-", "−") not in tables] == []
    finer = re.findall(r"([+-]\d+\.\d\d) (\[[+-]\d+\.\d\d, [+-]\d+\.\d\d\])", " ".join(words.split()))
    rows = re.findall(r"\| ([+−]\d+\.\d\d) +\| (\[[+−]\d+\.\d\d, [+−]\d+\.\d\d\])", tables)
    assert len(finer) > 5
    assert {(mean.replace("-", "−"), interval.replace("-", "−")) for mean, interval in finer} <= set(rows)


def test_the_page_is_short_and_names_every_table():
    text = PAGE.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    named = set(re.findall(r"\]\(results/([\w.-]+)\)", text))
    assert named == {path.name for path in BESIDE.iterdir()}
