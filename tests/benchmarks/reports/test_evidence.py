"""What a comparison can show at all, against the tests themselves."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.base.metrics import holm
from benchmarks.reports import evidence


@pytest.mark.parametrize("pairs", [1, 2, 5, 8, 12])
def test_the_least_p_value_is_that_of_the_test_where_all_differences_have_one_sign(pairs):
    found = stats.wilcoxon(np.arange(1.0, pairs + 1), method="exact").pvalue
    assert evidence.least_p(pairs) == pytest.approx(found)


@pytest.mark.parametrize("comparisons", [1, 2, 4, 25, 56, 111, 222, 10_000])
def test_so_many_pairs_are_needed_and_no_fewer(comparisons):
    """By Holm's correction of the smallest p-values that there are: all differences of one comparison have one sign."""

    def smallest(pairs):
        least = stats.wilcoxon(np.arange(1.0, pairs + 1), method="exact").pvalue
        return holm([least, *[1.0] * (comparisons - 1)]).min()

    needed = evidence.pairs_needed(comparisons)
    assert smallest(needed) < evidence.LEVEL <= smallest(needed - 1)
    assert evidence.possible(needed, comparisons)
    assert not evidence.possible(needed - 1, comparisons)
    assert evidence.seeds_needed(2, comparisons) == -(-needed // 2)


@pytest.mark.parametrize("pairs", [5, 6, 8, 10])
def test_so_many_comparisons_are_allowed_and_no_more(pairs):
    most = evidence.comparisons_allowed(pairs)
    assert most == 0 or evidence.possible(pairs, most)
    assert not evidence.possible(pairs, most + 1)


def test_what_chance_gives_by_simulation():
    """Paired differences without any effect: how many of 200 t-intervals of five seeds lie above zero."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((4000, 200, 5))
    low, _ = stats.t.interval(0.95, 4, loc=values.mean(axis=2), scale=stats.sem(values, axis=2))
    above = (low > 0).sum(axis=1)
    assert evidence.by_chance(200) == pytest.approx(above.mean(), abs=4 * above.std() / np.sqrt(len(above)))
