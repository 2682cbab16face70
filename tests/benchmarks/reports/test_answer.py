"""The line at the top and its plot; comparisons over several data sets."""

import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.base.metrics import holm
from benchmarks.reports.answer import answers
from benchmarks.reports.comparisons import OVERALL, compare, compare_overall
from benchmarks.reports.forest import forest
from benchmarks.reports.selection import Selection
from benchmarks.reports.tables_scores import comparisons
from tests.benchmarks.reports.test_report import DOMAINS, record, records

SETS = ("pictures", "drawings")


def several(seeds=6, effects=None, names=("erm", "reptile", "pgrad", "sam")):
    """Two data sets; what an algorithm gains on a seed is its effect and noise."""
    rng = np.random.default_rng(1)
    found = []
    for where, dataset in enumerate(SETS):
        for name in names:
            for seed in range(seeds):
                gain = (effects or {}).get(name, 0.0) + 0.01 * (1 + where) * rng.standard_normal()
                for number, held_out in enumerate(DOMAINS):
                    one = record(name, held_out, seed, 0.4 + 0.1 * number + gain)
                    one["config"]["dataset"] = dataset
                    one["key"] += dataset
                    found.append(one)
    return found


def made(content, **options):
    selection = Selection.of(content, **options)
    found = compare(selection, 0)
    overall = compare_overall(selection, found, 0)
    return selection, found, overall, answers(selection, found, overall)


def test_the_line_counts_what_the_verdicts_say():
    _selection, _found, overall, (first, second) = made(records(gain=0.052))
    assert overall == []
    gains = 5.2 + np.array([0.3 * (-1) ** seed * (1 + seed) for seed in range(8)])
    low, high = stats.t.interval(0.95, 7, loc=gains.mean(), scale=stats.sem(gains))
    assert first.line == (
        "Of 2 algorithms 1 is better than erm on pictures, 0 worse, 1 open; "
        f"best: pgrad {gains.mean():+.1f} [{low:+.1f}, {high:+.1f}] points."
    )
    assert second.line == "pgrad against reptile on pictures: better; +5.2 [+5.2, +5.2] points."
    assert [one.algorithm for one in first.ranked] == ["pgrad", "reptile"]
    assert first.seeds == 0


def held_out_means(selection, dataset, algorithm):
    """From the records themselves: ``[seeds]``, in %."""
    runs = selection.of_algorithm(dataset, algorithm)
    by_seed = [[run["curves"]["held_out"][-1] for run in runs if run["config"]["seed"] == seed] for seed in range(6)]
    return 100 * np.mean(by_seed, axis=1)


def test_over_all_data_sets_by_scipy():
    selection, _found, overall, every = made(several(effects={"pgrad": 0.04, "sam": -0.05}))
    assert every[0].where == OVERALL
    assert [one.where for one in every] == [OVERALL, OVERALL, *[name for name in SETS for _ in range(2)]]
    for one in overall:
        by_set = [
            held_out_means(selection, dataset, one.algorithm) - held_out_means(selection, dataset, one.baseline)
            for dataset in SETS
        ]
        first, second = by_set
        # The sum of two means is a difference of means of two samples: Welch's interval.
        interval = stats.ttest_ind(first, -second, equal_var=False).confidence_interval()
        assert one.difference.mean == pytest.approx((first.mean() + second.mean()) / 2)
        assert (one.difference.low, one.difference.high) == pytest.approx((interval.low / 2, interval.high / 2))
        ranked = np.concatenate([own / np.sqrt(np.mean(own**2)) for own in by_set])
        assert one.p_value == pytest.approx(stats.wilcoxon(ranked, method="exact").pvalue)
        assert one.domains == pytest.approx(dict(zip(SETS, (first.mean(), second.mean()), strict=True)))
        assert one.pairs == 12
    np.testing.assert_allclose([one.p_holm for one in overall], holm([one.p_value for one in overall]))
    verdicts = {(one.algorithm, one.baseline): one.verdict for one in overall}
    assert verdicts["pgrad", "erm"] == "better"
    assert verdicts["sam", "erm"] == "worse"


def test_each_pair_has_one_verdict():
    _, found, _, _ = made(several())
    pairs = [(one.dataset, frozenset((one.algorithm, one.baseline))) for one in found]
    assert len(pairs) == len(set(pairs))
    np.testing.assert_allclose([one.p_holm for one in found], holm([one.p_value for one in found]))


def test_data_sets_with_other_units_are_normalised():
    content = several(effects={"pgrad": 0.1})
    for one in content:
        if one["config"]["dataset"] == "drawings":
            one["config"]["metric"] = "minus error"
            one["selections"] = None
            one["curves"]["held_out"] = [1e3 * value for value in one["curves"]["held_out"]]
    _, found, overall, _ = made(content)
    assert overall[0].unit == " standard deviations between algorithms"
    assert set(comparisons(overall).text["unit"]) == {"standard deviations between algorithms"}
    assert set(comparisons(found).text["unit"]) == {"points", "score"}
    gains = {one.algorithm: one for one in overall if one.baseline == "erm"}
    assert gains["pgrad"].verdict == "better"
    first, second = gains["pgrad"].domains.values()
    assert 0.3 < first / second < 3  # in points one is a hundred times the other


def test_the_answer_says_what_cannot_be_known_and_what_chance_gives():
    _, _, _, (first, *_) = made(several(seeds=2))
    assert first.notes[0].startswith("With 2 seeds and 5 comparisons no verdict is possible")
    assert first.seeds == 4  # 8 pairs: 5 * 2^-7 < 0.05
    _, _, _, (first, *_) = made(several(seeds=3, effects={"pgrad": 0.5}))
    (leans,) = [note for note in first.notes if note.startswith("Of the open ones")]
    assert "1 leans better and 0 lean worse" in leans
    assert "By chance alone 0.1 of 3 would" in leans


def test_the_plot_is_ranked_and_inside_its_frame():
    content = several(seeds=6, effects={"pgrad": 0.1, "sam": -0.3})
    _, _, _, (first, *_) = made(content)
    plot = forest(first, "majority class")
    assert [row.name for row in plot.rows if row.kind != "baseline"] == [one.algorithm for one in first.ranked]
    means = {one.algorithm: one.difference.mean for one in first.ranked}
    places = {row.name: row.bar.mean for row in plot.rows}
    above = [name for name in means if means[name] > 0]
    assert [row.name for row in plot.rows].index("erm") == len(above)
    # Places and ticks are on one straight line.
    labels = {float(label.replace("−", "-")): place for place, label in plot.ticks}
    slope, start = np.polyfit([*means.values(), *labels], [*(places[name] for name in means), *labels.values()], 1)
    assert start == pytest.approx(plot.zero, abs=0.02)
    for name, mean in means.items():
        assert places[name] == pytest.approx(start + slope * mean, abs=0.02)
    for row in plot.rows:
        assert 0 <= row.bar.low <= row.bar.mean <= row.bar.high <= 100
    assert plot.wide
    assert math.isnan(first.constant)


def test_what_lies_far_away_does_not_press_the_others_together():
    names = ("erm", *(f"a{number}" for number in range(20)))
    _, _, _, (first, *_) = made(several(names=names, effects={"a3": -0.39}))
    plot = forest(first)
    rows = {row.name: row for row in plot.rows}
    assert rows["a3"].bar.beyond == "left"
    assert rows["a3"].bar.mean == 0
    others = [row.bar.high - row.bar.low for name, row in rows.items() if name not in ("a3", "erm")]
    assert np.median(others) > 15
