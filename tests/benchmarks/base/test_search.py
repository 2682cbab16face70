import math

import pytest

from benchmarks.algorithms import ALGORITHMS, QUICK
from benchmarks.base.search import BLOCK, Choice, Grid, LogUniform, draw, spread
from benchmarks.base.seeds import seed_from

SPACE = {"lr": LogUniform(1e-2, 1e-3, 1e-1), "depth": Choice(2, (1, 2, 3))}


def test_point_0_is_the_defaults():
    assert draw(SPACE, point=0, seed=7) == {"lr": 1e-2, "depth": 2}


def test_adding_a_hyperparameter_moves_no_other():
    more = {"a": Choice(0, (0, 1)), **SPACE, "z": LogUniform(1, 1, 10)}
    for point in range(1, 20):
        old, new = draw(SPACE, point, seed=3), draw(more, point, seed=3)
        assert {name: new[name] for name in SPACE} == old


def test_draws_depend_on_point_and_seed_and_nothing_else():
    assert draw(SPACE, 1, seed=0) == draw(SPACE, 1, seed=0)
    assert len({draw(SPACE, point, seed)["lr"] for point in (1, 2) for seed in (0, 1)}) == 4


def test_draws_cover_the_range():
    draws = [draw(SPACE, point, seed=0) for point in range(1, 400)]
    assert {values["depth"] for values in draws} == {1, 2, 3}
    exponents = [math.log10(values["lr"]) for values in draws]
    assert -3 <= min(exponents) < -2.9
    assert -1.1 < max(exponents) <= -1
    assert sum(exponents) / len(exponents) == pytest.approx(-2, abs=0.15)


def test_a_grid_is_its_values_in_turn_and_moves_no_other():
    values = (1e-3, 1e-2, 1e-1)
    for seed in (0, 5):
        drawn = [draw({**SPACE, "lr": Grid(values)}, point, seed) for point in range(4)]
        assert [one["lr"] for one in drawn] == [*values, values[0]]
        assert [one["depth"] for one in drawn] == [draw(SPACE, point, seed)["depth"] for point in range(4)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("block", [0, 1, 2])
def test_a_block_covers_every_range_evenly(seed, block):
    drawn = [spread(SPACE, point, seed) for point in range(block * BLOCK, (block + 1) * BLOCK)]
    shares = sorted((math.log10(one["lr"]) + 3) / 2 for one in drawn)
    assert [int(BLOCK * share + 1e-9) for share in shares] == list(range(BLOCK))
    assert sorted(one["depth"] for one in drawn) == [1] * 4 + [2] * 4 + [3] * 4


def test_spread_points_stay_where_they_are():
    """Point 0 is the defaults; more points, and more hyper-parameters, move none."""
    more = {"a": LogUniform(1, 1, 10), **SPACE}
    assert spread(SPACE, 0, seed=3) == {"lr": 1e-2, "depth": 2}
    for point in range(1, 30):
        found = spread(more, point, seed=3)
        assert {name: found[name] for name in SPACE} == spread(SPACE, point, seed=3)
    # Orders of their own: the ranks of two hyper-parameters with the same range are not the same.
    pairs = [spread({"x": SPACE["lr"], "y": SPACE["lr"]}, point, seed=0) for point in range(1, 12)]
    assert sorted(pairs, key=lambda one: one["x"]) != sorted(pairs, key=lambda one: one["y"])


def test_spread_with_a_default_outside_and_with_a_grid():
    space = {"lr": LogUniform(5.0, 1e-3, 1e-1), "grid": Grid((7.0, 8.0))}
    drawn = [spread(space, point, seed=0) for point in range(4)]
    assert [one["grid"] for one in drawn] == [7.0, 8.0, 7.0, 8.0]
    assert drawn[0]["lr"] == 5.0
    assert all(1e-3 <= one["lr"] <= 1e-1 for one in drawn[1:])


@pytest.mark.parametrize("name", QUICK)
def test_shared_hyperparameters_have_the_same_values_for_all_algorithms(name):
    drawn, reference = draw(ALGORITHMS[name].space, 1, seed=5), draw(ALGORITHMS["pgrad"].space, 1, seed=5)
    assert drawn == {key: reference[key] for key in drawn}


def test_seeds_stay_what_they_are():
    assert seed_from("order", "rotated-digits", 0) == seed_from("order", "rotated-digits", 0)
    assert len({seed_from("a", 12), seed_from("a1", 2), seed_from("a", 1, 2), seed_from("a", 13)}) == 4
    assert seed_from("pinned", 1) == 1150327140  # a change here makes stored records incomparable
