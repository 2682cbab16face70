"""The standing of candidates is a function of records, and a choice for a domain is made without it."""

import copy
import math

import pytest
import torch

from benchmarks.datasets import DATASETS
from benchmarks.runs.rules import Rule
from benchmarks.runs.selection import Choices
from benchmarks.studies.choose.candidates import space_of
from benchmarks.studies.choose.halving import best, figures, standing
from benchmarks.studies.choose.recipe import RECIPE, Recipe, Rung, Size
from benchmarks.sweeps.settings import SweepSettings

SMALL = Recipe(
    algorithms=("erm", "erm-ema", "reptile"),
    sizes=(Size(3, points=3, rollouts=16, seeds=2, rungs=2),),
    rungs=(Rung(0.5, 3), Rung(1.0, 1)),
    checkpoints=4,
)


def choose(space, records, rung, entering):
    """The best candidate of a rung for each outer set."""
    return {outer: best(space, records, own, outer, rung)[0] for outer, own in entering.items()}


@pytest.fixture
def space():
    return space_of("rotated-digits", ("linear",), SweepSettings(), SMALL.sizes[0], SMALL)


def drawn(space, seed=0):
    """A record with random scores for every run that any rung may ask for."""
    generator = torch.Generator().manual_seed(seed)
    records = {}
    for rung in range(len(space.recipe.rungs)):
        for outer in space.outers():
            for candidate in space.candidates():
                extra = [space.run(candidate, outer, seed, rung) for seed in space.seeds(rung)] if outer else []
                for run in (*space.runs(candidate, outer, rung), *extra):
                    scores = {name: torch.rand(4, generator=generator).tolist() for name in space.domains}
                    held_out = [sum(scores[name][i] for name in run.held_out) / len(run.held_out) for i in range(4)]
                    records.setdefault(
                        run.key(),
                        {
                            "key": run.key(),
                            "status": "finished",
                            "config": run.config(),
                            "curves": {
                                "step": [1, 2, 3, 4],
                                "validation": scores[space.domains[0]],
                                "held_out": held_out,
                            },
                            "domain_curves": scores,
                        },
                    )
    return records


def test_first_rung_has_all_and_the_default_stays_to_the_end(space):
    records = drawn(space)
    for candidates in standing(space, records, 0).values():
        assert candidates == space.candidates()
        assert candidates[0] == space.default
        assert len(candidates) == 9
    for candidates in standing(space, records, 1).values():
        assert space.default in candidates
        assert len(candidates) in (3, 4)  # a third of nine, and the default if it is none of them


def test_choice_for_a_domain_is_that_of_the_rule_of_the_same_name():
    """`benchmarks.runs.selection` makes the same choice of the same records, where all domains are left out in turn."""
    space = space_of("emoji-styles4-32", ("linear",), SweepSettings(), SMALL.sizes[0], SMALL)
    records = drawn(space)
    mine = choose(space, records, 1, {outer: space.candidates() for outer in space.outers()})
    table = Choices([one for one in records.values() if one["config"]["rollouts"] == 16], space.recipe.algorithms)
    for name in space.domains:
        theirs, own = table.choose(Rule.named("leave-one-domain-out-shared"), name), mine[frozenset([name])]
        assert {one.run["config"]["algorithm"] for one in theirs.values()} == {own.candidate.algorithm}
        assert {one.point % 100 for one in theirs.values()} == {own.candidate.point}
        assert {one.number for one in theirs.values()} == {own.number}


def test_what_a_domain_is_like_changes_no_choice_that_is_made_without_it(space):
    records = drawn(space)
    for name in space.domains:
        other = copy.deepcopy(records)
        for record in other.values():
            if name in record["config"]["held_out"].split("+"):
                record["domain_curves"][name] = [1.0 - value for value in record["domain_curves"][name]]
        outer = frozenset([name])
        assert standing(space, other, 1)[outer] == standing(space, records, 1)[outer]
        entering = standing(space, records, 1)
        assert choose(space, other, 1, entering)[outer] == choose(space, records, 1, entering)[outer]
        assert figures(space, other, space.default, frozenset(), 1) != figures(
            space, records, space.default, frozenset(), 1
        )


def test_runs_for_a_choice_never_train_on_its_domain(space):
    for outer in space.outers():
        for run in space.runs(space.default, outer, 0):
            assert outer <= set(run.held_out)
            assert len(run.held_out) == len(outer) + 1


def test_pairs_of_many_domains_are_shared():
    space = space_of("rotated-digits", ("linear",), SweepSettings(), RECIPE.sizes[0], RECIPE)
    assert len(space.domains) == 6
    for name in space.domains:
        inner = space.inner(frozenset([name]))
        assert len(inner) == 4
        assert all(name in space.inner(frozenset([other])) for other in inner)


def test_two_domains_are_chosen_for_by_validation_inside_the_other(tmp_path):
    from tests.benchmarks.studies.choose.toys import patients

    name = patients(tmp_path / "two.csv", sites=("north", "south"))
    space = space_of(name, (), SweepSettings(), SMALL.sizes[0], SMALL)
    assert DATASETS[name].domains == ("north", "south")
    runs = space.runs(space.default, frozenset(["north"]), 0)
    assert [run.held_out for run in runs] == [("north",)]
    record = {"curves": {"validation": [0.1, 0.9]}, "domain_curves": {"north": [1.0, 0.0]}}
    assert figures(space, {runs[0].key(): record}, space.default, frozenset(["north"]), 0) == [0.1, 0.9]


def test_candidate_without_all_its_runs_and_an_undefined_domain(space):
    records = drawn(space)
    outer = frozenset(["0°"])
    lost = space.runs(space.default, outer, 0)[0]
    del records[lost.key()]
    assert figures(space, records, space.default, outer, 0) is None
    assert space.default not in [one.candidate for one in best(space, records, space.candidates(), outer, 0)]
    records = drawn(space)
    runs = space.runs(space.default, outer, 0)
    records[runs[0].key()]["domain_curves"][min(set(runs[0].held_out) - outer)] = [None] * 4
    found = figures(space, records, space.default, outer, 0)
    others = [records[run.key()]["domain_curves"][min(set(run.held_out) - outer)] for run in runs[1:]]
    assert found == [pytest.approx(sum(own[i] for own in others) / len(others)) for i in range(4)]
    assert not any(map(math.isnan, found))


def test_models_are_candidates_of_their_own_and_runs_of_a_rung_cost_the_same():
    space = space_of("rotated-digits", ("linear", "mlp"), SweepSettings(), SMALL.sizes[0], SMALL)
    candidates = space.candidates()
    assert len(set(candidates)) == 2 * 3 * 3
    runs = [space.run(candidate, frozenset(["0°"]), 0, rung) for candidate in candidates for rung in (0, 1)]
    assert len({run.key() for run in runs}) == len({(run.algorithm, run.point) for run in runs}) == 36
    for rung, length in ((0, 8), (1, 16)):
        assert {run.budget() for run in runs if run.rollouts == length} == {length * 3 * 5}, rung
    assert {run.model for run in runs} == {"linear", "mlp"}


def test_sizes_of_the_recipe_grow_and_the_last_has_all_of_it():
    first = space_of("rotated-digits", (), SweepSettings(), RECIPE.sizes[0], RECIPE)
    assert first.sizes(tuned=True) == [size for size in RECIPE.sizes if not size.tuned] == list(RECIPE.sizes[:8])
    spaces = [space_of("rotated-digits", (), SweepSettings(), size, RECIPE) for size in first.sizes(tuned=False)]
    costs = [sum(run.budget() for one in space.candidates() for run in space.runs(one, frozenset(), space.rungs[-1]))
             for space in spaces]  # fmt: skip
    assert costs == sorted(costs)
    assert spaces[-1].algorithms == RECIPE.algorithms
    assert set(RECIPE.algorithms) >= {"erm", RECIPE.fixed, "reptile", "pgrad"}
    assert [list(space.rungs) for space in spaces][::7] == [[2], [0, 1, 2]]
    for space in spaces:
        need_of = [len(space.seeds(rung)) for rung in space.rungs]
        assert need_of[:-1] == [1] * (len(need_of) - 1)
