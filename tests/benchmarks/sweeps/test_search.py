"""Searches in rounds: what they cost, what Optuna decides, that budgets are equal, and that they can be killed."""

import itertools
import math
import os
import signal
import time
from collections import Counter

import pytest

from benchmarks.base.search import Choice, Grid, LogUniform
from benchmarks.commands.chosen import Chosen
from benchmarks.commands.options import sweep_from
from benchmarks.commands.report import report
from benchmarks.reports.load import load
from benchmarks.reports.selection import Selection
from benchmarks.reports.tables_runs import costs
from benchmarks.runs.config import RunConfig
from benchmarks.runs.runner import run
from benchmarks.runs.selection import is_cut, select_all
from benchmarks.sweeps import sampling, searching
from benchmarks.sweeps.coordinator import perform
from benchmarks.sweeps.files import ConfigError
from benchmarks.sweeps.given import as_search
from benchmarks.sweeps.plan import plan
from benchmarks.sweeps.search import Search, lengths_of_runs, rounds
from benchmarks.sweeps.stages import next_stage
from benchmarks.sweeps.store import Store
from tests.benchmarks.toy_sweeps import command, comparable, end, toy_sweep

REPORT = {"baseline": (), "compare": (), "held_out": (), "overview": False, "watch": None, "plugin": (), "seed": 0}
LONG = {"rollouts": 9, "evaluate_every": 1, "batch_size": 4, "splits": 1, "model": "line"}


def run_here(sweep, folder):
    with Store(folder / "store.sqlite") as store:
        return perform(sweep, store, folder)


def pruned(*algorithms, prune="hyperband", points=6, **more):
    search = {"ranges": "wide", "kind": "tpe", "prune": prune}
    return toy_sweep(*algorithms, **{"search": search, "points": points, "settings": LONG, **more})


def test_the_brackets_of_hyperband_are_the_published_ones():
    """Numbers of points and lengths in the example of Li et al., by the formula of their algorithm 1."""
    found = rounds(Search(prune="hyperband"), points=1000, rollouts=81, every=1)[:5]
    assert [(one.numbers[0], one.lengths[0]) for one in found] == [(81, 1), (34, 3), (15, 9), (8, 27), (5, 81)]
    assert found[0].numbers == (81, 27, 9, 3, 1)
    assert found[0].lengths == (1, 3, 9, 27, 81)


@pytest.mark.parametrize("prune", ["halving", "hyperband"])
@pytest.mark.parametrize(("rollouts", "every", "factor"), [(160, 20, 3), (50, 7, 2), (9, 1, 3), (10, 9, 4)])
def test_a_budget_is_never_exceeded_and_less_than_a_run_is_left(prune, rollouts, every, factor):
    for points in range(1, 40):
        found = rounds(Search(prune=prune, factor=factor), points, rollouts, every)
        spent = sum(one.rollouts for one in found)
        assert points * rollouts - rollouts < spent <= points * rollouts
        assert [number for one in found for number in one.points] == list(range(found[-1].points.stop))
        for one in found:
            assert one.lengths[-1] == rollouts  # whatever is pruned, one point has a run of full length
            assert all(length % every == 0 for length in one.lengths[:-1])
            assert all(later == max(1, number // factor) for number, later in itertools.pairwise(one.numbers))


def test_lengths_grow_to_the_full_one():
    assert lengths_of_runs(3, 160, 20) == (20, 60, 160)
    assert lengths_of_runs(3, 81, 1) == (1, 3, 9, 27, 81)
    assert lengths_of_runs(3, 20, 20) == (20,)
    assert lengths_of_runs(2, 30, 20) == (20, 30)


def test_words_and_mappings_say_the_same():
    wide = Search(ranges="wide", kind="even")
    assert toy_sweep(search="wide").search == toy_sweep(search={"ranges": "wide"}).search == wide
    assert toy_sweep().search == toy_sweep(search="narrow").search == Search(kind="random")
    assert as_search(["tpe", "hyperband"]) == {"kind": "tpe", "prune": "hyperband"}
    even = toy_sweep(search={"kind": "even"}, points=12)
    assert even.key() != toy_sweep(points=12).key()
    assert {each.hparams["lr"] <= 0.1 for each in even.runs()} == {True}  # spread, in the narrow range


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"search": ["wide", "narrow"]}, "wide and narrow are both ranges"),
        ({"search": "hyperbnd"}, "'hyperbnd' is not known. Did you mean 'hyperband'"),
        (
            {"search": {"kind": "random", "prune": "halving"}, "selection": "both"},
            "selection both needs points that all",
        ),
        (
            {"search": {"prune": "halving"}, "settings": {**LONG, "evaluate_every": 9}},
            "evaluate_every=9 of rollouts=9 leaves none: evaluate more often",
        ),
        ({"search": "tpe"}, "tpe proposes points after the first 1, and there are no more than points=1"),
        ({"search": {"kind": "even", "batch": 2}}, "batch is for kind: tpe, got kind: even"),
        ({"search": {"kind": "tpe", "prune": "halving", "startup": 2}}, "startup is for a search that prunes nothing"),
        ({"search": {"kind": "tpe", "factor": 2}}, "factor is for prune: halving or hyperband"),
        ({"search": "tpe", "points": 9, "selection": "validation-shared"}, "add share_points: true"),
    ],
)
def test_what_does_not_fit_together(more, expected):
    pytest.importorskip("optuna")
    with pytest.raises(ConfigError, match=expected):
        toy_sweep(**more)


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    for search, named in (("tpe", "search: tpe"), ({"prune": "halving"}, "search: halving")):
        with pytest.raises(ConfigError, match=rf"{named} needs Optuna, .* pip install 'pgrad\[optuna\]' brings it"):
            toy_sweep(search=search, points=9, settings=LONG)
    assert toy_sweep(search="wide").search.kind == "even"  # which does not need it


def test_options_say_a_search(tmp_path):
    pytest.importorskip("optuna")
    words = Chosen(datasets=["coloured-digits"], points=9, search=["tpe"], set=["search.prune=hyperband"])
    assert sweep_from(None, words).search == Search(kind="tpe", prune="hyperband")
    words = Chosen(datasets=["coloured-digits"], points=9, set=["search.kind=tpe", "search.startup=2"])
    assert sweep_from(None, words).search == Search(kind="tpe", startup=2)
    file = tmp_path / "sweep.yaml"
    file.write_text("datasets: coloured-digits\nsearch: wide\npoints: 9\n", encoding="utf-8")
    assert sweep_from(file, Chosen(search=["tpe"])).search == Search(ranges="wide", kind="tpe")


@pytest.mark.slow
def test_plan_says_what_a_search_in_rounds_does(said, tmp_path):
    pytest.importorskip("optuna")
    words = ["--datasets", "coloured-digits", "--algorithms", "erm", "--seeds", "1", "--points", "10", "--no-timing"]
    status, out, _ = said("plan", *words, "--output", tmp_path, "--search", "wide", "tpe", "hyperband")
    assert status == 0
    assert "66 runs, 26,280 gradient evaluations" in out  # 3 held-out sets, 22 runs, 1460 roll-outs of 6 steps
    assert "17 points in 3 rounds for the roll-outs of 9.12 runs of full length" in out
    assert "9x20/3x60/1x160 -> 5x60/1x160 -> 3x160" in out


@pytest.mark.slow
def test_a_short_run_is_the_beginning_of_the_long_one():
    whole = RunConfig(
        dataset="coloured-digits",
        algorithm="erm-ema",
        held_out="10%",
        seed=0,
        point=0,
        hparams={"lr": 1e-3, "weight_decay": 0.0, "decay": 0.9},
        rollouts=4,
        evaluate_every=1,
    )
    short = whole.model_copy(update={"until": 2})
    assert (whole.key() == short.key(), short.budget() * 2) == (False, whole.budget())
    long, cut = run(whole), run(short)
    for name, curve in cut["curves"].items():
        assert curve == long["curves"][name][:2]
    with pytest.raises(ValueError, match="until must be less than rollouts=4"):
        RunConfig.model_validate({**whole.config(), "until": 4})


def by_definition(figures, factor):
    """Successive halving: the best n // factor, at least one; of equals the first."""
    number = max(1, len(figures) // factor)
    return sorted(sorted(range(len(figures)), key=lambda place: (-figures[place], place))[:number])


def test_optuna_lets_go_on_what_the_definition_does():
    pytest.importorskip("optuna")
    for seed, size in itertools.product(range(3), (1, 2, 3, 7, 9, 12)):
        figures = [((place + 3) * (seed + 2) * 7919 % 101) / 101 for place in range(size)]
        number = max(1, size // 3)
        assert sampling.going_on(figures, factor=3, number=number) == by_definition(figures, 3)
    assert sampling.going_on([0.5] * 6, factor=3, number=2) == [0, 1]  # equals do not cost more than was planned
    assert sampling.going_on([-math.inf, -math.inf, 0.1], factor=3, number=1) == [2]


def test_proposals_follow_what_was_told_and_nothing_else():
    pytest.importorskip("optuna")
    space = {"lr": LogUniform(1e-2, 1e-4, 1.0), "kind": Choice(1, (1, 2)), "grid": Grid((3, 5))}
    rates = [1e-4 * 10 ** (4 * place / 19) for place in range(20)]

    def told(best):
        return [
            sampling.Told({"lr": rate, "kind": 1 + place % 2, "grid": 3}, figure=-abs(math.log10(rate / best)))
            for place, rate in enumerate(rates)
        ]

    low, high = (sampling.proposals("tpe", space, told(best), 8, seed=0) for best in (1e-3, 1e-1))
    assert low == sampling.proposals("tpe", space, told(1e-3), 8, seed=0)
    assert all(set(point) == set(space) and point["grid"] in (3, 5) for point in low)
    mean = [sum(math.log10(point["lr"]) for point in points) / 8 for points in (low, high)]
    assert mean[0] < -2.3 < -1.7 < mean[1]  # near 1e-3, near 1e-1


def test_what_diverged_is_worse_than_all_and_what_failed_says_nothing():
    pytest.importorskip("optuna")
    space = {"lr": LogUniform(1e-2, 1e-4, 1.0)}
    rates = [1e-4 * 10 ** (4 * place / 19) for place in range(20)]
    diverged = [sampling.Told({"lr": rate}, figure=0.5 if rate < 1e-2 else None) for rate in rates]
    points = sampling.proposals("tpe", space, diverged, 8, seed=0)
    assert sum(point["lr"] < 2e-2 for point in points) >= 7
    failed = [sampling.Told({"lr": rate}, failed=True) for rate in rates]
    assert sampling.proposals("tpe", space, failed, 1, seed=0) == sampling.proposals("tpe", space, [], 1, seed=0)


@pytest.mark.slow
def test_every_algorithm_gets_the_same_and_no_more_than_was_planned(tmp_path):
    """One of them diverges everywhere; its budget is that of the other."""
    pytest.importorskip("optuna")
    sweep = pruned("toy-sgd", "toy-nan")
    records = run_here(sweep, tmp_path)
    spent = Counter()
    for record in records:
        spent[record["config"]["algorithm"]] += record["evaluations"]
    shares = plan(sweep)
    assert spent == {share.algorithm: share.evaluations for share in shares}
    assert len(set(spent.values())) == 1
    assert sum(share.runs for share in shares) == len(records)
    # Three held-out sets, two domains to train on; six runs of nine roll-outs pay for all.
    assert spent["toy-sgd"] == 3 * 2 * sum(one.rollouts for one in sweep.rounds("toy")) <= 3 * 2 * 6 * 9
    assert next_stage(sweep, records) is None
    assert run_here(sweep, tmp_path) == records  # nothing is done twice
    loaded = load([str(tmp_path)])
    selection = Selection.of(loaded.records, sweeps=loaded.sweeps)
    lines = {line["algorithm"]: line for line in costs(selection).numbers.to_dict("records")}
    assert {name: line["all_evaluations"] for name, line in lines.items()} == spent
    assert lines["toy-sgd"]["points"] == sweep.rounds("toy")[-1].points.stop
    assert report((str(tmp_path),), output=tmp_path / "report", selection="validation", **REPORT) == 0
    assert "ended before full length" in (tmp_path / "report/report.md").read_text(encoding="utf-8")
    full = [row["point"] for row in select_all(records)]
    cut = {(one["config"]["held_out"], one["config"]["point"]) for one in records if is_cut(one)}
    assert len(full) == 3  # the algorithm that diverges has no choice
    assert len(selection.cut) == sum(map(is_cut, records)) > len(cut) / 2


@pytest.mark.slow
def test_each_held_out_set_is_searched_by_its_own_training_domains(tmp_path):
    """What the held-out domain, or another held-out set, says changes no proposal."""
    pytest.importorskip("optuna")
    sweep = toy_sweep("toy-sgd", points=6, search={"ranges": "wide", "kind": "tpe", "startup": 4, "batch": 2})
    records = run_here(sweep, tmp_path)
    rates = {(one["config"]["held_out"], one["config"]["point"]): one["config"]["hparams"]["lr"] for one in records}
    assert len(records) == 18
    assert len({rates[name, 0] for name in "abc"}) == 1 < len({rates[name, 5] for name in "abc"})
    first = [one for one in records if one["config"]["point"] < 4]

    def proposed(changed):
        return {
            each.held_out: each.hparams["lr"]
            for each in searching.searched(sweep, [changed(one) for one in first])
            if each.point == 5
        }

    def without_held_out(one):
        return {**one, "curves": {**one["curves"], "held_out": [0.0] * 2}, "selections": {}, "domain_curves": {}}

    def others_changed(one):
        if one["config"]["held_out"] == "a":
            return one
        return {**one, "curves": {**one["curves"], "validation": [one["config"]["point"] / 10] * 2}}

    plain = proposed(lambda one: one)
    assert plain == {(name,): rates[name, 5] for name in "abc"}
    assert proposed(without_held_out) == plain
    other = proposed(others_changed)
    assert other[("a",)] == plain[("a",)]


@pytest.mark.slow
def test_seeds_search_together_where_they_share_points(tmp_path):
    pytest.importorskip("optuna")
    sweep = pruned(seeds=2, share_points=True, selection=["oracle", "validation-shared"], refit=True, widen=1)
    records = run_here(sweep, tmp_path)
    assert sweep.leading.name == "validation-shared"
    rates = {}
    for record in records:
        config = record["config"]
        rates.setdefault((config["held_out"], config["point"]), set()).add(config["hparams"]["lr"])
    assert all(len(own) == 1 for own in rates.values())
    assert all(row["refit_accuracy"] is not None for row in select_all(records, "validation-shared"))


def test_the_first_round_is_that_of_the_same_search_without_proposals():
    pytest.importorskip("optuna")
    sequential = toy_sweep(search={"ranges": "wide", "kind": "tpe", "startup": 4}, points=12)
    assert sequential.key() == toy_sweep(search="wide", points=4).key()
    assert sequential.size() == len(sequential.runs())
    assert [each.key for each in sequential.written()] == [each.key() for each in sequential.runs()]
    cut = pruned(points=6)
    assert [each.key for each in cut.written()] == [each.key() for each in cut.runs()]
    assert {each.until for each in cut.runs()} == {1}


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on_to_the_same_end(tmp_path):
    """Killed in its rounds, and ended by two workers, it has the runs of one that was left alone."""
    pytest.importorskip("optuna")
    content = {
        "algorithms": ["toy-slow"],
        "fixed": {"toy-slow": {"seconds": 0.01}},
        "datasets": {"toy": {"held_out": ["a"]}},
        "launcher": {"kind": "local", "workers": 2},
    }
    sweep = pruned(**content)
    file = tmp_path / "sweep.yaml"  # JSON is YAML
    file.write_text(sweep.model_dump_json(), encoding="utf-8")
    alone = comparable(run_here(sweep.in_process(), tmp_path / "alone"))
    planned = len(alone)
    folder = tmp_path / "killed"
    for share in (0.5, 0.75):
        process = command("sweep", "--launcher", "in-process", file, "--output", folder)
        try:
            _until(folder, share * planned, process)
            os.killpg(process.pid, signal.SIGKILL)
        finally:
            end(process)
    process = command("sweep", file, "--output", folder)
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    with Store(folder / "store.sqlite") as store:
        numbers = [each["id"] for each in store.sweeps()]
        found = [record for number in numbers for record in store.records(number)]
        assert all(set(store.counts(number)) >= {"finished"} for number in numbers)
        assert sum(sum(store.counts(number).values()) for number in numbers) == planned  # no stage was planned twice
    assert sorted(comparable(found), key=lambda one: one["key"]) == sorted(alone, key=lambda one: one["key"])


def _until(folder, number, process):
    """Waits until so many runs have ended, or the command has."""
    while process.poll() is None:
        if (folder / "store.sqlite").exists():
            with Store(folder / "store.sqlite") as store:
                ended = sum(store.counts(each["id"])["finished"] for each in store.sweeps())
            if ended >= number:
                return
        time.sleep(0.05)
