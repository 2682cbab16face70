"""What a user passes by mistake is named before WILDS, or a DataLoader, stumbles over it or gives a wrong figure."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from torch import nn
from torch.utils.data import ConcatDataset, Subset

from pgrad import ResumableLoader
from pgrad.integrations import wilds


def pixels(image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).float() / 255


class Answer(nn.Module):
    """Gives what it is told to, for a batch of any inputs."""

    def __init__(self, answer) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.answer(x)


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_correlation_that_is_not_defined_in_one_group_is_nan_and_not_that_of_the_others(split, miniature) -> None:
    dataset = miniature("poverty")
    subset = dataset.get_subset(split)
    truth, urban = subset.y_array.numpy().ravel(), subset.metadata_array[:, 0].numpy() == 1
    number = iter(range(len(subset)))

    def answer(x: torch.Tensor) -> torch.Tensor:
        rows = [next(number) for _ in x]
        return torch.tensor([[0.5 if urban[row] else math.sin(row)] for row in rows])

    found = wilds.evaluate(Answer(answer), dataset, [split], batch_size=512)[split]
    guess = found.predictions.numpy().ravel()
    assert math.isnan(found.results["r_wg"])
    assert math.isnan(found.results["r_urban:1"])
    assert found.results["r_urban:0"] == pytest.approx(pearsonr(guess[~urban], truth[~urban])[0], abs=1e-6)
    assert found.results["r_all"] == pytest.approx(pearsonr(guess, truth)[0], abs=1e-6)


def test_the_same_prediction_for_all_is_nan_too_and_other_figures_are_there(miniature) -> None:
    dataset = miniature("poverty")
    found = wilds.evaluate(Answer(lambda x: torch.zeros(len(x), 1)), dataset, ["val"], batch_size=512)["val"]
    assert math.isnan(found.results["r_wg"])
    assert math.isnan(found.results["r_all"])
    truth = dataset.get_subset("val").y_array
    assert found.results["mse_avg"] == pytest.approx(float((truth**2).mean()), rel=1e-5)


def test_the_class_of_wilds_is_as_it_was_afterwards(miniature) -> None:
    from wilds.common.metrics.all_metrics import PearsonCorrelation

    before = PearsonCorrelation._compute, PearsonCorrelation.worst
    wilds.evaluate(Answer(lambda x: torch.zeros(len(x), 1)), miniature("poverty"), ["val"], batch_size=512)
    assert (PearsonCorrelation._compute, PearsonCorrelation.worst) == before


def _nan_at(example: int, outputs: int, value: float = math.nan):
    seen = 0

    def answer(x: torch.Tensor) -> torch.Tensor:
        nonlocal seen
        found = torch.zeros(len(x), outputs)
        if seen <= example < seen + len(x):
            found[example - seen, 0] = value
        seen += len(x)
        return found

    return Answer(answer)


@pytest.mark.parametrize(
    ("name", "outputs", "value"),
    [("camelyon17", 2, math.nan), ("bdd100k", 9, math.nan), ("poverty", 1, math.nan), ("poverty", 1, math.inf)],
)
def test_outputs_that_are_no_numbers_are_refused_before_the_metric(name, outputs, value, miniature) -> None:
    dataset = miniature(name)
    transform = None if name == "poverty" else pixels
    with pytest.raises(ValueError, match=rf"gave NaN.* for 1 of 4 examples of {name} .* first for example 6 of the"):
        wilds.evaluate(_nan_at(6, outputs, value), dataset, ["val"], transform=transform, batch_size=4)


def test_an_infinite_logit_is_a_logit(miniature) -> None:
    found = wilds.evaluate(_nan_at(0, 2, -math.inf), miniature("camelyon17"), ["val"], transform=pixels)["val"]
    assert found.predictions[:2].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("camelyon17", (3,), r"shape \[4, 2\] for 4 examples of camelyon17, .* its 2 classes; got \[4, 3\]"),
        ("camelyon17", (1,), r"got \[4, 1\]"),
        ("camelyon17", (), r"got \[4\]"),
        ("camelyon17", (2, 2), r"got \[4, 2, 2\]"),
        ("poverty", (), r"shape \[4, 1\] .* one output for each target; got \[4\]"),
        ("poverty", (2,), r"got \[4, 2\]"),
        ("bdd100k", (10,), r"shape \[4, 9\]"),
        ("sqf", (1,), r"shape \[4, 2\]"),
    ],
)
def test_a_head_of_the_wrong_size_is_named(name, shape, words, miniature) -> None:
    transform = None if name in ("poverty", "sqf") else pixels
    model = Answer(lambda x: torch.zeros(len(x), *shape))
    with pytest.raises(ValueError, match=words):
        wilds.evaluate(model, miniature(name), ["val" if name != "sqf" else "test"], transform=transform, batch_size=4)


def test_a_model_that_gives_no_tensor(miniature) -> None:
    model = Answer(lambda x: {"logits": torch.zeros(len(x), 2)})
    with pytest.raises(TypeError, match="must give a tensor for a batch of camelyon17, got dict"):
        wilds.evaluate(model, miniature("camelyon17"), ["val"], transform=pixels)


@pytest.mark.parametrize("score", [math.nan, None])
def test_a_detector_must_give_finite_boxes_with_scores(score, miniature) -> None:
    def answer(x: torch.Tensor) -> list:
        found = {"boxes": torch.zeros(1, 4), "labels": torch.ones(1, dtype=torch.int64)}
        return [found if score is None else {**found, "scores": torch.tensor([score])} for _ in x]

    words = "list of dicts of boxes, labels, scores" if score is None else "not finite for example 0 of globalwheat"
    with pytest.raises((TypeError, ValueError), match=words):
        wilds.evaluate(Answer(answer), miniature("globalwheat"), ["val"], transform=pixels)


def test_subsets_of_torch_are_refused_with_what_to_write(miniature) -> None:
    dataset = miniature("camelyon17")
    train, val = (dataset.get_subset(split, transform=pixels) for split in ("train", "val"))
    for wrong, words in [
        (Subset(train, [0, 1, 2]), r"got torch\.utils\.data\.dataset\.Subset.* WILDSSubset\(dataset, indices, transf"),
        (ConcatDataset([train, val]), r"got torch\.utils\.data\.dataset\.ConcatDataset.* numpy\.concatenate"),
        ([1, 2, 3], "got builtins.list"),
    ]:
        for use in (
            lambda wrong=wrong: wilds.rollout_loader(wrong, ["hospital"], 4),
            lambda wrong=wrong: wilds.domain_ids(wrong, ["hospital"]),
            lambda wrong=wrong: wilds.predict(Answer(lambda x: x), wrong),
            lambda wrong=wrong: wilds.evaluate(Answer(lambda x: x), wrong),
        ):
            with pytest.raises(TypeError, match=words):
                use()


def test_what_the_message_says_to_write_works(miniature) -> None:
    dataset = miniature("camelyon17")
    from wilds.datasets.wilds_dataset import WILDSSubset

    train, val = (dataset.get_subset(split) for split in ("train", "id_val"))
    some = WILDSSubset(dataset, np.concatenate([train.indices, val.indices])[::2], pixels)
    loader = wilds.rollout_loader(some, ["hospital"], 4)
    for _, _, metadata in loader:
        assert len(set(metadata[:, 0].tolist())) == 1
    assert sorted(wilds.domain_ids(some, ["hospital"]).unique().tolist()) == [0, 3, 4]


@pytest.mark.parametrize(("name", "kind"), [("camelyon17", "pictures"), ("civilcomments", "texts")])
def test_a_missing_transform_is_named(name, kind, miniature) -> None:
    dataset = miniature(name)
    fields = list(wilds.TASKS[name].domain_fields)
    words = rf"transform is missing: inputs of {name} are {kind}, .*get_subset\(split, transform=\.\.\.\)"
    with pytest.raises(ValueError, match=words):
        wilds.rollout_loader(dataset.get_subset("train"), fields, 2)
    with pytest.raises(ValueError, match=words):
        wilds.evaluate(Answer(lambda x: x), dataset, ["val"])


def test_an_own_collate_function_may_take_what_is_no_tensor(miniature) -> None:
    train = miniature("civilcomments").get_subset("train")
    loader = wilds.rollout_loader(train, ["y"], 2, collate_fn=lambda rows: [row[0] for row in rows])
    assert all(isinstance(text, str) for text in next(iter(loader)))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_loader_keeps_its_place(workers: int, miniature) -> None:
    train = miniature("camelyon17").get_subset("train", transform=pixels)

    def made() -> ResumableLoader:
        return wilds.rollout_loader(
            train, ["hospital"], 4, generator=torch.Generator().manual_seed(3), num_workers=workers
        )

    whole = [metadata.tolist() for _, _, metadata in made()]
    loader = made()
    batches = iter(loader)
    seen = [next(batches)[2].tolist() for _ in range(4)]
    state = loader.state_dict()
    del batches
    resumed = made()
    resumed.load_state_dict(state)
    assert seen + [metadata.tolist() for _, _, metadata in resumed] == whole
