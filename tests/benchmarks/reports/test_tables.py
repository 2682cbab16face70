"""Figures of the tables, words of the page and its facts: by scipy and by hand, from made-up records."""

import numpy as np
import pytest
from scipy import special, stats

from benchmarks.reports import tables_scores
from benchmarks.reports.build import build
from benchmarks.reports.comparisons import compare
from benchmarks.reports.facts import facts_of
from benchmarks.reports.load import Loaded
from benchmarks.reports.page import TOLD, Report
from benchmarks.reports.selection import Selection
from tests.benchmarks.reports.test_report import DOMAINS, record

RNG = np.random.default_rng(0)
SCORES = {
    name: np.array([0.97, 0.9, 0.5]) + np.array([0.01, 0.05, 0.2]) * RNG.uniform(-1, 1, (4, 3))
    for name in ("erm", "pgrad")
}
"""``[seeds, domains]``: the domains differ in level and in spread."""


def content():
    return [
        record(name, held_out, seed, scores[seed, place])
        for name, scores in SCORES.items()
        for seed in range(4)
        for place, held_out in enumerate(DOMAINS)
    ]


def test_intervals_of_shares_are_students_on_the_scale_of_logits():
    table = tables_scores.accuracies(Selection.of(content()), "pictures").numbers.set_index(["algorithm", "held_out"])
    for place, held_out in enumerate(DOMAINS):
        own = SCORES["erm"][:, place]
        mean, error = own.mean(), stats.sem(own)
        reach = stats.t.ppf(0.975, 3) * error / (mean * (1 - mean))
        ends = 100 * special.expit(special.logit(mean) + np.array([-reach, reach]))
        found = table.loc[("erm", held_out)]
        assert (found["low"], found["high"]) == pytest.approx(tuple(ends))
        assert 0 < found["low"] < found["high"] < 100


def test_the_interquartile_mean_is_that_of_scores_normalised_on_each_domain():
    table = tables_scores.aggregates(Selection.of(content()), 0).numbers.set_index("algorithm")
    every = np.concatenate([100 * scores for scores in SCORES.values()])
    for name, scores in SCORES.items():
        normal = (100 * scores - every.mean(axis=0)) / every.std(axis=0)
        assert table.loc[name, "iqm"] == pytest.approx(stats.trim_mean(normal.ravel(), 0.25))
        assert table.loc[name, "median"] == pytest.approx(np.median(100 * scores))


def test_of_many_verdicts_the_page_tells_those_that_show_something():
    better = ("one", "two")
    names = ("erm", *better, *(f"same {number}" for number in range(TOLD)))
    runs = [
        record(name, held_out, seed, 0.5 + 0.01 * (-1) ** seed * number + 0.2 * (name in better))
        for number, name in enumerate(names)
        for seed in range(14)
        for held_out in DOMAINS
    ]
    found = compare(Selection.of(runs), 0)
    assert len(found) == TOLD + 2

    def told(verdicts):
        return [one.algorithm for one in Report("t", [], None, [], [], verdicts, []).told]

    assert set(told(found)) == set(better)
    assert len(told(found[:TOLD])) == TOLD


def facts(runs):
    selection = Selection.of(runs)
    return " ".join(facts_of(Loaded(runs, 0, ("c0de",)), selection, 0, selection.algorithms))


def test_other_budgets_are_said():
    assert "CAUTION" not in facts(content())
    more = [record("pgrad", held_out, seed, 0.5, point=1) for held_out in DOMAINS for seed in range(4)]
    assert (
        "CAUTION: not everything had the same budget on pictures. erm: 1 points, 4 seeds; pgrad: 2 points, 4 seeds."
    ) in facts([*content(), *more])


def test_intervals_over_seeds_that_share_a_choice_are_called_too_narrow():
    runs = content()
    for rule, said in (("validation", []), ("validation-shared", ["ONE CHOICE FOR ALL SEEDS (validation-shared)"])):
        report = build(Loaded(runs, 0, ("c0de",)), Selection.of(runs, rule))
        assert [text.split(":")[0] for text in report.cautions] == said
        assert all(text in report.html() for text in report.cautions)


def test_rules_that_share_a_choice_stand_in_the_table_if_a_sweep_asks_for_them():
    runs = content()
    asked = {"datasets": {"pictures": {}}, "selection": ["validation-shared", "both-shared", "validation"]}
    plain, shared = (tables_scores.methods(Selection.of(runs, sweeps=sweeps)) for sweeps in ((), [asked]))
    assert set(shared.text) - set(plain.text) == {"validation-shared"}  # nothing was left out in turn, as both needs
    assert "validation-shared: validation parts of the training domains; one choice for all seeds" in shared.note


def test_repetition_is_said():
    runs = content()
    assert "with repetition" not in facts(runs)
    runs[0]["diagnostics"] = {"repetition": [1.0, 3.5]}
    runs[1]["diagnostics"] = {"repetition": [2.0]}
    assert "on pictures were drawn with repetition in 2 runs: a roll-out went through the examples of the" in facts(
        runs
    )
    assert "up to 3.5 times" in facts(runs)
