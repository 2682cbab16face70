import dataclasses
import functools
import io
import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console

from benchmarks.base.metrics import Estimate
from benchmarks.datasets import DATASETS
from benchmarks.studies import quick
from benchmarks.studies.quick.figure import _accuracies, _spectrum
from benchmarks.studies.quick.tables import Row
from benchmarks.sweeps import worker
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.launcher_config import InProcess
from benchmarks.sweeps.settings import Overrides
from benchmarks.sweeps.store.transfer import read_lines

TINY = Overrides(rollouts=2, evaluate_every=1, batch_size=8, splits=1, width=4)
SMALL = SweepConfig(
    datasets={"coloured-digits": TINY},
    algorithms=("erm", "pgrad", "reptile"),
    seeds=(0, 1),
    points=2,
    launcher=InProcess(),
)


@pytest.fixture
def command(tmp_path, said):
    return functools.partial(said, "quick", "--output", tmp_path / "out", "--workers", "1")


@pytest.mark.slow
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
    assert len(table) == 4 * (7 + 4)
    assert (table["seeds"] == 2).all()
    lazy = table[(table["algorithm"] == "majority class") & (table["dataset"] == "rotated-digits")]
    assert (lazy["accuracy"] < 15).all()  # of ten classes, each with a tenth of the digits
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
    assert "| majority class" in (tmp_path / "out/table.md").read_text(encoding="utf-8")
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


@pytest.mark.slow
def test_failed_runs_are_stored_shown_and_tried_again(tmp_path, monkeypatch):
    real = worker.TRAINING

    def fails_with_pgrad_on_seed_1(config, place):
        outcome = real.run(config, place)
        if config.algorithm == "pgrad" and config.seed == 1:
            kept = {name: outcome[name] for name in ("key", "config", "timings", "peak_memory")}
            return {**kept, "status": "failed", "failure": "error", "error": "OSError: [no] disk", "traceback": ""}
        return outcome

    monkeypatch.setattr(worker, "TRAINING", dataclasses.replace(real, run=fails_with_pgrad_on_seed_1))
    shown = io.StringIO()
    assert quick.compare(SMALL, tmp_path, 1, Console(file=shown, width=100)) == 6
    assert "6 runs failed" in shown.getvalue()
    assert "OSError: [no] disk" in shown.getvalue()
    table = pd.read_csv(tmp_path / "table.csv").set_index(["algorithm", "held_out"])
    assert table.loc[("pgrad", "average"), "seeds"] == 1
    assert table.loc[("erm", "average"), "seeds"] == 2
    assert "Failed runs: 6" in (tmp_path / "table.md").read_text(encoding="utf-8")

    monkeypatch.setattr(worker, "TRAINING", real)
    assert quick.compare(SMALL, tmp_path, 1, Console(file=shown)) == 0
    records = list(read_lines(tmp_path / "records.jsonl"))
    assert len(records) == 36
    again = [record for record in records if len(record["attempts"]) == 2]
    assert len(again) == 6
    assert all([attempt["status"] for attempt in record["attempts"]] == ["failed", "finished"] for record in again)


def test_quick_settings_name_data_sets_and_whole_passes():
    for name, settings in quick.SETTINGS.items():
        assert name in DATASETS
        assert settings.rollouts % settings.evaluate_every == 0


def test_an_algorithm_has_one_colour_in_both_panels():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    found = Estimate(0.5, 0.1, 0.3, 0.7, 3)
    rows = [Row("digits", name, {"art": found}, found, {}, {}) for name in ("erm", "pgrad")]
    _accuracies(left, rows, "digits")
    _spectrum(right, {"pgrad": np.array([0.7, 0.2, 0.1])})
    (marks,) = [one for one in left.containers if one.get_label() == "pgrad"]
    (bars,) = [one for one in right.containers if one.get_label() == "pgrad"]
    assert to_rgba(marks[0].get_color()) == bars[0].get_facecolor()
