import io
import itertools
import json

import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from benchmarks import environment, experiment, quick
from benchmarks.__main__ import app
from benchmarks.datasets import DATASETS
from benchmarks.experiment import Experiment, Settings, perform
from benchmarks.store import Store

TINY = Settings(rollouts=2, evaluate_every=1, batch_size=8, splits=1, width=4)
SMALL = Experiment(settings={"coloured-digits": TINY}, algorithms=("erm", "pgrad", "reptile"), seeds=2, points=2)


def nothing(done, total):
    """No progress bar."""


def without_timings(records):
    return [{key: value for key, value in record.items() if key != "timings"} for record in records]


@pytest.fixture
def command(tmp_path, capsys):
    """Calls the command line; returns exit status, output, and errors."""

    def call(*words):
        with pytest.raises(SystemExit) as stopped:
            app(["quick", "--output", str(tmp_path / "out"), "--workers", "1", *words])
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return call


def test_from_the_command_line_to_the_picture(command, tmp_path):
    code, out, _ = command("--seeds", "2", "--points", "1", "--rollouts", "1")
    assert code == 0
    for word in (
        "rotated-digits",
        "coloured-digits",
        "erm",
        "pgrad",
        "reptile",
        "75°",
        "10%",
        "54 runs",
        "random walk",
    ):
        assert word in out
    assert "…" not in out  # the tables fit 80 columns

    records = [json.loads(line) for line in (tmp_path / "out/records.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(records) == 2 * 3 * (6 + 3)
    for field in ("config", "curves", "selection", "diagnostics", "environment", "timings"):
        assert all(field in record for record in records)
    assert {"commit", "code", "torch", "python", "platform"} <= set(records[0]["environment"])

    table = pd.read_csv(tmp_path / "out/table.csv")
    assert len(table) == 3 * (7 + 4)
    assert (table["seeds"] == 2).all()
    selected = pd.read_csv(tmp_path / "out/selected.csv")
    for (dataset, algorithm, held_out), rows in selected.groupby(["dataset", "algorithm", "held_out"]):
        line = table[
            (table["dataset"] == dataset) & (table["algorithm"] == algorithm) & (table["held_out"] == held_out)
        ]
        assert line["accuracy"].item() == pytest.approx(100 * rows["held_out_accuracy"].mean(), abs=1e-3)
    assert (tmp_path / "out/table.md").read_text(encoding="utf-8").count("| pgrad") == 2
    with Image.open(tmp_path / "out/figure.png") as picture:
        assert picture.width > 1000


def test_one_algorithm_has_nothing_to_be_compared_with(command, tmp_path):
    code, _, _ = command(
        *("--seeds", "1", "--points", "1", "--rollouts", "1", "--datasets", "coloured-digits", "--algorithms", "erm")
    )
    assert code == 0
    assert "—" in (tmp_path / "out/table.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--algorithms", "erm", "pgard"], ["'pgard'", "'pgrad'", "--algorithms"]),
        (["--datasets", "digits"], ["'digits'", "rotated-digits", "--datasets"]),
        (["--algorithms", "erm", "erm"], ["once", "--algorithms"]),
        (["--seeds", "0"], ['"0"', "--seeds", ">= 1"]),
        (["--rollouts", "two"], ["two", "--rollouts"]),
        (["--sedes", "3"], ["--sedes", "--seeds"]),
    ],
)
def test_errors_point_at_the_wrong_word(command, tmp_path, words, expected):
    code, out, err = command(*words)
    assert code != 0
    assert all(word in " ".join((out + err).split()) for word in expected)
    assert not (tmp_path / "out").exists()


def test_specifications_differ_and_algorithms_have_the_same_budget():
    specs = SMALL.specs()
    assert len({spec.key() for spec in specs}) == len(specs) == 3 * 3 * 2 * 2
    for name in SMALL.algorithms:
        own = [spec for spec in specs if spec.algorithm == name]
        assert len(own) == 3 * 2 * 2
        assert {(spec.rollouts, spec.batch_size, spec.splits) for spec in own} == {(2, 8, 1)}


@pytest.mark.parametrize("stop", [0, 1, 7])
def test_killed_and_resumed(tmp_path, stop, monkeypatch):
    whole = perform(SMALL, Store(tmp_path / "whole.jsonl"), workers=1, progress=nothing)

    def interrupt(done, total):
        if done == stop:
            raise KeyboardInterrupt

    path = tmp_path / "resumed.jsonl"
    with pytest.raises(KeyboardInterrupt):
        perform(SMALL, Store(path), workers=1, progress=interrupt)
    with path.open("ab") as file:
        file.write(b'{"key": "torn')

    counter = itertools.count()
    monkeypatch.setattr(experiment, "run", lambda spec, run=experiment.run: (next(counter), run(spec))[1])
    resumed = perform(SMALL, Store(path), workers=1, progress=nothing)
    assert next(counter) == len(whole) - stop
    assert without_timings(resumed) == without_timings(whole)
    assert len(Store(path).read()) == len(whole)
    perform(SMALL, Store(path), workers=1, progress=nothing)
    assert len(Store(path).read()) == len(whole)


def test_other_code_runs_again(tmp_path, monkeypatch):
    store = Store(tmp_path / "records.jsonl")
    perform(SMALL, store, workers=1, progress=nothing)
    monkeypatch.setattr(environment, "code_fingerprint", lambda: "other")
    again = perform(SMALL, store, workers=1, progress=nothing)
    assert {record["environment"]["code"] for record in again} == {"other"}
    assert len(store.read()) == 2 * len(again)


def test_two_processes_give_the_records_of_one(tmp_path):
    one = perform(SMALL, Store(tmp_path / "one.jsonl"), workers=1, progress=nothing)
    two = perform(SMALL, Store(tmp_path / "two.jsonl"), workers=2, progress=nothing)
    assert without_timings(one) == without_timings(two)


def test_failed_runs_are_stored_shown_and_tried_again(tmp_path, monkeypatch):
    real = experiment.run

    def fails_with_pgrad_on_seed_1(spec):
        if spec.algorithm == "pgrad" and spec.seed == 1:
            return {"key": spec.key(), "config": spec.config(), "status": "failed", "error": "OSError: [no] disk"}
        return real(spec)

    monkeypatch.setattr(experiment, "run", fails_with_pgrad_on_seed_1)
    shown = io.StringIO()
    assert quick.compare(SMALL, tmp_path, 1, Console(file=shown, width=100)) == 6
    assert "6 runs failed" in shown.getvalue()
    assert "OSError: [no] disk" in shown.getvalue()
    table = pd.read_csv(tmp_path / "table.csv").set_index(["algorithm", "held_out"])
    assert table.loc[("pgrad", "average"), "seeds"] == 1
    assert table.loc[("erm", "average"), "seeds"] == 2
    assert "Failed runs: 6" in (tmp_path / "table.md").read_text(encoding="utf-8")

    monkeypatch.setattr(experiment, "run", real)
    assert quick.compare(SMALL, tmp_path, 1, Console(file=shown)) == 0
    assert len(Store(tmp_path / "records.jsonl").read()) == 36 + 6


def test_quick_settings_name_data_sets_and_whole_passes():
    for name, settings in quick.SETTINGS.items():
        assert name in DATASETS
        assert settings.rollouts % settings.evaluate_every == 0
