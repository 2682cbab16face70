"""Figures by name, against values by hand and against the libraries called the long way."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score

from benchmarks.base.judges import JUDGES, auc, calibration_error, known_chooser, known_judge


def logits_of(n, classes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, classes, generator=generator), torch.randint(classes, (n,), generator=generator)


def test_auc_of_two_classes_is_that_of_mann_and_whitney():
    logits, labels = logits_of(80, 2)
    score = (logits[:, 1] - logits[:, 0]).numpy()
    u = mannwhitneyu(score[labels == 1], score[labels == 0]).statistic
    assert auc(logits, labels) == pytest.approx(u / ((labels == 1).sum() * (labels == 0).sum()).item())


def test_auc_of_several_classes_is_scikit_learns_one_against_the_rest():
    logits, labels = logits_of(90, 4)
    expected = roc_auc_score(labels.numpy(), logits.double().softmax(1).numpy(), multi_class="ovr", average="macro")
    assert auc(logits, labels) == pytest.approx(expected)


def test_auc_does_not_round_what_is_nearly_certain():
    logits = torch.tensor([[0.0, 800.0], [0.0, 900.0], [0.0, 1000.0], [0.0, 700.0]])
    assert auc(logits, torch.tensor([0, 1, 1, 0])) == 1.0


def test_auc_where_a_class_is_missing():
    logits, labels = logits_of(60, 3)
    labels[labels == 2] = 1
    one, other = (roc_auc_score(labels == k, logits.log_softmax(1)[:, k]) for k in (0, 1))
    assert auc(logits, labels) == pytest.approx((one + other) / 2)
    assert math.isnan(auc(logits, torch.zeros(60, dtype=torch.int64)))


def test_calibration_error_by_hand():
    """Bin 0.6-0.667 holds two examples of confidence 0.65, one right; bin 0.867-0.933 two of 0.9, both right."""
    confidence = torch.tensor([0.65, 0.65, 0.9, 0.9])
    logits = torch.stack([confidence, 1 - confidence], 1).log()
    found = calibration_error(logits, torch.tensor([0, 1, 0, 0]))
    assert found == pytest.approx(0.5 * 0.15 + 0.5 * 0.1, abs=1e-6)


@pytest.mark.parametrize("name", JUDGES)
def test_all_are_shares(name):
    logits, labels = logits_of(50, 3)
    assert 0.0 <= JUDGES[name].metric(logits, labels) <= 1.0
    perfect = 20 * torch.nn.functional.one_hot(labels, 3).double()
    assert JUDGES[name].metric(perfect, labels) == pytest.approx(1.0 if JUDGES[name].chooses else 0.0, abs=1e-6)


def test_the_majority_class_reaches_what_it_should():
    labels = torch.tensor([0] * 9 + [1])
    constant = torch.tensor([[0.9, 0.1]]).log().expand(10, 2)
    found = {name: judge.metric(constant, labels) for name, judge in JUDGES.items()}
    wanted = {"accuracy": 0.9, "balanced-accuracy": 0.5, "macro-f1": np.mean([18 / 19, 0]), "auc": 0.5}
    assert found == pytest.approx({**wanted, "calibration-error": 0.0}, abs=1e-6)


def test_names():
    assert known_chooser("auc") == "auc"
    with pytest.raises(ValueError, match=r"'aux' is not known\. Did you mean 'auc'"):
        known_judge("aux")
    with pytest.raises(ValueError, match="calibration-error cannot choose"):
        known_chooser("calibration-error")
