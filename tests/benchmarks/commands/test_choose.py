"""The commands choose and predict: what they print, where they end, what they refuse."""

import functools

import pandas as pd
import pytest

from benchmarks.studies.choose.run import Asked
from tests.benchmarks.studies.choose.toys import TINY, patients

pytestmark = pytest.mark.slow


@pytest.fixture
def tiny(monkeypatch):
    """The commands with a recipe of seconds."""
    monkeypatch.setattr("benchmarks.commands.choose.Asked", functools.partial(Asked, recipe=TINY))


def test_two_commands_from_a_table_to_predictions_and_a_report(said, tmp_path, tiny):
    name = patients(tmp_path / "patients.csv", sites=("north", "south", "east"), rows=120)
    output, table = tmp_path / "out", tmp_path / "patients.csv"
    words = ("choose", name, "--minutes", 600, "--output", output, "--workers", 1)
    status, out, err = said(*words, "--measure", "balanced-accuracy")
    assert (status, err) == (0, "")
    for each in ("Columns", "In 600 minutes: 3 candidates", "rung 1 of 2", "left out", "On an unseen domain expect"):
        assert each in out
    assert f"The model and its card: {output / 'model' / 'model_card.md'}" in out
    told = tmp_path / "told.csv"
    status, out, err = said("predict", output, table, "--output", told)
    assert (status, err) == (0, "")
    assert f"120 predictions: {told}" in out
    assert "Unlikeness to the training examples: " in out
    assert list(pd.read_csv(told)) == ["row", "prediction", "p(ill)", "p(well)"]
    status, out, err = said("report", output)
    assert (status, err) == (0, "")
    assert f"Page: {output / 'report' / 'overview.html'}" in out
    status, _, err = said(*words, "--measure", "auc")
    assert status == 2
    assert "holds another choice, with settings" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["choose", "digits"], "DATA: 'digits' is not known. Did you mean"),
        (["choose", "."], "DATA: . is a folder; for pictures in it give folder:."),
        (["choose", "here.csv"], "which columns hold domains and labels, 'table:here.csv?domain=COLUMN&target=COLUMN'"),
        (["choose", "rotated-digits", "--size", "9"], "--size 9 fine-tunes a pretrained network, and none is among"),
        (["choose", "rotated-digits", "--size", "11"], "--size must be in 1..10, got 11"),
        (["choose", "table:nothing.csv"], "nothing.csv"),
        (["choose", "rotated-digits", "--minutes", "0"], "--minutes"),
        (["choose", "rotated-digits", "--device", "tpu"], "--device must be cpu or cuda, got 'tpu'"),
        (["choose", "rotated-digits", "--model", "timm:resnet18"], "say where its weights are, timm:resnet18=FILE"),
        (["choose", "rotated-digits", "--model", "mlp=x.pt"], "weights are for networks of timm"),
        (["choose", "rotated-digits", "--model", "mpl"], "--model mpl: 'mpl' is not known. Did you mean 'mlp'?"),
        (["choose", "rotated-digits", "--model", "timm:resnet18=x.pth"], "=x.pth: there is no file x.pth"),
        (["choose", "rotated-digits", "--measure", "f1"], "--measure: 'f1' is not known"),
        (["choose", "rotated-digits", "--set", "rollouts=3"], "--set rollouts: cannot be set here"),
        (["choose", "rotated-digits", "--set", "rollouts"], "must be KEY=VALUE"),
        (["choose", "rotated-digits", "--groups", "x"], "--groups is for folder:PATH and table:PATH"),
        (["choose", "rotated-digits", "--allow", "x"], "--allow: allow is for data of yours"),
        (["choose", "rotated-digits", "--measure", "calibration-error"], "calibration-error cannot choose"),
        (["choose", "bethe-heitler-plain", "--measure", "auc"], "metric=auc is for classes"),
        (["predict", ".", "x.csv", "--output", "x.txt"], "must end in .csv or .parquet, got 'x.txt'"),
        (["predict", ".", "x.csv", "--output", "x.csv", "--export", "x.onnx"], "must end in .pt2, got 'x.onnx'"),
        (["predict", "nowhere", "x.csv", "--output", "x.csv"], "there is no folder nowhere"),
        (["predict", ".", "x.csv", "--output", "x.csv"], "is no model folder: it has no model.json"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_one_message(said, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.csv").write_text("site,age,ill\n", encoding="utf-8")
    status, _, err = said(*words, *(["--output", "out"] if words[0] == "choose" else []))
    assert status == 2
    assert told in err
    assert "Traceback" not in err
