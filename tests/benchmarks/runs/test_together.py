"""One training for several runs: each record says what its run alone would have said."""

import itertools
import math

import pytest

from benchmarks.algorithms import ALGORITHMS
from benchmarks.algorithms.averaging import FOLLOWED, Averaged
from benchmarks.algorithms.averaging import beside as moving_alike
from benchmarks.base.search import draw
from benchmarks.runs import together
from benchmarks.runs.config import RunConfig
from benchmarks.runs.outputs import Place
from benchmarks.runs.runner import run
from benchmarks.runs.together import beside, run_together
from benchmarks.studies.performance import trainings
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.coordinator import Coordinator, perform
from benchmarks.sweeps.launchers.base import Ending
from benchmarks.sweeps.store import Store
from benchmarks.sweeps.worker import Job, Worker

SETTINGS = {"rollouts": 12, "evaluate_every": 2, "batch_size": 8, "splits": 2, "width": 8}


def config(algorithm, **changes):
    hparams = draw(ALGORITHMS[algorithm].space, 0, 0)
    return RunConfig(
        **{
            "dataset": "coloured-digits",
            "algorithm": algorithm,
            "held_out": "10%",
            "seed": 0,
            "point": 0,
            "hparams": hparams,
            **SETTINGS,
            **changes,
        }
    )


def said(outcome):
    """All of an outcome but how long it took."""
    return {key: value for key, value in outcome.items() if key not in ("timings", "peak_memory")}


@pytest.mark.parametrize("base", FOLLOWED)
def test_records_are_those_of_runs_alone(base, tmp_path):
    asked = [config(base), *(config(f"{base}-{each}") for each in FOLLOWED[base].averages)]
    place = Place(tmp_path, weights=True)
    alone = [run(one, place) for one in asked]
    weights = [(tmp_path / one["model_file"]).read_bytes() for one in alone]
    for order in (asked, asked[::-1]):
        found = {one["key"]: one for one in run_together(order, place)}
        for one, own in zip(alone, weights, strict=True):
            assert one["status"] == "finished"
            assert said(found[one["key"]]) == said(one)
            assert (tmp_path / one["model_file"]).read_bytes() == own


def test_what_is_beside_a_run_is_what_differs_in_its_average_alone():
    own = config("erm-swad")
    found = beside(own)
    assert {one.algorithm for one in found} == {"erm", "erm-ema", "erm-swa", "erm-swad"}
    assert own.key() not in {one.key() for one in found}
    for one in found:
        same = ("lr", "weight_decay")
        assert [one.hparams[name] for name in same] == [own.hparams[name] for name in same]
        assert one.model_copy(update={"algorithm": own.algorithm, "hparams": own.hparams}) == own
    assert beside(config("coral")) == beside(config("erm", refit=12)) == []
    for name in ("erm-ema", "erm-sgd-swa", "pgrad-ema", "reptile"):
        assert (name, config(name).hparams) in moving_alike(name, config(name).hparams)


def test_another_learning_rate_is_another_training():
    other = config("erm-ema", hparams={**config("erm-ema").hparams, "lr": 0.5})
    outcomes = run_together([config("erm"), other], Place())
    assert {one["status"] for one in outcomes} == {"failed"}
    assert all("do not move a model alike" in one["error"] for one in outcomes)


def test_training_that_diverges_fails_every_run_with_what_it_reached():
    hparams = config("erm").hparams | {"lr": 1e30}
    asked = [
        config("erm", hparams=hparams),
        config("erm-ema", hparams=hparams | {"decay": 0.99}),
    ]
    for alone, shared in zip([run(one) for one in asked], run_together(asked, Place()), strict=True):
        assert shared["status"] == "failed"
        assert (shared["failure"], shared["error"]) == (alone["failure"], alone["error"])
        assert shared["curves"] == alone["curves"]


def test_evaluation_that_fails_is_one_runs_own(monkeypatch, tmp_path):
    real = together.View.checkpoint

    def checkpoint(view, step, loss):
        if len(view.outcome["curves"]["step"]) == 3 and isinstance(view.training.algorithm, Averaged):
            raise FloatingPointError("this average is no number")
        real(view, step, loss)

    monkeypatch.setattr(together.View, "checkpoint", checkpoint)
    plain, average = run_together([config("erm"), config("erm-ema")], Place(tmp_path, weights=True))
    assert plain["status"] == "finished"
    assert len(plain["curves"]["step"]) == 6
    assert (average["status"], average["error"]) == ("failed", "FloatingPointError: this average is no number")
    assert len(average["curves"]["step"]) == 3
    assert [path.stem for path in (tmp_path / "weights").iterdir()] == [plain["key"]]  # none of a run that failed


SWEEP = SweepConfig(
    datasets={"coloured-digits": {"held_out": ["10%"]}},
    algorithms=("erm", "erm-ema", "erm-swa", "erm-sgd", "coral"),
    seeds=1,
    points=2,
    share_points=True,
    search={"ranges": "wide"},
    settings=SETTINGS,
)


def test_a_worker_takes_what_one_training_does(tmp_path):
    store = Store(str(tmp_path / "store.sqlite"))
    sweep_id = store.enter(SWEEP)
    worker = Worker(
        Job(store=str(tmp_path / "store.sqlite"), sweep_id=sweep_id, launcher="test", name="a", folder=tmp_path)
    )
    done = [0]
    while worker.step():
        done.append(store.counts(sweep_id)["finished"])
    assert [b - a for a, b in itertools.pairwise(done)] in ([3, 3, 1, 1, 1, 1], [3, 1, 1, 3, 1, 1])
    records = {record["key"]: record for record in store.records(sweep_id)}
    for one in SWEEP.runs():
        alone = run(one)
        assert records[one.key()]["curves"] == alone["curves"]
        assert records[one.key()]["diagnostics"] == alone["diagnostics"]


def test_what_was_lost_is_done_alone(tmp_path):
    store = Store(str(tmp_path / "store.sqlite"))
    sweep_id = store.enter(SWEEP)
    number = store.new_worker("test", sweep_id, "lost")
    first = store.claim(sweep_id, number)
    keys = [one.key() for one in beside(first.config)]
    second = store.claim_beside(sweep_id, number, keys)
    assert second.config.algorithm != first.config.algorithm
    for one in (first, second):
        store.give_up(one.attempt_id, "lost", "killed", 3)
    assert store.claim_beside(sweep_id, number, [first.config.key(), second.config.key()]) is None
    again = store.claim(sweep_id, number)
    assert again.run_id == first.run_id
    assert again.number == 2


def test_a_sweep_by_several_workers(tmp_path):
    with Store(str(tmp_path / "store.sqlite")) as store:
        sweep = SWEEP.model_copy(update={"launcher": type(SWEEP.launcher)(workers=2)})
        records = perform(sweep, store, tmp_path)
    assert {record["status"] for record in records} == {"finished"}
    assert {record["key"] for record in records} == {one.key() for one in SWEEP.runs()}


def test_what_it_saves_is_a_table():
    lines = trainings.table(trainings.measure(rounds=1, rollouts=5)).splitlines()
    rows = [line.split("|") for line in lines[2:]]
    assert [row[1].strip() for row in rows] == list(FOLLOWED)
    assert [int(row[2]) for row in rows] == [1 + len(line.averages) for line in FOLLOWED.values()]
    assert all(float(cell) > 0 for row in rows for cell in row[3:6])


def test_runs_of_a_worker_that_died_are_all_lost(tmp_path):
    """Its launcher tells of its end once, and it had several runs."""
    with Store(tmp_path / "store.sqlite") as store:
        sweep_id = store.enter(SWEEP)
        number = store.new_worker("local", sweep_id, "dead")
        first = store.claim(sweep_id, number)
        second = store.claim_beside(sweep_id, number, [one.key() for one in beside(first.config)])
        coordinator = Coordinator(SWEEP, store, tmp_path)
        coordinator._ended["dead"] = Ending(died=True, reason="killed by signal 9"), -math.inf
        coordinator._reap()
        assert store.counts(sweep_id)["running"] == 0
        for one in (first, second):
            query = f"SELECT status, error FROM attempts WHERE id = {one.attempt_id}"
            with store.database.read() as connection:
                found = connection.exec_driver_sql(query).one()
            assert tuple(found) == ("lost", "dead: killed by signal 9")
        assert coordinator.lost == 2
        assert not coordinator._ended
