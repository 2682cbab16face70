"""What sweeps were made to confirm: few comparisons, by both figures, corrected for one another alone."""

import copy

import numpy as np
import pytest
from scipy.stats import wilcoxon

from benchmarks.reports.build import build
from benchmarks.reports.confirmed import confirmed
from benchmarks.reports.load import Loaded
from benchmarks.reports.selection import Selection
from tests.benchmarks.reports.test_report import put, records

SWEEP = {
    "datasets": {"pictures": {}},
    "families": {"rolled": ["reptile", "pgrad"]},
    "confirmatory": [["pgrad", "reptile"], ["rolled", "erm"], ["pgrad", "absent"]],
}


def again(record, change):
    """The run that trains the choice of a record (its second checkpoint) again."""
    made = copy.deepcopy(record)
    made["key"] += "-refit"
    made["config"]["refit"] = 2
    made["curves"] = {name: values[-1:] for name, values in made["curves"].items()}
    made["curves"]["held_out"] = [made["curves"]["held_out"][0] + change]
    return made


def test_few_comparisons_are_corrected_for_one_another_alone():
    selection = Selection.of(records(gain=0.05), sweeps=[SWEEP])
    (one,) = confirmed(selection, seed=0)
    assert not one.refitted
    assert [(each.algorithm, each.baseline) for each in one.found] == [("pgrad", "reptile"), ("rolled", "erm")]
    for each in one.found:
        ours, theirs = selection.common("pictures", each.algorithm, each.baseline)
        p = wilcoxon((ours - theirs).mean(axis=1), method="exact").pvalue
        assert each.p_value == pytest.approx(p)
    low, high = sorted(each.p_value for each in one.found)
    # By hand, for the three that were named: the one without runs counts.
    assert sorted(each.p_holm for each in one.found) == pytest.approx([3 * low, min(1.0, max(3 * low, 2 * high))])
    assert one.absent == (("pgrad", "absent"),)
    assert one.sentences[-1] == "Confirmatory: pgrad against absent has no figures; the correction counts it."


def test_both_figures_are_confirmed():
    content = records(gain=0.05)
    chosen = [one for one in content if one["config"]["point"] == 0]
    content += [again(one, -0.02 if one["config"]["algorithm"] == "pgrad" else 0.01) for one in chosen]
    without, refitted = confirmed(Selection.of(content, sweeps=[SWEEP]), seed=0)
    assert [without.refitted, refitted.refitted] == [False, True]
    assert without.found[0].difference.mean == pytest.approx(5.0)
    assert refitted.found[0].difference.mean == pytest.approx(2.0)

    selection = Selection.of(content, sweeps=[SWEEP], refitted=True)
    np.testing.assert_allclose(
        selection.scores("pictures", "erm"), Selection.of(content).scores("pictures", "erm") + 1.0
    )
    assert confirmed(selection, seed=0)[0].found == refitted.found
    report = build(Loaded(content, 0, ("c0de",)), selection)
    assert report.answer[0].ranked[0].algorithm in {"pgrad", "rolled"}
    assert [one.sentences[0].split(":")[0] for one in report.confirmed] == ["Confirmatory, with refit", "Confirmatory"]


def test_without_a_sweep_that_names_any_there_are_none():
    assert confirmed(Selection.of(records()), seed=0) == []


def test_scores_with_refit_are_refused_where_nothing_was_trained_again(said, tmp_path):
    code, _, errors = said("report", put(tmp_path / "runs", records()), "--refit")
    assert code == 2
    assert "no run trained a choice again" in errors
