"""Which record of a run counts, and what a method of selection chooses: against the protocol, record by record."""

import itertools
import math

import numpy as np
import pytest

from benchmarks.reports.load import load
from benchmarks.reports.selection import Selection
from benchmarks.runs import rules
from benchmarks.runs.selection import select_all
from tests.benchmarks.reports.test_report import DOMAINS, put, record


def drawn(seed):
    """Runs of three points whose scores are often the same, or not defined; some have failed."""
    rng = np.random.default_rng(seed)
    found = []
    for algorithm, held_out, number, point in itertools.product(("erm", "pgrad"), DOMAINS, range(3), (2, 0, 1)):
        one = record(algorithm, held_out, number, 0.5, point)
        for name in ("validation", "held_out"):
            one["curves"][name] = [math.nan if share < 0.1 else round(share, 1) for share in rng.random(2)]
        found.append(one if rng.random() < 0.9 else {**one, "status": "failed"})
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("method", [rules.VALIDATION, rules.LAST, rules.ORACLE])
def test_a_report_chooses_as_the_protocol_does(method, seed):
    content = drawn(seed)
    place = ["dataset", "algorithm", "held_out", "seed"]
    ours = Selection.of(content, method).selected.sort_values(place)
    theirs = sorted(select_all(content, method), key=lambda row: [row[name] for name in place])
    assert len(ours) == len(theirs) > 10
    for name in (*place, "point", "step"):
        assert ours[name].tolist() == [row[name] for row in theirs], name
    for name in ("validation_accuracy", "held_out_accuracy"):
        np.testing.assert_array_equal(ours[name], [row[name] for row in theirs])


@pytest.mark.parametrize("method", ["validation", "oracle", "validation-shared"])
def test_families_are_chosen_for_as_the_protocol_does(method):
    content = drawn(7) if method == "validation" else [{**one, "status": "finished"} for one in drawn(7)]
    families = {"both": ("pgrad", "erm"), "alone": ("erm",)}
    sweeps = [{"datasets": {"pictures": {}}, "families": {**families, "absent": ("sam",)}}]
    selection = Selection.of(content, method, sweeps=sweeps)
    assert selection.algorithms == ("erm", "pgrad", "both", "alone")
    place = ["dataset", "algorithm", "held_out", "seed"]
    ours = selection.selected.sort_values(place)
    theirs = sorted(select_all(content, method, families), key=lambda row: [row[name] for name in place])
    for name in (*place, "point", "step"):
        assert ours[name].tolist() == [row[name] for row in theirs], name
    np.testing.assert_array_equal(ours["held_out_accuracy"], [row["held_out_accuracy"] for row in theirs])
    np.testing.assert_array_equal(selection.scores("pictures", "alone"), selection.scores("pictures", "erm"))


def test_two_sweeps_that_mean_different_families_are_refused():
    sweeps = [{"datasets": {"pictures": {}}, "families": {"both": [name]}} for name in ("erm", "pgrad")]
    with pytest.raises(ValueError, match="'both' is erm in one sweep and pgrad in another"):
        Selection.of(drawn(0), sweeps=sweeps)


@pytest.mark.parametrize("asked", ["sketch+art", ["sketch", "art"]])
def test_a_sweep_names_a_held_out_set_joined_or_as_a_list(asked):
    content = [record("erm", held_out, 0, 0.5) for held_out in ("art", "art+sketch", "art+photo")]
    sweep = {"datasets": {"pictures": {"held_out": [asked]}}}
    assert Selection.of(content, sweeps=[sweep]).held_out("pictures") == ("art+sketch",)


def test_a_result_counts_before_a_later_failure_and_of_results_the_later(tmp_path):
    first, second = record("erm", "art", 0, 0.5), record("erm", "art", 0, 0.6)
    second["timings"]["ended"] += 10
    broken = {**record("erm", "art", 0, 0.7), "status": "failed", "failure": "error", "error": "e"}
    broken["timings"]["ended"] += 20
    for order in itertools.permutations((first, second, broken)):
        sources = [put(tmp_path / f"{number}", [one]) for number, one in enumerate(order)]
        (counts,) = load(sources).records
        assert counts["status"] == "finished"
        assert counts["curves"]["held_out"][-1] == 0.6
