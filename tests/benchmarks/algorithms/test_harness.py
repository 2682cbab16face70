"""Every algorithm through the runner: equal start, equal budget."""

import functools

import pytest

from benchmarks.algorithms import ALGORITHMS
from benchmarks.base.search import draw
from benchmarks.runs.config import RunConfig
from benchmarks.runs.runner import run


def config(name, **changes):
    fields = {
        "dataset": "coloured-digits",
        "algorithm": name,
        "held_out": "80%",
        "seed": 0,
        "point": 0,
        "hparams": draw(ALGORITHMS[name].space, 0, 0),
        "rollouts": 5,
        "evaluate_every": 2,
        "batch_size": 8,
        "splits": 3,
        "width": 8,
    }
    return RunConfig(**{**fields, **changes})


def curves(record):
    assert record["status"] == "finished", record.get("traceback")
    return record["curves"]


@functools.cache
def start():
    """The curves of a run that never moves."""
    return curves(run(config("erm", hparams={"lr": 0.0, "weight_decay": 0.0})))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_common_start_and_common_budget(name, monkeypatch):
    """With a learning rate of zero every algorithm is measured at the common initialisation."""
    entry = ALGORITHMS[name]
    updates = []

    def counting(*arguments):
        algorithm = entry.factory(*arguments)
        update = algorithm.update

        def counted(inputs, labels):
            updates.append(labels.numel())
            return update(inputs, labels)

        algorithm.update = counted
        return algorithm

    monkeypatch.setitem(ALGORITHMS, name, type(entry)(**{**vars(entry), "factory": counting}))
    still = {**draw(entry.space, 0, 0), "lr": 0.0, "weight_decay": 0.0}
    found = curves(run(config(name, hparams=still)))
    assert found["step"] == [12, 24, 30]
    assert len(updates) * entry.evaluations(2) == 30
    assert sum(updates) * entry.passes == 30 * 8
    assert found["validation"] == pytest.approx(start()["validation"], abs=1e-12)
    assert found["held_out"] == pytest.approx(start()["held_out"], abs=1e-12)


@pytest.mark.parametrize("name", ["sam", "upgrad", "genie", "erm-swad"])
def test_same_configuration_same_result(name):
    assert curves(run(config(name))) == curves(run(config(name)))


def test_a_budget_that_updates_do_not_divide_is_never_overdrawn(monkeypatch):
    """Checkpoints after 6, 12 and 18 evaluations; with four passes they pay for 1, 3 and 4 updates."""
    entry = ALGORITHMS["sam"]
    made = []

    def counting(*arguments):
        algorithm = entry.factory(*arguments)
        update = algorithm.update
        algorithm.update = lambda *minibatch: (made.append(1), update(*minibatch))[1]
        algorithm.validate = lambda loss: made.append(0)
        return algorithm

    monkeypatch.setitem(ALGORITHMS, "sam", type(entry)(**{**vars(entry), "factory": counting, "passes": 4}))
    assert curves(run(config("sam", rollouts=3, evaluate_every=1)))["step"] == [6, 12, 18]
    assert made == [1, 0, 1, 1, 0, 1, 0]


def test_an_update_that_costs_more_than_a_checkpoint_is_refused(monkeypatch):
    entry = ALGORITHMS["sam"]
    monkeypatch.setitem(ALGORITHMS, "sam", type(entry)(**{**vars(entry), "passes": 7}))
    record = run(config("sam", evaluate_every=1))
    assert record["status"] == "failed"
    assert "one update of sam costs 7 gradient evaluations" in record["error"]
