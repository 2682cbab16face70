"""The hierarchical model: its defining equation, closed forms, another library's figures, and how often it is right."""

import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.base.hierarchical import NOTHING, hierarchical
from benchmarks.base.metrics import estimate


def made(rng, sizes, spread, noise=1.0):
    return [rng.normal(rng.normal(0.7, spread), noise, size) for size in sizes]


def test_figures_of_another_library():
    """Printed by statsmodels 0.15.0: combine_effects(means, their variances, method_re="iterated", use_t=True)."""
    rng = np.random.default_rng(0)
    parts = ((1.0, 0.5, 5), (2.5, 1.0, 8), (0.2, 0.3, 4), (1.8, 2.0, 6), (3.0, 0.7, 5))
    found = hierarchical([rng.normal(mean, deviation, size) for mean, deviation, size in parts])
    assert found.spread == pytest.approx(1.1663909754296586)
    assert found.mean == pytest.approx(1.655866689386842)
    assert (found.low, found.high) == pytest.approx((0.14523927, 3.16649411))


def test_without_differences_in_noise_it_is_the_t_interval_over_data_sets():
    """All means are equally certain: every weight is the same, whatever the spread is."""
    centres = np.array([-1.0, 0.5, 2.0, 4.0])
    values = [centre + np.array([-0.3, 0.0, 0.3]) for centre in centres]
    found, plain = hierarchical(values), estimate(centres)
    assert (found.mean, found.low, found.high) == pytest.approx((plain.mean, plain.low, plain.high))
    assert found.spread**2 == pytest.approx(np.var(centres, ddof=1) - 0.3**2 / 3)
    reach = stats.t.ppf(0.975, 3) * math.sqrt(found.spread**2 + plain.standard_error**2)
    assert (found.next_low, found.next_high) == pytest.approx((plain.mean - reach, plain.mean + reach))


def test_the_spread_solves_its_equation_or_is_nothing():
    rng = np.random.default_rng(1)
    nothing = 0
    for _ in range(200):
        values = made(rng, rng.integers(2, 9, size=rng.integers(2, 8)), rng.choice([0.0, 1.0, 3.0]))
        found = hierarchical(values)
        means = np.array([np.mean(own) for own in values])
        noise = np.array([np.var(own, ddof=1) / len(own) for own in values])
        weights = 1 / (found.spread**2 + noise)
        squares = (weights * (means - (weights * means).sum() / weights.sum()) ** 2).sum()
        if found.spread == 0.0:
            nothing += 1
            assert squares <= len(values) - 1
        else:
            assert squares == pytest.approx(len(values) - 1, rel=1e-6)
        assert found.mean == pytest.approx((weights * means).sum() / weights.sum())
        assert found.next_low <= found.low <= found.mean <= found.high <= found.next_high
    assert 20 < nothing < 180


@pytest.mark.parametrize("spread", [0.0, 0.5, 2.0])
def test_the_interval_holds_the_mean_as_often_as_it_says(spread):
    """Of 1500 draws of five data sets with eight seeds: 95 %; a new data set lies inside somewhat less often."""
    rng = np.random.default_rng(2)
    held = new = 0
    for _ in range(1500):
        found = hierarchical(made(rng, [8] * 5, spread))
        held += found.low <= 0.7 <= found.high
        new += found.next_low <= rng.normal(0.7, spread) <= found.next_high
    assert 0.925 < held / 1500 < 0.985
    assert new / 1500 > 0.87


def test_what_tells_nothing():
    one = np.array([1.0, 2.0])
    assert hierarchical([]) is hierarchical([one]) is hierarchical([one, one[:1]]) is NOTHING
    same = hierarchical([np.ones(3), np.ones(4)])
    assert (same.mean, same.low, same.high, same.spread) == (1.0, 1.0, 1.0, 0.0)
    sure = hierarchical([np.ones(3), np.full(3, 3.0)])  # without noise of the seeds
    assert (sure.mean, sure.spread) == pytest.approx((2.0, math.sqrt(2.0)))
