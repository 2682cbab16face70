"""What settings put in the place of a data set's metric and loss, and the predictor that looks at nothing."""

import dataclasses
import re

import pytest
import torch
from sklearn.dummy import DummyClassifier
from sklearn.utils.class_weight import compute_sample_weight
from torch.nn.functional import cross_entropy, mse_loss

from benchmarks.base.metrics import accuracy, balanced_accuracy
from benchmarks.datasets import DATASETS, Domain
from benchmarks.runs import runner
from benchmarks.runs.config import RunConfig, Settings
from benchmarks.runs.judging import (
    Judging,
    best_constant,
    constant,
    constant_scores,
    judging,
    require_classes,
    weighted,
)
from benchmarks.runs.runner import run

DIGITS = DATASETS["coloured-digits"]
LABELS = torch.tensor([0] * 6 + [1] * 3 + [2])


def test_without_settings_all_is_as_the_data_set_has_it():
    found = judging(Settings(), DIGITS)
    assert (found.metric, found.measures) == (DIGITS.metric, DIGITS.measures)
    assert weighted(Settings(), DIGITS, LABELS, 3) is DIGITS.loss


def test_another_metric_leaves_the_data_sets_own_beside_it():
    found = judging(Settings(metric="balanced-accuracy", measures=("auc", "balanced-accuracy")), DIGITS)
    assert found.metric is balanced_accuracy
    assert list(found.measures) == ["accuracy", "AUC"]
    assert judging(Settings(measures="accuracy"), DIGITS).measures == {}
    own = dataclasses.replace(DIGITS, measures={"balanced accuracy": balanced_accuracy})
    assert list(judging(Settings(metric="balanced-accuracy"), own).measures) == ["accuracy"]
    assert judging(Settings(measures="balanced-accuracy"), own).measures == own.measures


def test_balanced_weights_are_those_of_scikit_learn():
    logits = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    each = cross_entropy(logits, LABELS, reduction="none")
    rows = torch.as_tensor(compute_sample_weight("balanced", LABELS.numpy()), dtype=torch.float32)
    loss = weighted(Settings(class_weights="balanced"), DIGITS, LABELS, 3)
    torch.testing.assert_close(loss(logits, LABELS), (rows * each).sum() / rows.sum())


def test_weights_by_number():
    logits = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    loss = weighted(Settings(class_weights="1,5,2"), DIGITS, LABELS, 3)
    torch.testing.assert_close(loss(logits, LABELS), cross_entropy(logits, LABELS, torch.tensor([1.0, 5.0, 2.0])))
    with pytest.raises(ValueError, match="one number for each of the 4 classes, got 3"):
        weighted(Settings(class_weights="1,5,2"), DIGITS, LABELS, 4)
    for wrong in ("much", "1,-1", "1,,2", "inf", ""):
        with pytest.raises(ValueError, match="'balanced', or positive numbers"):
            Settings(class_weights=wrong)


def test_a_class_that_training_does_not_show_is_no_division_by_zero():
    loss = weighted(Settings(class_weights="balanced"), DIGITS, LABELS[:9], 3)
    assert loss(torch.zeros(1, 3), torch.tensor([2])).isfinite()


@pytest.mark.parametrize("given", [{"metric": "auc"}, {"measures": "auc"}, {"class_weights": "balanced"}])
def test_figures_for_classes_are_refused_for_a_quantity(given):
    with pytest.raises(ValueError, match=f"{next(iter(given))}=.* is for classes"):
        require_classes(Settings(**given), quantity=True)
    require_classes(Settings(**given), quantity=False)


def test_weights_need_a_loss_that_takes_them():
    with pytest.raises(ValueError, match="needs the loss cross_entropy"):
        weighted(Settings(class_weights="balanced"), dataclasses.replace(DIGITS, loss=mse_loss), LABELS, 3)


def test_the_constant_is_scikit_learns_prior():
    dummy = DummyClassifier(strategy="prior").fit(torch.zeros(10, 1), LABELS)
    torch.testing.assert_close(
        constant(LABELS, 3).exp().numpy(), dummy.predict_proba(torch.zeros(1, 1)), rtol=1e-5, atol=1e-5
    )
    part = Domain("a", torch.zeros(4, 1), torch.tensor([0, 0, 1, 2]))
    found = constant_scores(judging(Settings(measures="auc"), DIGITS), LABELS, 3, [part])
    assert (found.metric, found.measures) == ({"a": 0.5}, {"AUC": {"a": 0.5}})
    assert constant(torch.tensor([[1.0, 9.0], [2.0, 9.0]]), 1).tolist() == [[1.5]]


RUN = RunConfig(
    dataset="coloured-digits", algorithm="erm", held_out="10%", seed=0, point=0,
    hparams={"lr": 1e-3, "weight_decay": 0}, rollouts=2, evaluate_every=1, batch_size=8, splits=1, width=4,
)  # fmt: skip


@pytest.mark.slow
def test_a_run_by_other_figures():
    plain = run(RUN)
    other = run(
        RUN.model_copy(update={"metric": "auc", "measures": ("calibration-error",), "class_weights": "balanced"})
    )
    assert plain["status"] == other["status"] == "finished"
    assert set(other["measures"]) == {"accuracy", "calibration error"}
    assert other["diagnostics"]["majority class: held out"] == [0.5]
    assert 0.4 < other["diagnostics"]["majority class: held out, accuracy"][0] < 0.6
    assert plain["key"] != other["key"]
    assert plain["measures"] == {}
    assert accuracy is DIGITS.metric


def test_guessing_one_class_cannot_beat_the_best_constant():
    labels = {"a": [0, 1, 1, 1], "b": [0, 2]}
    parts = [Domain(name, torch.zeros(len(own), 1), torch.tensor(own)) for name, own in labels.items()]
    judge = judging(Settings(), DIGITS)
    every = [[(part.labels == k).double().mean().item() for part in parts] for k in range(3)]
    assert best_constant(judge, LABELS, 3, parts) == max(sum(found) / 2 for found in every) == 0.375
    targets = [Domain("a", torch.zeros(2, 1), torch.tensor([[1.0], [3.0]]))]
    off = torch.tensor([[9.0], [9.0]])
    minus_mae = Judging(lambda outputs, labels: -float((outputs - labels).abs().mean()), {})
    assert best_constant(minus_mae, off, 1, targets) == -1.0


def test_outputs_that_are_not_numbers_are_a_failure_and_not_class_0(monkeypatch):
    plain = runner.build

    def broken(*arguments):
        model = plain(*arguments)
        model.register_forward_hook(lambda module, _, outputs: outputs if module.training else outputs * float("nan"))
        return model

    monkeypatch.setattr(runner, "build", broken)
    outcome = run(RUN)
    assert (outcome["status"], outcome["failure"]) == ("failed", "diverged")
    assert re.search("outputs on domain '.0%' are not numbers", outcome["error"])
