"""A folder of predictions is one submission."""

import json
import math
from pathlib import Path

import pytest
import torch

from benchmarks.studies.wilds.submission import MARKER
from tests.miniatures import run_folder

OPTIONS = {"eval_splits": ("val",), "steps": 3, "groups": 2, "splits": 1}


def test_seeds_of_one_algorithm_share_a_folder_and_another_algorithm_does_not(call, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "submission"
    for seed in (0, 1):
        assert call("camelyon17", algorithm="erm", seed=seed, predictions=folder, **OPTIONS) == 0
    names = {f"camelyon17_split:val_seed:{seed}_epoch:best_pred.csv" for seed in (0, 1)}
    assert {path.name for path in (folder / "camelyon17").iterdir()} == {*names, MARKER}
    before = {name: (folder / "camelyon17" / name).read_bytes() for name in names}
    capsys.readouterr()

    for changed, words in [({"algorithm": "pgrad"}, "algorithm 'erm' there, 'pgrad' here"), ({"lr": 0.5}, "hparams")]:
        options = {"algorithm": "erm", **OPTIONS, **changed}
        assert call("camelyon17", seed=1, predictions=folder, **options) == 2
        error = " ".join(capsys.readouterr().err.split())
        assert "holds predictions of another configuration" in error
        assert words in error
        assert "give another --predictions" in error
    assert {name: (folder / "camelyon17" / name).read_bytes() for name in names} == before


def test_predictions_of_unknown_origin_are_left_alone(call, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "submission" / "camelyon17"
    folder.mkdir(parents=True)
    theirs = folder / "camelyon17_split:val_seed:0_epoch:best_pred.csv"
    theirs.write_text("1\n")
    assert call("camelyon17", algorithm="erm", predictions=folder.parent, **OPTIONS) == 2
    assert "1 predictions of unknown origin" in " ".join(capsys.readouterr().err.split())
    assert theirs.read_text() == "1\n"
    (folder / MARKER).write_text("{")
    assert call("camelyon17", algorithm="erm", predictions=folder.parent, **OPTIONS) == 2
    assert "whose predictions are these?" in " ".join(capsys.readouterr().err.split())


def test_predictions_of_a_finished_run_join_a_submission(call, tmp_path: Path, capsys) -> None:
    options = {"algorithm": "erm", **OPTIONS}
    assert call("camelyon17", **options) == 0
    folder = tmp_path / "submission"
    assert call("camelyon17", predictions=folder, **options) == 0
    assert f"copied to {folder}" in capsys.readouterr().out.replace("\n", "")
    name = "camelyon17_split:val_seed:0_epoch:best_pred.csv"
    own = run_folder(tmp_path / "run") / "predictions" / "camelyon17" / name
    assert (folder / "camelyon17" / name).read_bytes() == own.read_bytes()
    assert call("camelyon17", predictions=folder, **{**options, "algorithm": "pgrad"}) == 2


@pytest.fixture
def start(call, tmp_path: Path):
    """``start(value)``: weights of poverty's tiny network that are all `value`, to start from."""

    def make(value: float) -> Path:
        assert call("poverty", algorithm="erm", output=tmp_path / "first", **OPTIONS) == 0
        content = torch.load(run_folder(tmp_path / "first") / "best.pt", weights_only=True)
        content["model"] = {name: torch.full_like(weights, value) for name, weights in content["model"].items()}
        torch.save(content, tmp_path / "start.pt")
        return tmp_path / "start.pt"

    return make


def test_a_regressor_without_a_correlation_is_a_record_without_a_figure(call, records, start, tmp_path: Path) -> None:
    assert call("poverty", algorithm="erm", start_from=start(0.0), **{**OPTIONS, "lr": 0.0}) == 0
    (record,) = records()
    assert record["status"] == "finished"
    assert record["selection"]["validation"] is None
    results = json.loads((run_folder(tmp_path / "run") / "results.json").read_text())["results"]["val"]
    assert results["r_wg"] is None
    assert results["mse_avg"] > 0


def test_weights_that_are_no_numbers_are_a_failed_record(call, records, start) -> None:
    assert call("poverty", algorithm="erm", start_from=start(math.nan), **{**OPTIONS, "lr": 0.0}) == 1
    (record,) = records()
    assert (record["status"], record["failure"]) == ("diverged", "diverged")
