import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from benchmarks.base.metrics import (
    bootstrap_data_sets,
    bootstrap_improvement,
    bootstrap_interquartile_mean,
    bootstrap_mean,
    bounded,
    estimate,
    holm,
    interquartile_mean,
    macro_f1,
    mean_of_means,
    performance_profile,
    probability_of_improvement,
    wilcoxon,
    wilcoxon_of_many,
    worst_domain,
    worst_group,
)


def test_macro_f1_counts_classes_alike():
    labels = torch.tensor([0, 0, 0, 0, 1, 2])
    logits = torch.eye(4)[torch.tensor([0, 0, 0, 1, 1, 0])]
    # class 0: TP 3, FP 1, FN 1; class 1: TP 1, FP 1, FN 0; class 2: nothing right; class 3 does not occur.
    assert macro_f1(logits, labels) == pytest.approx((6 / 8 + 2 / 3 + 0) / 3)


def test_worst_group():
    outputs, labels = torch.eye(2)[torch.tensor([0, 1, 1, 0])], torch.tensor([0, 0, 1, 0])
    assert worst_group(outputs, labels, torch.tensor([5, 5, 3, 3])) == 0.5
    with pytest.raises(ValueError, match="got 4, 4 and 3"):
        worst_group(outputs, labels, torch.zeros(3))


def test_holm_by_hand():
    assert holm([0.04, float("nan"), 0.01, 0.03]).tolist() == pytest.approx([0.06, math.nan, 0.03, 0.06], nan_ok=True)
    assert holm([0.6, 0.9]).tolist() == [1.0, 1.0]
    p = np.random.default_rng(0).uniform(size=50) ** 4
    corrected = holm(p)
    assert (corrected >= p).all()
    assert (corrected <= np.minimum(1, 50 * p) + 1e-15).all()  # never worse than Bonferroni
    assert (np.diff(corrected[np.argsort(p)]) >= 0).all()


@pytest.mark.parametrize("differences", [[1.0, 2.5, -0.5, 3.0, 4.0], [1.0, 1.0, -1.0, 2.0, 3.0, 0.0]])
def test_wilcoxon_against_all_signs(differences):
    """The distribution under the null by brute force, Pratt's ranks: zeros are ranked, and dropped afterwards."""
    d = np.array(differences)
    ranks = stats.rankdata(abs(d)) * (d != 0)
    observed = abs(ranks @ np.sign(d))
    under_null = [abs(ranks @ np.array(signs)) for signs in itertools.product((-1, 1), repeat=len(d))]
    expected = np.mean([value >= observed - 1e-12 for value in under_null])
    assert wilcoxon(d, np.random.default_rng(0)) == pytest.approx(expected)


def test_wilcoxon_at_its_limits():
    rng = np.random.default_rng(0)
    assert wilcoxon(np.arange(1.0, 6.0), rng) == 2.0**-4  # no p-value of five seeds is smaller
    assert wilcoxon(np.zeros(5), rng) == 1.0
    assert math.isnan(wilcoxon(np.zeros(0), rng))


def test_probability_of_improvement_is_the_mean_of_mann_whitney():
    rng = np.random.default_rng(1)
    scores, baseline = rng.integers(0, 5, (6, 3)).astype(float), rng.integers(0, 5, (6, 3)).astype(float)
    expected = [stats.mannwhitneyu(scores[:, i], baseline[:, i]).statistic / 36 for i in range(3)]
    assert probability_of_improvement(scores, baseline) == pytest.approx(np.mean(expected))
    assert probability_of_improvement(scores, scores) == 0.5
    assert probability_of_improvement(scores + 9, scores) == 1.0


def test_interquartile_mean_is_that_of_the_middle_half():
    scores = np.array([[100.0, 1.0], [2.0, 3.0], [4.0, -100.0], [5.0, 6.0]])
    assert interquartile_mean(scores) == np.mean([2, 3, 4, 5])


def test_performance_profile():
    shares = performance_profile(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0.0, 1.0, 2.5, 4.0]))
    assert shares.tolist() == [1.0, 0.75, 0.5, 0.0]


def test_worst_domain_is_found_before_seeds_are_averaged():
    assert worst_domain(np.array([[1.0, 5.0], [7.0, 3.0]])).mean == 2.0


def test_bootstrap_of_many_seeds_is_the_t_interval():
    values = np.random.default_rng(2).normal(3, 2, 400)
    found, expected = bootstrap_mean(values, np.random.default_rng(0)), estimate(values)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.02)


def test_bootstrap_resamples_seeds_as_a_whole():
    """Domains that move together: as many domains as one likes do not make the interval narrower."""
    seeds = np.random.default_rng(3).normal(0, 1, (40, 1))
    widths = [
        interval.high - interval.low
        for copies in (1, 25)
        for interval in [bootstrap_interquartile_mean(np.repeat(seeds, copies, axis=1), np.random.default_rng(0))]
    ]
    assert widths[0] == pytest.approx(widths[1], rel=0.25)


def test_bootstrap_is_decided_by_its_generator():
    scores = np.random.default_rng(4).normal(size=(12, 3))
    for statistic in (
        bootstrap_interquartile_mean,
        bootstrap_mean,
        lambda x, rng: bootstrap_improvement(x, x[::-1] + 0.1, rng),
    ):
        first, same, other = (statistic(scores, np.random.default_rng(seed)) for seed in (0, 0, 1))
        assert np.array_equal(first.low, same.low)
        assert not np.array_equal([first.low, first.high], [other.low, other.high])
        assert np.all(first.low <= first.high)


def test_a_single_seed_has_no_interval():
    one = np.ones((1, 3))
    assert math.isnan(bootstrap_interquartile_mean(one, np.random.default_rng(0)).low)
    assert math.isnan(bootstrap_improvement(one, one, np.random.default_rng(0)).high)
    assert np.isnan(bootstrap_mean(one, np.random.default_rng(0)).low).all()


def test_wilcoxon_of_many_is_that_of_each():
    rng = np.random.default_rng(2)
    columns_ = rng.standard_normal((7, 12))
    columns_[0, 3] = 0.0
    columns_[:2, 4] = (1.0, -1.0)
    columns_[:, 5] = 0.0
    expected = [wilcoxon(columns_[:, i], np.random.default_rng(0)) for i in range(12)]
    np.testing.assert_allclose(wilcoxon_of_many(columns_, np.random.default_rng(0)), expected)
    assert np.isnan(wilcoxon_of_many(np.empty((0, 3)), rng)).all()


def test_a_share_has_its_interval_inside_its_bounds():
    near = np.array([0.985, 0.99, 0.999, 0.97])
    plain, found = estimate(near), bounded(estimate(near))
    assert plain.high > 1 > found.high > found.mean > found.low
    assert (found.mean, found.standard_error, found.n) == (plain.mean, plain.standard_error, 4)
    # Logit and its slope by hand; t of three degrees of freedom.
    mean, reach = near.mean(), stats.t.ppf(0.975, 3) * stats.sem(near)
    ends = [np.log(mean / (1 - mean)) + sign * reach / (mean * (1 - mean)) for sign in (-1, 1)]
    assert (found.low, found.high) == pytest.approx([1 / (1 + np.exp(-end)) for end in ends])
    middle = estimate(np.array([50.1, 49.9, 50.0, 50.2]))
    assert bounded(middle, 100.0).low == pytest.approx(middle.low, abs=1e-3)
    assert bounded(estimate(np.full(3, 100.0)), 100.0) == estimate(np.full(3, 100.0))


def test_the_bounded_interval_holds_the_mean_as_often_as_it_says():
    """Accuracies of 200 examples each, 98 % right, five seeds, many times."""
    rng = np.random.default_rng(0)
    seeds = rng.binomial(200, 0.98, size=(3000, 5)) / 200
    found = [bounded(estimate(row)) for row in seeds]
    held = np.mean([one.low <= 0.98 <= one.high for one in found if one.standard_error > 0])
    assert 0.93 < held < 0.98


def test_a_mean_over_data_sets_has_the_interval_of_welch():
    rng = np.random.default_rng(3)
    first, second = rng.normal(1.0, 0.1, 5), rng.normal(2.0, 3.0, 8)
    found = mean_of_means([first, second])
    interval = stats.ttest_ind(first, -second, equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low / 2, interval.high / 2))
    assert found.n == 5
    alone, plain = mean_of_means([first]), estimate(first)
    assert (alone.mean, alone.low, alone.high) == pytest.approx((plain.mean, plain.low, plain.high))
    assert math.isnan(mean_of_means([first, second[:1]]).low)
    assert mean_of_means([]).n == 0


def test_the_bootstrap_over_data_sets_draws_both_by_enumeration():
    """Two data sets of two seeds: every draw of data sets, and of seeds within each, is equally likely."""
    first, second = np.array([0.0, 1.0]), np.array([10.0, 14.0])
    means = {0: [0.0, 0.5, 0.5, 1.0], 1: [10.0, 12.0, 12.0, 14.0]}
    every = [(a + b) / 2 for i, j in itertools.product((0, 1), repeat=2) for a in means[i] for b in means[j]]
    for confidence in (0.3, 0.4, 0.8):
        found = bootstrap_data_sets([first, second], np.random.default_rng(0), confidence)
        tail = 50 * (1 - confidence)
        assert (found.low, found.high) == pytest.approx(np.percentile(every, [tail, 100 - tail], method="inverted_cdf"))
    both = bootstrap_data_sets(
        [np.stack([first, 2 * first], 1), np.stack([second, 2 * second], 1)], np.random.default_rng(0)
    )
    np.testing.assert_allclose(both.low[1], 2 * both.low[0])
    assert math.isnan(bootstrap_data_sets([first], np.random.default_rng(0)).low)
    assert math.isnan(bootstrap_data_sets([first, second[:1]], np.random.default_rng(0)).low)


def test_the_bootstrap_of_improvement_is_that_of_scipy():
    rng = np.random.default_rng(5)
    ours, theirs = rng.normal(0.3, 1, (6, 3)), rng.normal(0, 1, (6, 3))

    def statistic(index):
        index = index.astype(int)
        return probability_of_improvement(ours[index], theirs[index])

    expected = stats.bootstrap(
        (np.arange(6),),
        statistic,
        vectorized=False,
        n_resamples=3000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    found = bootstrap_improvement(ours, theirs, np.random.default_rng(1))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.03)
