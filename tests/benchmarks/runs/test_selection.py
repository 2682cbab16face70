"""Rules of selection: hand-computed cases, and the same by brute force."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.runs.costs import cost
from benchmarks.runs.rules import METHODS, Rule, known_rule
from benchmarks.runs.selection import Choices, checkpoints, cross_validate, has_losses, select, select_all


def record(point, validation, held_out, status="finished", out="a", seed=0, algorithm="erm", hparams=None, **domains):
    """A record whose curves are given; `domains` are the curves of single domains."""
    lists = {"validation": validation, "held_out": held_out}
    lists = {name: value if isinstance(value, list) else [value] for name, value in lists.items()}
    curves = {"step": [10.0 * (i + 1) for i in range(len(lists["validation"]))], **lists}
    config = {"dataset": "set", "algorithm": algorithm, "held_out": out, "seed": seed, "point": point}
    config |= {"hparams": {"lr": point} if hparams is None else hparams, "rollouts": 100, "evaluate_every": 10}
    return {"status": status, "config": config, "curves": curves, "domain_curves": domains, "diagnostics": {}}


def test_best_checkpoint_is_the_earliest_of_the_best_in_validation():
    curves = {"step": [10, 20, 30, 40], "validation": [0.5, 0.8, 0.8, 0.7], "held_out": [0.9, 0.1, 0.6, 1.0]}
    assert checkpoints(curves)["training-domain"] == {"step": 20, "validation": 0.8, "held_out": 0.1, "oracle": False}


def test_each_method_chooses_as_it_says():
    records = [
        record(0, [0.5, 0.8, 0.6], [0.1, 0.2, 0.3]),
        record(1, [0.7, 0.1, 0.7], [0.4, 0.9, 0.5]),
        record(2, [0.7, 0.1, 0.75], [0.6, 0.6, 0.7]),
    ]

    def chosen(method):
        found = select(records, method)
        return found.point, found.step, found.validation, found.held_out

    assert chosen("training-domain") == (0, 20, 0.8, 0.2)
    assert chosen("last") == (2, 30, 0.75, 0.7)
    assert chosen("oracle") == (1, 20, 0.9, 0.9)
    with pytest.raises(ValueError, match="got 'leave-one-domain-out'"):
        select(records, "leave-one-domain-out")


@pytest.mark.parametrize("method", ["training-domain", "last"])
def test_selection_never_looks_at_the_held_out_domain(method):
    for scores in itertools.permutations((0.1, 0.5, 0.9)):
        records = [record(point, [0.6, 0.7, 0.7][point], score) for point, score in enumerate(scores)]
        for order in itertools.permutations(records):
            chosen = select(order, method)
            assert (chosen.point, chosen.validation, chosen.held_out) == (1, 0.7, scores[1])


def test_failed_runs_are_not_selected():
    assert select([record(0, 0.9, 0.9, status="failed"), record(1, 0.2, 0.3)]).point == 1
    assert select([record(0, 0.9, 0.9, status="failed")]) is None


def crossed(**changes):
    """Domains a, b, c; a is held out. Two points, two checkpoints."""
    records = {
        "0": record(0, [1.0, 1.0], [0.11, 0.12], a=[0.11, 0.12], b=[1.0, 1.0], c=[1.0, 1.0]),
        "1": record(1, [0.0, 0.0], [0.13, 0.14], a=[0.13, 0.14], b=[0.0, 0.0], c=[0.0, 0.0]),
        "0b": record(0, [1.0, 1.0], [0, 0], out="a+b", a=[0.9, 0.9], b=[0.2, 0.3], c=[1.0, 1.0]),
        "0c": record(0, [1.0, 1.0], [0, 0], out="a+c", a=[0.9, 0.9], b=[1.0, 1.0], c=[0.2, 0.5]),
        "1b": record(1, [0.0, 0.0], [0, 0], out="a+b", a=[0.1, 0.1], b=[0.6, 0.1], c=[0.0, 0.0]),
        "1c": record(1, [0.0, 0.0], [0, 0], out="a+c", a=[0.1, 0.1], b=[0.0, 0.0], c=[0.4, 0.1]),
    }
    return [*{**records, **changes}.values()]


def test_cross_validation_goes_by_the_domains_that_were_left_out_too():
    # Point 0: (0.2 + 0.2) / 2, (0.3 + 0.5) / 2 = 0.4. Point 1: (0.6 + 0.4) / 2 = 0.5, (0.1 + 0.1) / 2.
    for order in (crossed(), crossed()[::-1]):
        found = cross_validate(order, "a")
        assert (found.point, found.step, found.held_out) == (1, 10, 0.13)
        assert found.validation == pytest.approx(0.5)


def test_cross_validation_without_all_its_runs():
    found = cross_validate(crossed(**{"1c": record(1, 0, 0, out="a+c", status="failed")}), "a")
    assert (found.point, found.step) == (0, 20)
    assert cross_validate(crossed()[:2], "a") is None


def test_selected_rows_name_the_method_and_the_oracle():
    rows = select_all(crossed(), "oracle")
    assert [(row["method"], row["oracle"]) for row in rows] == [("oracle", True)] * 3
    (row,) = select_all(crossed(), "leave-one-domain-out")
    assert (row["dataset"], row["algorithm"], row["held_out"], row["seed"]) == ("set", "erm", "a", 0)
    assert (row["point"], row["step"], row["held_out_accuracy"], row["oracle"]) == (1, 10, 0.13, False)


def told(record, losses):
    return {**record, "diagnostics": {"validation loss": losses}}


def chosen(records, rule, held_out="a", algorithms=("erm",)):
    found = Choices(records, algorithms).choose(Rule.named(rule), held_out)
    return {seed: (one.run["config"]["algorithm"], one.point, one.step) for seed, one in found.items()}


def test_the_sum_of_both():
    """Validation of point 0 is 1.0, of point 1 0. Left out: 0.2, 0.4 against 0.5, 0.1. Sums 1.2, 1.4, 0.5, 0.1."""
    assert chosen(crossed(), "both") == {0: ("erm", 0, 20)}
    assert Choices(crossed(), ["erm"]).choose(Rule("both"), "a")[0].validation == pytest.approx((1.0 + 0.4) / 2)
    (row,) = select_all(crossed(), "both")
    assert (row["method"], row["chosen"], row["held_out_accuracy"], row["refit_accuracy"]) == (
        "both",
        "erm",
        0.12,
        None,
    )
    # With validation of point 1 at 0.9, 0.1 its sum at the first checkpoint is 0.9 + 0.5, and that is the first of 1.4.
    changed = record(1, [0.95, 0.0], [0.13, 0.14], a=[0.13, 0.14], b=[0.0, 0.0], c=[0.0, 0.0])
    assert chosen(crossed(**{"1": changed}), "both") == {0: ("erm", 1, 10)}


def test_the_lowest_loss_wins_and_the_figure_shown_is_the_accuracy():
    records = [told(record(0, [0.9, 0.8], [0.1, 0.2]), [0.7, 0.6]), told(record(1, [0.5, 0.4], [0.3, 0.4]), [0.5, 0.9])]
    assert chosen(records, "validation-loss") == {0: ("erm", 1, 10)}
    assert select(records, "validation-loss").validation == 0.5
    records[1]["diagnostics"]["validation loss"][0] = None  # not finite
    assert chosen(records, "validation-loss") == {0: ("erm", 0, 20)}
    assert has_losses(records)


def test_records_without_losses_are_named():
    records = [told(record(0, 0.9, 0.1), [0.5]), record(1, 0.8, 0.1)]
    assert not has_losses(records)
    with pytest.raises(ValueError, match=r"validation-loss needs .* erm on set, held out a, seed 0, point 1 does not"):
        select(records, "validation-loss")


def test_one_choice_for_all_seeds():
    """Seed 0 prefers point 0 (0.9 against 0.7), seed 1 point 1 (0.8 against 0.4), their mean point 1 (0.75)."""
    records = [
        record(0, [0.2, 0.9], [0.1, 0.2], seed=0),
        record(0, [0.4, 0.3], [0.1, 0.2], seed=1),
        record(1, [0.7, 0.6], [0.3, 0.4], seed=0),
        record(1, [0.8, 0.1], [0.5, 0.6], seed=1),
    ]
    assert chosen(records, "validation") == {0: ("erm", 0, 20), 1: ("erm", 1, 10)}
    assert chosen(records, "validation-shared") == {0: ("erm", 1, 10), 1: ("erm", 1, 10)}
    rows = select_all(records, "validation-shared")
    assert [(row["method"], row["seed"], row["held_out_accuracy"]) for row in rows] == [
        ("validation-shared", 0, 0.3),
        ("validation-shared", 1, 0.5),
    ]
    records[3]["status"] = "failed"  # a point counts if all seeds finished it
    assert chosen(records, "validation-shared") == {0: ("erm", 0, 20), 1: ("erm", 0, 20)}


def test_seeds_that_tried_other_points_cannot_share_a_choice():
    records = [record(0, 0.5, 0.5, seed=seed, hparams={"lr": 0.1 + seed}) for seed in (0, 1)]
    assert len(chosen(records, "validation")) == 2
    with pytest.raises(ValueError, match=r"point 0 of erm with {'lr': 0.1} for seed 0 and {'lr': 1.1} for seed 1"):
        chosen(records, "validation-shared")


def test_a_family_chooses_the_algorithm_too():
    records = [
        record(0, 0.5, 0.1),
        record(1, 0.6, 0.2),
        record(0, 0.6, 0.3, algorithm="sam"),
        record(1, 0.4, 0.4, algorithm="sam"),
    ]
    rows = {row["algorithm"]: row for row in select_all(records, families={"any": ("sam", "erm"), "one": ("erm",)})}
    assert {name: (row["chosen"], row["point"]) for name, row in rows.items()} == {
        "erm": ("erm", 1),
        "sam": ("sam", 0),
        "any": ("sam", 0),  # of equals the first of the family
        "one": ("erm", 1),
    }


def test_both_figures_come_together():
    search = [record(0, [0.5, 0.6], [0.1, 0.2]), record(1, [0.7, 0.3], [0.3, 0.4])]
    again = record(1, [math.nan], [0.9])
    again["config"]["refit"] = 10
    other = record(1, [math.nan], [0.8])
    other["config"]["refit"] = 20
    (row,) = select_all([*search, other, again])
    assert (row["point"], row["step"], row["held_out_accuracy"], row["refit_accuracy"]) == (1, 10, 0.3, 0.9)
    (row,) = select_all([*search, other])
    assert row["refit_accuracy"] is None
    assert select([*search, other, again]).point == 1  # a refit is nothing to choose
    again["status"] = "failed"
    assert select_all([*search, again])[0]["refit_accuracy"] is None


def test_old_names_and_unknown_ones():
    assert known_rule("training-domain") == "validation"
    assert known_rule("training-domain-shared") == "validation-shared"
    assert [known_rule(name) for name in METHODS] == list(METHODS)
    with pytest.raises(ValueError, match=r"'bth' is not known. Did you mean 'both'"):
        known_rule("bth")
    records = [record(0, 0.5, 0.1), record(1, 0.6, 0.2)]
    assert select(records, "training-domain") == select(records, "validation")


SCORE = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
N_CHECKPOINTS, N_POINTS, SEEDS, DOMAINS = 3, 3, (0, 1), ("a", "b", "c")


@st.composite
def sweeps(draw):
    """Scores [seed, point, held-out set, checkpoint] of what each rule goes by, with ties."""
    curve = st.lists(SCORE, min_size=N_CHECKPOINTS, max_size=N_CHECKPOINTS)
    table = {}
    for seed, point, out in itertools.product(SEEDS, range(N_POINTS), ("a", "a+b", "a+c")):
        domains = {name: draw(curve) for name in DOMAINS}
        table[seed, point, out] = (draw(curve), draw(curve), domains, draw(curve))
    return table


def as_records(table):
    return [
        told(record(point, list(validation), list(held_out), out=out, seed=seed, **domains), list(losses))
        for (seed, point, out), (validation, held_out, domains, losses) in table.items()
    ]


def figures(table, method, seed):
    """[points, checkpoints], by numpy: what the rule goes by."""

    def of(what):
        return np.array([what(*table[seed, point, "a"]) for point in range(N_POINTS)])

    left_out = np.array(
        [
            np.mean([table[seed, point, f"a+{name}"][2][name] for name in ("b", "c")], axis=0)
            for point in range(N_POINTS)
        ]
    )
    return {
        "validation": of(lambda validation, *_: validation),
        "validation-loss": -of(lambda *parts: parts[3]),
        "leave-one-domain-out": left_out,
        "both": of(lambda validation, *_: validation) + left_out,
        "oracle": of(lambda _, held_out, *__: held_out),
    }[method]


def argmax(values):
    """The first point among the best, and its first checkpoint."""
    best = max(range(N_POINTS), key=lambda point: (values[point].max(), -point))
    return best, 10.0 * (int(np.argmax(values[best])) + 1)


@given(
    sweeps(), st.sampled_from(["validation", "validation-loss", "leave-one-domain-out", "both", "oracle"]), st.randoms()
)
def test_every_rule_is_an_argmax(table, method, random):
    records = as_records(table)
    random.shuffle(records)
    found = chosen(records, method)
    for seed in SEEDS:
        assert found[seed][1:] == argmax(figures(table, method, seed))
    together = sum(figures(table, method, seed) for seed in SEEDS)
    assert {one[1:] for one in chosen(records, f"{method}-shared").values()} == {argmax(together)}
    alone = [one for one in records if one["config"]["seed"] == 0]
    assert chosen(alone, method) == chosen(alone, f"{method}-shared")


@given(sweeps(), st.sampled_from([name for name in METHODS if name != "oracle"]), st.booleans(), st.data())
def test_no_rule_but_the_oracle_looks_at_the_held_out_domain(table, method, shared, data):
    rule = method + "-shared" * shared
    before = chosen(as_records(table), rule)
    curve = st.lists(SCORE, min_size=N_CHECKPOINTS, max_size=N_CHECKPOINTS)
    other = {
        place: (validation, data.draw(curve), {**domains, "a": data.draw(curve)}, losses)
        for place, (validation, _, domains, losses) in table.items()
    }
    assert chosen(as_records(other), rule) == before


def test_what_a_rule_costs():
    """Four domains of which each is held out, two points of 3 roll-outs: of 3 domains by themselves, of 2 in a pair."""
    own = [("set", name, 3 * 3) for name in "abcd"] * 2
    pairs = [("set", f"{a}+{b}", 3 * 2) for a, b in itertools.combinations("abcd", 2)] * 2
    reported = [("set", name) for name in "abcd"]
    both = cost(Rule("both"), [*own, *pairs], reported)
    # 2 points x 4 sets x 9; each of the 6 pairs serves two splits and counts once: 2 x 6 x 6.
    assert (both.own, both.added, both.total, both.factor) == (72, 72, 144, 2.0)
    assert cost(Rule("validation"), [*own, *pairs], reported).total == 72
    one = cost(Rule("leave-one-domain-out"), [*own, *pairs], [("set", "a")])
    assert (one.own, one.added) == (18, 36)  # three pairs with a; the other sets are not reported
