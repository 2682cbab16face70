"""The command line on made files: a table with small clinics and a folder with few pictures."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks.commands.options import Chosen, assigned, sweep_from
from benchmarks.datasets import cache
from benchmarks.sweeps import timing
from benchmarks.sweeps.files import ConfigError
from benchmarks.sweeps.plan import number_of_workers
from benchmarks.sweeps.settings import SweepSettings
from benchmarks.sweeps.store.transfer import read_lines
from benchmarks.sweeps.timing import time_steps
from tests.benchmarks.toy_sweeps import toy_sweep


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))


@pytest.fixture
def clinics(tmp_path):
    """60 to 220 rows, five patients each; the outcome follows the first column and is rare."""
    rng = np.random.default_rng(0)
    frames = []
    for name, n in (("north", 60), ("south", 220), ("east", 90)):
        frame = pd.DataFrame(rng.standard_normal((n, 3)), columns=["a", "b", "c"])
        frame["outcome"] = (frame["a"] > 0.6).astype(int)
        frame["patient"] = [f"{name}-{i % 5}" for i in range(n)]
        frame["clinic"] = name
        frames.append(frame)
    pd.concat(frames).to_csv(tmp_path / "clinics.csv", index=False)
    return f"table:{tmp_path / 'clinics.csv'}?domain=clinic&target=outcome&group=patient"


@pytest.fixture
def pictures(tmp_path):
    """Ten pictures of noise for each of three classes: there is nothing to learn."""
    rng = np.random.default_rng(0)
    for domain in ("one", "two", "three"):
        for label in ("cat", "dog", "owl"):
            folder = tmp_path / "pictures" / domain / label
            folder.mkdir(parents=True)
            for i in range(10):
                Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    return f"folder:{tmp_path / 'pictures'}?size=8"


FAST = ("--launcher", "in-process", "--seeds", "2", "--rollouts", "12", "--evaluate-every", "2", "--width", "8")


@pytest.mark.slow
def test_a_table_of_small_clinics_in_one_line(said, clinics, tmp_path):
    words = ("--datasets", clinics, "--algorithms", "erm", "pgrad", "vrex", *FAST, "--metric", "auc")
    words = (*words, "--measures", "macro-f1", "calibration-error", "--class-weights", "balanced")
    code, text, _ = said("plan", *words)
    assert code == 0
    assert "'north' (48 training examples, 2.0 times)" in text
    assert "Timed by a few steps of each kind" in text
    code, text, _ = said("sweep", *words, "--output", tmp_path / "out")
    assert (code, "18 runs, 0 of them failed" in text) == (0, True)
    assert "Drawn with repetition" in text
    records = list(read_lines(tmp_path / "out/records.jsonl"))
    assert {tuple(record["measures"]) for record in records} == {("accuracy", "macro F1", "calibration error")}
    assert not any("repetition" in r["diagnostics"] for r in records if r["config"]["algorithm"] == "erm")  # pooled
    small = [r for r in records if r["config"]["held_out"] == "south" and r["config"]["algorithm"] != "erm"]
    assert {tuple(r["diagnostics"]["repetition"]) for r in small} == {(96 / 72, 2.0)}  # east, north
    code, text, _ = said("report", tmp_path / "out")
    assert "NOTHING WAS LEARNT" not in text
    markdown = (tmp_path / "out/report/report.md").read_text(encoding="utf-8")
    assert "held-out AUC" in markdown
    assert "drawn with repetition in 12 runs" in markdown
    assert re.search(r"\| majority class +\| 50\.0 ± 0\.0 +\| 50\.0 ± 0\.0", markdown)


@pytest.mark.slow
def test_noise_in_folders_is_not_learnt(said, pictures, tmp_path):
    words = ("--datasets", pictures, "--algorithms", "erm", "reptile", *FAST, "--model", "cnn")
    code, text, _ = said("sweep", *words, "--output", tmp_path / "out")
    assert (code, "12 runs, 0 of them failed" in text) == (0, True)
    assert text.count("NOTHING WAS LEARNT") == 1  # the end of the sweep says so
    code, text, _ = said("report", tmp_path / "out")
    assert (code, text.startswith("NOTHING WAS LEARNT")) == (0, True)
    assert "against" not in text


def test_data_says_it_too(said, clinics):
    code, text, _ = said("data", clinics)
    assert code == 0
    assert "goes through those of 'east' (72 training examples, 1.3 times), 'north' (48" in text


def test_plan_ends_with_1_where_runs_cannot_be_done(said, tmp_path):
    frame = pd.DataFrame(
        {
            "domain": ["a", "b", "c"] * 40 + ["d"] * 2,
            "x": np.random.default_rng(0).standard_normal(122),
            "label": [0, 1] * 61,
        }
    )
    frame.to_csv(tmp_path / "small.csv", index=False)
    words = ("--datasets", f"table:{tmp_path / 'small.csv'}", "--algorithms", "erm", "--no-timing")
    code, text, _ = said("plan", *words)
    assert code == 1
    assert "WILL NOT WORK" in text
    assert "Domain 'd' (2 examples) has no validation examples with seeds 0, 1, 2" in text


def test_a_run_that_cannot_begin_is_named_by_plan(said, clinics):
    code, text, _ = said("plan", "--datasets", clinics, "--algorithms", "erm", "--class-weights", "1,2,3")
    assert code == 1
    assert "class_weights must have one number for each of the 2 classes, got 3" in text


def test_every_kind_is_timed_and_known_ones_are_not():
    sweep = toy_sweep("toy-sgd", "toy-import")
    timed = time_steps(sweep, seconds=0.0)
    assert set(timed.speeds) == {("toy", "toy-sgd")}
    assert timed.speeds["toy", "toy-sgd"] > 0
    assert "a_library_that_nobody_has" in timed.failed["toy", "toy-import"]
    assert time_steps(sweep, known=[("toy", "toy-sgd")], seconds=0.0).speeds == {}
    assert set(time_steps(toy_sweep("toy-sgd", "toy-slow"), seconds=0.0, budget=1e-9).speeds) == {("toy", "toy-sgd")}
    assert number_of_workers(sweep) == 1
    assert number_of_workers(toy_sweep("toy-sgd", launcher={"workers": 2})) == 2
    assert number_of_workers(toy_sweep("toy-sgd", launcher={"workers": 50})) == len(sweep.runs()) / 2


def test_the_time_of_an_evaluation_is_shared_by_the_updates_between_checkpoints(monkeypatch):
    """By a clock that goes on by 1 whenever it is read: each update takes 1, and so does the evaluation."""
    monkeypatch.setattr(timing, "_now", itertools.count().__next__)
    timed = time_steps(toy_sweep("toy-sgd"), seconds=0.0)
    assert timed.speeds["toy", "toy-sgd"] == 1 + 2 / 4  # two checkpoints in a run of four gradient evaluations


def test_every_setting_is_an_option():
    assert set(SweepSettings.model_fields) <= set(Chosen.__dataclass_fields__)


def test_settings_by_option_and_by_key():
    words = ("depth=2", "fixed.pgrad.n_components=2", "outputs.weights=best", "launcher.kind=in-process")
    chosen = Chosen(
        datasets=("coloured-digits",),
        algorithms=("pgrad",),
        batch_size=8,
        model="mlp",
        set=(*words, "max_attempts=5"),
    )
    found = sweep_from(None, chosen)
    assert (found.settings.batch_size, found.settings.model, found.settings.depth) == (8, "mlp", 2)
    assert found.fixed == {"pgrad": {"n_components": 2}}
    assert (found.outputs.weights, found.launcher.kind, found.max_attempts) == ("best", "in-process", 5)


def test_options_go_before_the_settings_of_a_data_set_in_a_file(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "datasets: {coloured-digits: {batch_size: 4, width: 9}}\nfixed: {erm: {lr: 0.1}, pgrad: {lr: 0.2}}\n"
    )
    found = sweep_from(path, Chosen(batch_size=16, algorithms=("erm",), set=("fixed.erm.lr=0.5", "splits=2")))
    (run, *_) = found.runs()
    assert (run.batch_size, run.width, run.splits, run.hparams["lr"]) == (16, 9, 2, 0.5)
    assert set(found.fixed) == {"erm"}  # what the file fixes for those left out has nothing to say
    with pytest.raises(ConfigError, match="fixed: the sweep has no algorithm 'sam'; its algorithms are: erm"):
        sweep_from(path, Chosen(algorithms=("erm",), set=("fixed.sam.rho=0.1",)))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("batch_size", "must be KEY=VALUE"),
        ("batch_sise=8", "'batch_sise' is not known. Did you mean 'batch_size'"),
        ("datasets.x=1", "'datasets' is not known"),
        ("model=[", "is no YAML"),
        ("batch_size=0", "settings.batch_size: must be at least 1"),
        ("class_weights=much", "'balanced', or positive numbers"),
        ("metric=calibration-error", "calibration-error cannot choose"),
        ("measures=aux", "Did you mean 'auc'"),
        ("folds=even", "'balanced'"),
    ],
)
def test_mistakes_in_keys(word, message):
    with pytest.raises(ConfigError) as raised:
        sweep_from(None, Chosen(datasets=("coloured-digits",), set=(word,)))
    assert message in str(raised.value)


def test_a_key_that_is_given_twice():
    with pytest.raises(ConfigError, match="batch_size is given twice"):
        sweep_from(None, Chosen(datasets=("coloured-digits",), batch_size=4, set=("batch_size=8",)))
    assert assigned("measures=[auc, accuracy]") == (("settings", "measures"), ["auc", "accuracy"])


def test_figures_for_classes_are_refused_for_a_regression(tmp_path):
    frame = pd.DataFrame(
        {
            "domain": ["a", "b", "c"] * 40,
            "x": np.random.default_rng(0).standard_normal(120),
            "y": np.linspace(0, 1, 120),
        }
    )
    frame.to_csv(tmp_path / "y.csv", index=False)
    with pytest.raises(ConfigError, match="metric=auc is for classes, but this data set predicts a quantity"):
        sweep_from(None, Chosen(datasets=(f"table:{tmp_path / 'y.csv'}",), metric="auc"))


def test_what_is_odd_is_said_by_plan_too_and_allowed_there(said, pictures, tmp_path):
    folder = tmp_path / "pictures"
    (folder / "two/cat/copy.png").write_bytes((folder / "one/cat/0.png").read_bytes())
    words = ("--datasets", pictures, "--algorithms", "erm", "--no-timing")
    code, _, errors = said("plan", *words)
    assert code == 2
    assert "one/cat/0.png = two/cat/copy.png" in errors
    assert "--allow copies" in errors
    code, text, _ = said("plan", *words, "--allow", "copies")
    assert code == 0
    assert text.count("copies (allowed): 1 picture stands in several domains") == 1
    assert "allow=copies" in text  # the name that records will have


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        (("rotated-digits",), "--allow is for one data set of yours, .* and the sweep has none"),
        (("folder:a", "table:b.csv"), r"the sweep has folder:a, table:b.csv; .* write \?allow=WORD,WORD"),
    ],
)
def test_allow_needs_one_data_set_of_the_users_own(datasets, message):
    with pytest.raises(ConfigError, match=message):
        sweep_from(None, Chosen(datasets=datasets, allow=("copies",)))


def test_allow_goes_into_the_name_of_a_sweep_file_too(pictures, tmp_path):
    folder = tmp_path / "pictures"
    (folder / "two/cat/copy.png").write_bytes((folder / "one/cat/0.png").read_bytes())
    file = tmp_path / "sweep.yaml"
    file.write_text(f'datasets: {{"{pictures}": {{rollouts: 7}}}}\nalgorithms: [erm]\n', encoding="utf-8")
    sweep = sweep_from(file, Chosen(allow=("copies",)))
    assert {name: own.rollouts for name, own in sweep.datasets.items()} == {f"{pictures}&allow=copies": 7}
