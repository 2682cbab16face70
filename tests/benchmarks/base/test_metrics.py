import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import balanced_accuracy_score

from benchmarks.base.metrics import accuracy, average, balanced_accuracy, estimate, paired_difference

NAN = float("nan")


def test_accuracy():
    logits = torch.tensor([[2.0, 1.0], [0.0, 3.0], [5.0, 4.0]])
    assert accuracy(logits, torch.tensor([0, 1, 1])) == pytest.approx(2 / 3)


def test_balanced_accuracy_is_that_of_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(200, 3, generator=generator), (torch.rand(200, generator=generator) < 0.1).long()
    logits[:, 2] -= 9.0  # nobody is of this class, and nobody is said to be
    expected = balanced_accuracy_score(labels.numpy(), logits.argmax(dim=1).numpy())
    assert balanced_accuracy(logits, labels) == pytest.approx(expected, abs=1e-15)
    assert balanced_accuracy(logits, labels) != pytest.approx(accuracy(logits, labels), abs=0.02)


def test_estimate_by_hand():
    # Mean 2, standard deviation 1, standard error 1/sqrt(3); t(0.975, 2) = 4.302653.
    found = estimate(np.array([1.0, 2.0, 3.0]))
    assert (found.mean, found.n) == (2.0, 3)
    assert found.standard_error == pytest.approx(1 / math.sqrt(3))
    assert found.high - 2 == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert 2 - found.low == pytest.approx(found.high - 2)


def test_paired_difference_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    scores, baseline = rng.normal(70, 5, (5, 6)), rng.normal(68, 5, (5, 6))
    found = paired_difference(scores, baseline)
    expected = stats.ttest_rel(scores.mean(axis=1), baseline.mean(axis=1)).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.mean == pytest.approx(scores.mean() - baseline.mean())


def test_what_all_domains_share_does_not_widen_a_difference():
    seeds = np.array([[0.0], [10.0], [-5.0]])
    scores = seeds + np.array([[50.0, 90.0]])
    found = paired_difference(scores + 1, scores)
    assert (found.mean, found.low, found.high) == (1.0, 1.0, 1.0)
    assert average(scores).standard_error > 1


def test_a_seed_with_a_gap_is_left_out_of_both_sides():
    scores = np.array([[1.0, 2.0], [3.0, NAN], [5.0, 6.0]])
    baseline = np.array([[0.0, 0.0], [100.0, 100.0], [0.0, NAN]])
    assert average(scores).n == 2
    found = paired_difference(scores, baseline)
    assert (found.mean, found.n) == (1.5, 1)
    assert math.isnan(found.low)


def test_no_seed_at_all():
    found = average(np.array([[NAN, 1.0]]))
    assert found.n == 0
    assert math.isnan(found.mean)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(3, 2\)"):
        paired_difference(np.zeros((2, 3)), np.zeros((3, 2)))
