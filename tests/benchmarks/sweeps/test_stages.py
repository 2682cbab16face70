"""Later stages of a sweep: widened searches and refits; what they cost, and that they can be killed."""

import itertools
import json
import os
import signal
import time

import pytest

from benchmarks.algorithms.ranges import USUAL
from benchmarks.commands.report import report
from benchmarks.reports.load import load
from benchmarks.reports.refitted import refits
from benchmarks.reports.selection import Selection
from benchmarks.runs.selection import select_all
from benchmarks.sweeps.coordinator import perform
from benchmarks.sweeps.edges import POINTS, edges, widening
from benchmarks.sweeps.files import ConfigError, validated
from benchmarks.sweeps.stages import costs, most_refits, next_stage
from benchmarks.sweeps.store import Store
from benchmarks.sweeps.store.transfer import read_lines
from tests.benchmarks.toy_sweeps import TOYS, command, comparable, end, toy_sweep

REPORT = {"baseline": (), "compare": (), "held_out": (), "overview": False, "watch": None, "plugin": (), "seed": 0}


def run_here(sweep, folder, **options):
    with Store(folder / "store.sqlite") as store:
        return perform(sweep, store, folder, **options)


def toys(**more):
    return toy_sweep("toy-sgd", **{"seeds": 2, "points": 3, "search": "wide", "share_points": True, **more})


def test_wide_points_are_those_of_the_regime_and_shared():
    sweep = toys(settings={"model": "line", "regime": "features", "lr_scale": 2.0})
    rates = {}
    for run in sweep.runs():
        rates.setdefault(run.point, set()).add(run.hparams["lr"])
    assert all(len(values) == 1 for values in rates.values())  # for all seeds and held-out sets
    assert rates[0] == {2.0 * USUAL["features"].adam}
    own = toy_sweep("toy-sgd", seeds=2, points=3, search="wide")
    assert len({run.hparams["lr"] for run in own.runs() if run.point == 1}) == 2


def test_narrow_points_stay_what_they_were():
    plain, named = toy_sweep(seeds=2, points=3), toy_sweep(seeds=2, points=3, search="narrow", refit=True, widen=2)
    assert plain.key() == named.key()
    shared = toy_sweep(seeds=2, points=3, share_points=True)
    assert len({run.hparams["lr"] for run in shared.runs()}) == 3 < len({run.hparams["lr"] for run in plain.runs()})


def test_old_names_in_sweep_files():
    old = toy_sweep(selection=["training-domain", "leave-one-domain-out"])
    assert old.selection == ("validation", "leave-one-domain-out")
    assert old.key() == toy_sweep(selection=["validation", "both"]).key()


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"selection": ["both-shared"], "points": 2}, "selection both-shared needs points .* add share_points: true"),
        ({"selection": ["bth"]}, "'bth' is not known. Did you mean 'both'"),
        ({"families": {"any": ["erm"]}}, "families.any: 'erm' is not known"),
        ({"families": {"erm": ["toy-sgd"]}}, "'erm' is the name of an algorithm"),
        ({"refit": ["toy-slow"]}, "refit: 'toy-slow' is not known. .* Known are: toy-sgd"),
        ({"confirmatory": [["toy-sgd", "erm"]]}, "confirmatory: 'erm' is not known"),
        ({"confirmatory": [["toy-sgd", "toy-sgd"]]}, "confirmatory: 'toy-sgd' is compared with itself"),
        (
            {"families": {"any": ["toy-sgd"]}, "confirmatory": [["toy-sgd", "any"], ["any", "toy-sgd"]]},
            "confirmatory: a pair is given twice",
        ),
        ({"families": {"any": ["toy-sgd", "toy-sgd"]}}, "families.any: every name may come once only"),
        ({"widen": True}, "widen: must be a whole number, got True"),
        ({"points": True}, "points: must be a whole number, got True"),
        ({"selection": "oracle", "refit": True}, "what the oracle chooses is not trained again"),
        (
            {"cross_points": 1},
            "cross_points must be at most points=1, with a selection that leaves one more domain out",
        ),
        ({"cross_points": 2, "selection": "both"}, "cross_points must be at most points=1"),
        ({"search": "wider"}, "search"),
        ({"settings": {"regime": "feature"}}, "regime"),
    ],
)
def test_what_does_not_fit_together(more, expected):
    with pytest.raises(ConfigError, match=expected):
        toy_sweep(**more)


def test_fewer_points_are_crossed():
    sweep = toys(selection=["validation", "both"], cross_points=1)
    pairs = [run for run in sweep.runs() if len(run.held_out) == 2]
    assert {run.point for run in pairs} == {0}
    validation, both = costs(sweep)
    # Three domains held out in turn, 2 of which train for 2 roll-outs; a pair leaves one. Validation has three points.
    assert (validation.own, validation.added) == (2 * 3 * 3 * 4, 0)
    assert (both.own, both.added, both.factor) == (2 * 3 * 4, 2 * 3 * 2, 1.5)
    assert validation.total + both.added == sum(run.budget() for run in sweep.runs())


def test_refits_follow_the_search(tmp_path):
    sweep = toys(selection=["validation", "both-shared", "oracle"], families={"any": ["toy-sgd"]}, refit=True)
    records = run_here(sweep, tmp_path)
    search = [record for record in records if "refit" not in record["config"]]
    again = [record for record in records if "refit" in record["config"]]
    assert {record["key"] for record in search} == {run.key() for run in sweep.runs()}
    assert next_stage(sweep, records) is None
    assert len(again) <= most_refits(sweep).runs == 2 * 3 * 2  # two rules; the family adds none
    assert sum(record["evaluations"] for record in again) <= most_refits(sweep).evaluations
    assert {record["config"]["held_out"] for record in again} == {"a", "b", "c"}
    for rule in ("validation", "both-shared"):
        rows = [row for row in select_all(records, rule) if "+" not in row["held_out"]]
        assert len(rows) == 6
        assert all(row["refit_accuracy"] is not None for row in rows)
    oracle = [row["refit_accuracy"] for row in select_all(records, "oracle") if "+" not in row["held_out"]]
    assert len(oracle) == 6  # a choice that another rule made too may have one, but none is made for it
    assert [record["key"] for record in read_lines(tmp_path / "records.jsonl")] == [r["key"] for r in records]
    assert json.loads((tmp_path / "sweep.json").read_text())["stages"][0]["finished"] == len(again)
    for rule in ("validation", "both-shared"):
        loaded = load([str(tmp_path)])
        selection = Selection.of(loaded.records, rule, sweeps=loaded.sweeps)
        assert len(selection.refits) == len(again)
        names = ["held_out", "seed", "point", "step", "held_out_accuracy", "refit_accuracy"]
        expected = {
            tuple(row[name] for name in names) for row in select_all(records, rule) if "+" not in row["held_out"]
        }
        assert set(selection.selected[names].itertuples(index=False, name=None)) == expected
        line, family = refits(selection).numbers.to_dict("records")
        assert family == {**line, "algorithm": "any"}  # which has no other algorithm
        frame = selection.selected.groupby("seed")[["held_out_accuracy", "refit_accuracy"]].mean().mean()
        assert (line["algorithm"], line["seeds"]) == ("toy-sgd", 2)
        assert line["without"] == pytest.approx(frame["held_out_accuracy"] * selection.scale("toy").factor)
        assert line["with_refit"] == pytest.approx(frame["refit_accuracy"] * selection.scale("toy").factor)
        assert line["difference"] == pytest.approx(line["with_refit"] - line["without"])
        assert selection.edges == edges(records, rule)
    assert refits(Selection.of(search)) is None
    assert run_here(sweep, tmp_path) == records  # nothing is done twice


def test_only_named_ones_are_refitted(tmp_path):
    sweep = toy_sweep("toy-sgd", "toy-nan", families={"any": ["toy-sgd", "toy-nan"]}, refit=["any"])
    again = [record for record in run_here(sweep, tmp_path) if "refit" in record["config"]]
    assert [record["config"]["algorithm"] for record in again] == ["toy-sgd"] * 3  # of the family the one that finished


def test_edges_of_made_records():
    """Of six choices four have the lowest rate, two a middle one."""

    def record(seed, held_out, point, lr, validation, status="finished"):
        config = {"dataset": "set", "algorithm": "erm", "held_out": held_out, "seed": seed, "point": point}
        curves = {"step": [1.0], "validation": [validation], "held_out": [0.0]}
        config["hparams"] = {"lr": lr, "weight_decay": lr}
        return {
            "key": f"{seed}{held_out}{point}",
            "config": config,
            "status": status,
            "curves": curves,
            "domain_curves": {},
        }

    def made(best, highest="finished"):
        places = list(itertools.product((0, 1), "abc"))
        return [
            record(*place, point, lr, float(point == best[number]), highest if point == 2 else "finished")
            for number, place in enumerate(places)
            for point, lr in enumerate((0.1, 0.2, 0.4))
        ]

    (edge,) = edges(made([0, 0, 0, 0, 1, 1]))
    assert (edge.name, edge.side, edge.value, edge.hits, edge.choices) == ("lr", "low", 0.1, 4, 6)
    assert edges(made([1, 1, 1, 1, 0, 0])) == []
    assert [edge.side for edge in edges(made([2, 2, 2, 0, 1, 0]))] == ["high"]
    # Where the highest rate failed it was tried, and the one below it is no edge.
    assert edges(made([1] * 6, highest="failed")) == []
    assert edges([one for one in made([0] * 6) if one["config"]["point"] < 2]) == []  # two values have no inside
    pairs = [record(0, "a+b", point, lr, float(point == 0)) for point, lr in enumerate((0.1, 0.2, 0.4))]
    assert edges([*made([1] * 6), *pairs]) == []


def test_a_search_is_widened_beyond_its_edge(tmp_path):
    """Two roll-outs learn too little for any but the highest rate, so that both rounds begin at the upper end."""
    sweep = toys(widen=2, refit=True)
    records = run_here(sweep, tmp_path)
    high = 5 * USUAL["from-scratch"].adam
    rates = {}
    for record in records:
        if "refit" not in record["config"]:
            rates.setdefault(record["config"]["point"], set()).add(record["config"]["hparams"]["lr"])
    assert all(len(values) == 1 for values in rates.values())
    rounds = (len(rates) - 3) // POINTS
    assert rounds >= 1
    for number in range(rounds):
        own = [rates[3 + number * POINTS + k].pop() for k in range(POINTS)]
        assert own == pytest.approx([high * 10 ** (number + (k + 0.5) / POINTS) for k in range(POINTS)])
    widened = [record for record in records if record["config"]["point"] >= 3 and "refit" not in record["config"]]
    assert len(widened) == rounds * POINTS * 2 * 3  # every seed and held-out set
    assert widening(sweep, records) == []
    # What is refitted was chosen among all of them.
    assert max(row["point"] for row in select_all(records)) >= 3
    assert all(row["refit_accuracy"] is not None for row in select_all(records))


def test_held_out_scores_widen_nothing(tmp_path):
    """What the oracle would choose decides nothing, wherever it stands among the rules."""
    records = run_here(toys(), tmp_path)
    rates = {run.point: run.hparams["lr"] for run in toys().runs()}
    middle = sorted(rates, key=rates.__getitem__)[1]
    for one in records:  # on every held-out domain the middle rate is the best, which is at no edge
        one["curves"]["held_out"] = [float(one["config"]["point"] == middle)] * len(one["curves"]["held_out"])
    assert edges(records, "validation")
    assert not edges(records, "oracle")
    found = [
        [run.key() for run in widening(toys(widen=1, selection=rules), records)]
        for rules in ("validation", ["oracle", "validation"], "oracle")
    ]
    assert found[0]
    assert found[1:] == [found[0], found[0]]


def test_the_report_tells_of_edges(tmp_path, capsys):
    records = run_here(toys(seeds=1), tmp_path)
    (edge,) = edges(records)
    assert report((str(tmp_path),), output=None, selection="validation", **REPORT) == 0
    assert f"AT THE EDGE: {edge.sentence}" in capsys.readouterr().out.splitlines()
    assert f"At the edge of the search: {edge.sentence}." in (tmp_path / "report/report.md").read_text(encoding="utf-8")


def test_the_report_tells_of_runs_that_have_not_ended(tmp_path, capsys):
    run_here(toys(seeds=1), tmp_path)
    assert report((str(tmp_path),), output=None, selection="validation", **REPORT) == 0
    assert "UNFINISHED" not in capsys.readouterr().out
    with Store(tmp_path / "store.sqlite") as store:
        store.enter(toys(seeds=2))
    assert report((str(tmp_path),), output=None, selection="validation", **REPORT) == 0
    text = "UNFINISHED: 9 runs of the sweep have not ended"
    assert text in capsys.readouterr().out
    assert all(text in (tmp_path / f"report/report.{kind}").read_text(encoding="utf-8") for kind in ("md", "html"))


def test_no_round_without_an_edge_or_of_a_fixed_rate(tmp_path):
    sweep = toys(widen=2, fixed={"toy-sgd": {"lr": 0.1}})
    assert len(run_here(sweep, tmp_path)) == len(sweep.runs())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run_here(toys(seeds=1, widen=1, refit=True), tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("stop", [1, 8, 9, 12, 21, 22])  # 9 runs of the search, 12 of its widening, 3 refits
def test_interrupted_in_any_stage_and_gone_on_with(tmp_path, whole, stop):
    sweep, ended = toys(seeds=1, widen=1, refit=True), {}

    def interrupt(now):
        ended[now.sweep_id] = now.done
        if sum(ended.values()) == stop:
            raise KeyboardInterrupt

    assert len(whole) == 9 + 12 + 3
    with pytest.raises(KeyboardInterrupt):
        run_here(sweep, tmp_path, watch=interrupt)
    resumed = run_here(sweep, tmp_path)
    assert comparable(resumed) == comparable(whole)
    assert all(len(record["attempts"]) == 1 for record in resumed)


@pytest.mark.slow
def test_killed_in_the_middle_of_the_refits(tmp_path):
    file, out = tmp_path / "toys.yaml", tmp_path / "out"
    content = {"plugins": [TOYS], "datasets": ["toy"], "algorithms": ["toy-slow"], "seeds": 2, "refit": True}
    content["settings"] = {"rollouts": 4, "evaluate_every": 1, "batch_size": 4, "splits": 1, "model": "line"}
    file.write_text(json.dumps({**content, "launcher": {"workers": 1}}))
    process = command("sweep", file, "--output", out)
    try:
        while ended(out, 2) < 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    finally:
        end(process)
    assert ended(out, 2) < 6
    process = command("sweep", file, "--output", out)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    whole = run_here(validated({**content, "launcher": "in-process"}), tmp_path / "whole")
    assert comparable(read_lines(out / "records.jsonl")) == comparable(whole)


def ended(out, sweep_id):
    if not (out / "store.sqlite").exists():
        return 0
    with Store(out / "store.sqlite") as store:
        return store.counts(sweep_id)["finished"]


@pytest.mark.slow
def test_a_sweep_on_digits_from_the_command_line(tmp_path):
    """Every rule and its refit on real data, and what plan and report say of it."""
    file, out = tmp_path / "digits.yaml", tmp_path / "out"
    content = {
        "datasets": {"coloured-digits": {"held_out": ["10%"]}},
        "algorithms": ["erm", "erm-swad"],
        "seeds": 2,
        "points": 2,
        "search": "wide",
        "share_points": True,
        "selection": ["validation", "validation-loss", "leave-one-domain-out-shared", "both-shared", "last"],
        "families": {"best": ["erm", "erm-swad"]},
        "refit": True,
        "settings": {"rollouts": 4, "evaluate_every": 1, "batch_size": 8, "splits": 1, "width": 8},
        "launcher": "in-process",
    }
    file.write_text(json.dumps(content))

    def said(*words):
        process = command(*words)
        text, errors = process.communicate()
        assert process.returncode == 0, errors
        return text

    text = said("plan", file, "--no-timing")
    # Of 2 points, 2 seeds and 2 algorithms: a set with 4 x 2 evaluations, and two pairs with 4. Five rules.
    assert "Selection validation: 64 gradient evaluations of its own runs." in text
    assert "Selection both-shared: 64 gradient evaluations of its own runs and 64 of runs that leave" in text
    assert "Refit: at most 20 more runs and 160 gradient evaluations" in text
    said("sweep", file, "--output", out)
    records = list(read_lines(out / "records.jsonl"))
    assert all(record["status"] == "finished" for record in records)
    for rule in content["selection"]:
        rows = [row for row in select_all(records, rule, content["families"]) if "+" not in row["held_out"]]
        assert len(rows) == 3 * 2
        assert all(0 <= row["refit_accuracy"] <= 1 for row in rows)
        if rule.endswith("-shared"):
            places = {(row["algorithm"], row["held_out"], row["chosen"], row["point"], row["step"]) for row in rows}
            assert len(places) == 3
    assert "Page:" in said("report", out, "--selection", "both-shared")
    page = (out / "report/report.md").read_text(encoding="utf-8")
    assert "both-shared" in page
    assert "Without and with refit" in page
