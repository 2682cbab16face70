"""The page about decisions and its sweep files: they name what there is."""

import json
import lzma
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks.__main__ import main
from benchmarks.datasets import DATASETS
from benchmarks.datasets.decisions import SETS, own_logs
from benchmarks.datasets.decisions.sets import LEARNING
from benchmarks.reports import names
from benchmarks.studies.decisions import tables
from benchmarks.studies.decisions.played import played
from benchmarks.sweeps.files import validated
from tests.docs.pages import ROOT

FILES = sorted((ROOT / "benchmarks/studies/decisions").glob("*.yaml"))
FOUR = ("babyai", "tool-calls", "job-scheduling", "pokemon-generations")
PAGE = (ROOT / "docs/decisions.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_study_compares_what_can_be_compared(file):
    sweep = validated(yaml.safe_load(file.read_text(encoding="utf-8")))
    for name in sweep.datasets:
        assert name.partition("?")[0] in SETS
        assert sweep.of_dataset(name).model.startswith("decisions")
    assert {"erm", "erm-ema", "reptile", "pgrad"} <= set(sweep.algorithms)
    assert ("pgrad", "reptile") in sweep.confirmatory
    assert f"`{file.name}`" in PAGE


def test_the_page_names_every_set_and_option():
    for name, own in SETS.items():
        assert f"| `{name}` |" in PAGE
        assert all(domain in PAGE for domain in own.domains)
        for option, values in {**LEARNING, **own.options}.items():
            (line,) = re.findall(rf"^\| `{option}` \| (.*?) \|", PAGE, flags=re.MULTILINE)
            assert all(f"`{value}`" in line for value in values)
    for field in (*own_logs.REQUIRED, *own_logs.OPTIONAL):
        assert f"`{field}`" in PAGE


def test_its_files_are_there():
    for path in re.findall(r"`((?:benchmarks|tests)/[^`]*)`", PAGE):
        assert (ROOT / Path(path)).exists()


def test_names_with_options_are_accepted_early(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["datasets", "job-scheduling?loss=filtered&learn=done"])
    assert not stopped.value.code
    assert "filtered of done, two-hot critic" in capsys.readouterr().out
    for name, message in (
        ("job-scheduling?los=filtered", "option 'los' is not known. Did you mean 'loss'"),
        ("job-schedule?loss=filtered", "is not known. Did you mean 'job-scheduling"),
        ("rotated-digits?loss=filtered", "'rotated-digits?loss=filtered' is not known"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["datasets", name])
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err
    assert "job-scheduling" in DATASETS


def test_a_report_says_what_is_measured():
    scale = names.scale("job-scheduling?loss=filtered", [])
    assert (scale.factor, scale.label) == (100.0, "agreement with the teacher, %")
    assert names.constant_of("tool-calls", "mean target") == "most frequent"
    assert names.constant_of("bethe-heitler-plain", "mean target") == "mean target"


@pytest.fixture(scope="module")
def chosen():
    """By study and place, what validation chose: the first of the best checkpoints of the first of the best points."""
    found = {}
    for study in tables.PAIRS:
        best = {}
        for line in lzma.decompress(tables.records_of(study).read_bytes()).splitlines():
            record = json.loads(line)
            config, curves = record["config"], record["curves"]
            at = int(np.nanargmax(np.array(curves["validation"], dtype=float)))
            place = config["dataset"], config["algorithm"], config["held_out"], config["seed"]
            rank = curves["validation"][at], -config["point"]
            if place not in best or rank > best[place][0]:
                best[place] = rank, {name: own[at] for name, own in record["domain_curves"].items()}, record["key"]
        found[study] = {place: domains for place, (_, domains, _) in best.items()}
        found[study, "runs"] = {place: key for place, (_, _, key) in best.items()}
    return found


def seed_means(chosen, study, dataset, algorithm):
    """The mean over held-out domains, for each seed."""
    known = {}
    for (name, of, held_out, seed), domains in chosen[study].items():
        if (name, of) == (dataset, algorithm):
            known.setdefault(seed, []).append(100 * domains[held_out])
    return np.array([np.mean(known[seed]) for seed in sorted(known)])


@pytest.mark.slow
def test_the_tables_are_those_of_the_records():
    assert tables.PAGE.read_text(encoding="utf-8") == tables.page()


def test_every_study_was_run_whole(chosen):
    for study in tables.PAIRS:
        sweep = validated(yaml.safe_load((tables.FOLDER / f"{study}.yaml").read_text(encoding="utf-8")))
        asked = {(run.dataset, run.algorithm, run.config()["held_out"], run.seed) for run in sweep.runs()}
        assert set(chosen[study]) == asked


@pytest.mark.parametrize("study", [study for study, pairs in tables.PAIRS.items() if pairs])
def test_a_difference_by_hand(chosen, study):
    selection = tables.found(study)
    for ours, theirs in tables.PAIRS[study]:
        by_hand = seed_means(chosen, study, ours, "erm") - seed_means(chosen, study, theirs, "erm")
        np.testing.assert_allclose(tables.against(selection, "erm", ours, theirs), by_hand)


def test_a_gap_by_hand(chosen):
    (inside, outside, gap) = tables.gaps(tables.found("held-out"), "babyai", "erm-ema")["unlock"]
    own = {place[2:]: domains for place, domains in chosen["held-out"].items() if place[:2] == ("babyai", "erm-ema")}
    known = [np.mean([own[name, seed]["unlock"] for name in ("put-next", "open-two")]) for seed in range(3)]
    held = [own["unlock", seed]["unlock"] for seed in range(3)]
    assert inside == pytest.approx(100 * np.mean(known))
    assert outside == pytest.approx(100 * np.mean(held))
    assert gap.mean == pytest.approx(100 * np.mean(np.subtract(held, known)))


def test_what_is_held_out_is_harder_where_domains_differ():
    """ERM with an average, on every domain of the four sets; sites, which are the control, are no harder."""
    selection = tables.found("held-out")
    found = {
        name: [gap.mean for *_, gap in tables.gaps(selection, name, "erm-ema").values()] for name in selection.datasets
    }
    assert max(found.pop("job-scheduling-sites")) > 0
    assert {name: max(means) < 0 for name, means in found.items()} == dict.fromkeys(FOUR, True)


def test_the_chosen_models_played(chosen):
    for study in tables.PAIRS:
        for line in played(tables.FOLDER / f"{study}.yaml"):
            place = tuple(line[name] for name in ("dataset", "algorithm", "held_out", "seed"))
            assert line["run"] == chosen[study, "runs"][place]
            assert 0.0 <= line["model"] <= 1.0
            assert line["teacher"] > line["random"]


def test_rows_of_the_page_are_those_of_the_tables():
    def rows(text):
        return [re.sub(r"\s+", " ", line).strip("| ") for line in text.splitlines() if line.startswith("| ")]

    studies = PAGE.split("## Studies")[1].split("\n## ")[0]
    known = set(rows(tables.PAGE.read_text(encoding="utf-8")))
    shown = [row for row in rows(studies) if "[" in row]
    assert len(shown) > 20
    assert [row for row in shown if row not in known] == []


def test_intervals_in_the_words_of_the_page_are_those_of_the_tables():
    found = re.compile(r"([+-]?\d+\.\d+) \[([+-]?\d+\.\d+), ([+-]?\d+\.\d+)\]")
    studies = re.sub(r"\s+", " ", PAGE.split("## Studies")[1].split("\n## ")[0])
    known = set(found.findall(tables.PAGE.read_text(encoding="utf-8").replace("−", "-")))
    shown = found.findall(studies.replace("−", "-"))
    assert len(shown) > 60
    assert [told for told in shown if told not in known] == []
