"""The official metrics, against figures computed by hand from the same predictions, and files for the leaderboard."""

from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import pearsonr
from sklearn.metrics import f1_score
from torch import nn

from pgrad.integrations import wilds
from pgrad.integrations.wilds import evaluation


class Guess(nn.Module):
    """Outputs that depend on the input in an arbitrary, deterministic way."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(torch.arange(1.0, outputs + 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        level = x.double().flatten(1).mean(dim=1, keepdim=True)
        return torch.sin(977 * level * self.frequencies).float()


def pixels(image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).double() / 255


def table(dataset, split: str, found: wilds.Evaluation) -> pd.DataFrame:
    subset = dataset.get_subset(split)
    frame = pd.DataFrame(subset.metadata_array.numpy(), columns=dataset.metadata_fields)
    return frame.assign(right=found.predictions.numpy().ravel() == subset.y_array.numpy().ravel())


def test_camelyon17_is_the_accuracy(miniature) -> None:
    dataset = miniature("camelyon17")
    for split, found in wilds.evaluate(Guess(2), dataset, transform=pixels).items():
        frame = table(dataset, split, found)
        assert found.results["acc_avg"] == pytest.approx(frame["right"].mean())
        by_slide = frame.groupby("slide")["right"].mean()
        assert found.results["acc_wg"] == pytest.approx(by_slide.min())
        assert 0 < frame["right"].mean() < 1


def test_all_splits_but_train_are_evaluated(miniature) -> None:
    dataset = miniature("camelyon17")
    assert set(wilds.evaluate(Guess(2), dataset, transform=pixels)) == {"id_val", "test", "val"}
    assert set(wilds.evaluate(Guess(2), dataset, ["train"], transform=pixels)) == {"train"}


def test_fmow_is_the_worst_region_without_other(miniature) -> None:
    dataset = miniature("fmow")
    found = wilds.evaluate(Guess(62), dataset, ["val"], transform=pixels)["val"]
    found.predictions[:10] = dataset.get_subset("val").y_array[:10]
    results, _ = dataset.eval(
        found.predictions, dataset.get_subset("val").y_array, dataset.get_subset("val").metadata_array
    )
    frame = table(dataset, "val", found)
    regions = frame.assign(region=[dataset.metadata_map["region"][int(r)] for r in frame["region"]])
    worst = regions[regions["region"] != "Other"].groupby("region")["right"].mean().min()
    assert results["acc_worst_region"] == pytest.approx(worst)
    assert results["acc_avg"] == pytest.approx(frame["right"].mean())


def test_poverty_is_the_lower_correlation_of_town_and_country(miniature) -> None:
    dataset = miniature("poverty", fold="B")
    found = wilds.evaluate(Guess(1), dataset, ["test"], batch_size=512)["test"]
    subset = dataset.get_subset("test")
    truth, guess = subset.y_array.numpy().ravel(), found.predictions.numpy().ravel()
    urban = subset.metadata_array[:, 0].numpy() == 1
    both = [pearsonr(guess[rows], truth[rows])[0] for rows in (urban, ~urban)]
    assert found.results["r_wg"] == pytest.approx(min(both), abs=1e-6)
    assert found.results["r_all"] == pytest.approx(pearsonr(guess, truth)[0], abs=1e-6)


def test_iwildcam_is_macro_f1(miniature) -> None:
    dataset = miniature("iwildcam")
    found = wilds.evaluate(Guess(6), dataset, ["test"], transform=pixels)["test"]
    truth = dataset.get_subset("test").y_array
    assert found.results["F1-macro_all"] == pytest.approx(f1_score(truth, found.predictions, average="macro"))


def test_amazon_is_the_tenth_percentile_of_users(miniature) -> None:
    dataset = miniature("amazon")
    model = Guess(5)
    found = wilds.evaluate(model, dataset, ["test"], transform=lambda text: torch.tensor([len(text) / 37.0]))["test"]
    by_user = table(dataset, "test", found).groupby("user")["right"].mean()
    assert found.results["10th_percentile_acc"] == pytest.approx(np.percentile(by_user, 10))


def test_civilcomments_is_the_worst_of_identity_times_label(miniature) -> None:
    dataset = miniature("civilcomments")
    found = wilds.evaluate(Guess(2), dataset, ["test"], transform=lambda text: torch.tensor([len(text) / 37.0]))["test"]
    frame = table(dataset, "test", found)
    identities = ["male", "female", "LGBTQ", "christian", "muslim", "other_religions", "black", "white"]
    groups = [frame[(frame[name] == 1) & (frame["y"] == y)]["right"].mean() for name in identities for y in (0, 1)]
    assert found.results["acc_wg"] == pytest.approx(min(groups))


@pytest.mark.parametrize(("name", "field"), [("waterbirds", "background"), ("celebA", "male")])
def test_worst_group_of_attribute_times_label(name: str, field: str, miniature) -> None:
    dataset = miniature(name)
    found = wilds.evaluate(Guess(2), dataset, ["test"], transform=pixels)["test"]
    assert found.results["acc_wg"] == pytest.approx(
        table(dataset, "test", found).groupby([field, "y"])["right"].mean().min()
    )


def test_a_detector_is_scored_by_its_boxes(miniature) -> None:
    from torchvision.transforms.functional import to_tensor

    dataset = miniature("globalwheat")
    truth = iter([dataset.y_array[i] for i in dataset.get_subset("test").indices])

    def perfect(x: torch.Tensor) -> list[dict[str, torch.Tensor]]:
        targets = [next(truth) for _ in x]
        return [
            {"boxes": t["boxes"].float(), "labels": t["labels"], "scores": torch.ones(len(t["boxes"]))} for t in targets
        ]

    found = wilds.evaluate(perfect, dataset, ["test"], transform=to_tensor)["test"]
    assert found.results["detection_acc_avg_dom"] == 1.0


@pytest.mark.parametrize(("name", "outputs"), [("camelyon17", 2), ("poverty", 1), ("iwildcam", 6)])
def test_predictions_survive_the_file(name: str, outputs: int, miniature, tmp_path: Path) -> None:
    dataset = miniature(name)
    transform = None if name == "poverty" else pixels
    found = wilds.evaluate(Guess(outputs), dataset, ["val"], transform=transform, batch_size=512)["val"]
    path = tmp_path / name / wilds.prediction_file(name, "val")
    wilds.write_predictions(path, found.predictions)
    assert path.name.startswith(f"{name}_split:val_{'fold:A' if name == 'poverty' else 'seed:0'}")
    lines = path.read_text().splitlines()
    assert len(lines) == len(dataset.get_subset("val"))
    assert float(lines[3]) == pytest.approx(float(found.predictions[3]), abs=0)
    again = wilds.read_predictions(path)
    # From here on as examples/evaluate.py does it: the shape of the targets, then the data set's own evaluation.
    subset = dataset.get_subset("val")
    if again.shape != subset.y_array.shape:
        again = again.unsqueeze(-1)
    results, _ = dataset.eval(again, subset.y_array, subset.metadata_array)
    metric = wilds.TASKS[name].metric
    assert results[metric] == pytest.approx(found.results[metric], abs=1e-6)


def test_names_that_windows_cannot_hold_are_refused_there() -> None:
    """A colon begins another stream of the file before it: nothing would fail, and the predictions be nowhere."""
    name = wilds.prediction_file("camelyon17", "val")
    evaluation._check_name(PurePosixPath("run") / name)
    evaluation._check_name(PureWindowsPath("C:/run/predictions.csv"))
    with pytest.raises(ValueError, match=r"path must have no colon in its name on Windows, got 'camelyon17_split:val"):
        evaluation._check_name(PureWindowsPath("C:/run") / name)


def test_rows_of_several_values(tmp_path: Path) -> None:
    wilds.write_predictions(tmp_path / "a.csv", torch.tensor([[1, 2], [3, 4]]))
    assert (tmp_path / "a.csv").read_text() == "1,2\n3,4\n"
    assert wilds.read_predictions(tmp_path / "a.csv").tolist() == [[1, 2], [3, 4]]


def test_boxes_are_saved_as_they_are(tmp_path: Path) -> None:
    boxes = [{"boxes": torch.rand(2, 4), "scores": torch.rand(2), "labels": torch.ones(2, dtype=torch.int64)}]
    path = tmp_path / wilds.prediction_file("globalwheat", "val", seed=1)
    assert path.name == "globalwheat_split:val_seed:1_epoch:best_pred.pth"
    wilds.write_predictions(path, boxes)
    assert torch.equal(wilds.read_predictions(path)[0]["boxes"], boxes[0]["boxes"])


def test_a_line_that_is_no_prediction(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1\nbird\n")
    with pytest.raises(ValueError, match=r"a\.csv, line 2: must be numbers .* got 'bird'"):
        wilds.read_predictions(tmp_path / "a.csv")


def test_the_model_keeps_its_mode_and_nothing_is_drawn(miniature) -> None:
    dataset = miniature("camelyon17")
    model = nn.Sequential(Guess(2), nn.Dropout(0.5))
    before = torch.get_rng_state()
    first = wilds.evaluate(model, dataset, ["val"], transform=pixels)["val"].predictions
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)
    model.eval()
    assert torch.equal(wilds.evaluate(model, dataset, ["val"], transform=pixels)["val"].predictions, first)
    assert not model.training


@pytest.mark.parametrize("split", ["validation", "id_test"])
def test_a_split_that_is_not_there(split: str, miniature) -> None:
    with pytest.raises(ValueError, match="must be one of train, id_val, test, val"):
        wilds.evaluate(Guess(2), miniature("camelyon17"), [split], transform=pixels)
