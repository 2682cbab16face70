"""The loop that all runs go through."""

from pathlib import Path

import pytest
import torch

from benchmarks.algorithms import ALGORITHMS, Setup
from benchmarks.runs import checkpoint
from benchmarks.runs.training import (
    DivergedError,
    Keeper,
    checkpoint_plan,
    scale_rates,
    train,
)
from benchmarks.runs.view import Scores, Training

LENGTH, ROLLOUTS = 4, 5


class Numbers:
    """Mini-batches that are a function of their number: inputs of two domains in turn."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self):
        number = self.taken
        while True:
            generator = torch.Generator().manual_seed(number)
            yield torch.randn(6, 3, generator=generator), torch.randint(2, (6,), generator=generator), number % 2
            number += 1

    def state_dict(self, taken):
        return {"taken": self.taken + taken}

    def load_state_dict(self, state):
        self.taken = state["taken"]


class Seen:
    def __init__(self) -> None:
        self.points = []

    def checkpoint(self, model, step, point, scores):
        self.points.append((step, dict(point), dict(scores)))


def training(algorithm="pgrad", lr=0.05, score=None, rate=None):
    """Of a small network with dropout, on the mini-batches above."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(0.3), torch.nn.Linear(8, 2))
    entry = ALGORITHMS[algorithm]
    hparams = {**{name: choice.default for name, choice in entry.space.items()}, "lr": lr}
    made = entry.factory(model, hparams, Setup(LENGTH, 2, LENGTH * ROLLOUTS, seed=1))

    @torch.no_grad()
    def evaluate(one):
        value = score(one) if score else one[0].weight.double().sum().item()
        return Scores({"a": value, "b": 1.0}, {"norm": {"a": 1.0, "b": 2.0}})

    return Training(
        algorithm=made,
        source=Numbers(),
        cost=entry.evaluations(2),
        checkpoints=checkpoint_plan(ROLLOUTS, 2, LENGTH, entry.evaluations(2), algorithm),
        validation=("a",),
        held_out=("b",),
        evaluate=evaluate,
        validation_loss=lambda: 0.0,
        measures=("norm",),
        rate=rate,
    )


def done(one, keeper=None):
    outcome, seen = {}, Seen()
    train(one, outcome, seen, keeper)
    return outcome, seen.points


def test_the_fields_of_a_record() -> None:
    outcome, points = done(training())
    assert outcome["curves"]["step"] == [8, 16, 20] == [step for step, _, _ in points]
    assert outcome["curves"]["validation"] == outcome["domain_curves"]["a"]
    assert outcome["measures"] == {"norm": {"a": [1.0] * 3, "b": [2.0] * 3}}
    assert outcome["selection"]["validation"] == max(outcome["curves"]["validation"])
    assert len(outcome["diagnostics"]["explained_variance_ratio"]) == LENGTH


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("algorithm", ["erm", "pgrad", "sam", "erm-swad"])
def test_a_run_that_stops_at_any_moment_ends_like_one_that_does_not(
    algorithm: str, every: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = training(algorithm)
    expected, _ = done(whole)
    saved, stops = checkpoint.save, set(range(1, 2 * LENGTH * ROLLOUTS))

    def save_and_stop(content, path) -> None:
        saved(content, path)
        place = content["progress"]["updates"] + content["progress"]["done"]
        if place in stops:
            stops.remove(place)
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", save_and_stop)
    kept = Keeper(tmp_path / "checkpoint.pt", {"key": "x"}, every)
    processes = 0
    while True:
        processes += 1
        parts = training(algorithm)
        try:
            found, _ = done(parts, kept)
            break
        except KeyboardInterrupt:
            torch.rand(5)
    assert processes > 5
    earlier = found.pop("earlier")
    assert earlier[0] > 0
    assert found == expected
    ours, theirs = whole.algorithm.model.state_dict(), parts.algorithm.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_file_of_another_run_is_refused(tmp_path: Path) -> None:
    done(training(), Keeper(tmp_path / "checkpoint.pt", {"key": "x"}, 4))
    with pytest.raises(ValueError, match=r"must be of this run, got key='x' \(here 'y'\)"):
        done(training(), Keeper(tmp_path / "checkpoint.pt", {"key": "y"}, 4))


def test_a_loss_that_is_not_finite_ends_the_run_and_leaves_what_it_reached() -> None:
    outcome = {}
    with pytest.raises(DivergedError, match="the mean loss before step 8 is"):
        train(training("erm", lr=1e30), outcome, Seen())
    assert outcome["curves"]["step"] == []


def test_a_score_that_is_not_defined_is_none_and_never_chosen() -> None:
    values = iter([None, 0.25, None])
    outcome, _ = done(training(score=lambda _: next(values)))
    assert outcome["curves"]["validation"] == [None, 0.25, None]
    assert outcome["selection"]["step"] == 16


def test_the_rate_is_that_of_the_gradient_evaluations() -> None:
    rates = []
    one = training("sam", rate=lambda step: rates.append(step) or 1 / (1 + step))
    done(one)
    assert rates == list(range(0, LENGTH * ROLLOUTS, 2))  # two for each update
    assert one.algorithm.optimizer.param_groups[0]["lr"] == pytest.approx(0.05 / (1 + rates[-1]))


def test_rates_are_scaled_from_where_they_began() -> None:
    p = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": [p], "lr": 0.5}], lr=0.1)
    for factor in (0.5, 0.25, 1.0):
        scale_rates(optimizer, factor)
        assert optimizer.param_groups[0]["lr"] == 0.5 * factor


def test_an_update_must_not_cost_more_than_a_checkpoint() -> None:
    with pytest.raises(ValueError, match="one update of upgrad costs 5 gradient evaluations"):
        checkpoint_plan(4, 1, 3, 5, "upgrad")
    assert checkpoint_plan(4, 3, 2, 2, "sam") == [(6, 3), (8, 4)]
