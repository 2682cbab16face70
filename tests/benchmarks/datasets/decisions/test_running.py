"""Sets of decisions train by the runner as it is, a user's plugin among them."""

import pytest
import torch

from benchmarks.algorithms import ALGORITHMS
from benchmarks.algorithms.ranges import regime_of
from benchmarks.datasets import DATASETS
from benchmarks.datasets.cache import Built
from benchmarks.datasets.decisions.losses import DecisionLoss
from benchmarks.datasets.decisions.metrics import agreement, most_frequent
from benchmarks.datasets.decisions.sets import DecisionSet
from benchmarks.datasets.decisions.steps import windows
from benchmarks.runs.config import RunConfig
from benchmarks.runs.plugins import register_dataset
from benchmarks.runs.runner import run
from tests.benchmarks.datasets.decisions.worlds import episodes


@register_dataset(
    "toy-line",
    domains=("a", "b", "c"),
    loss=DecisionLoss("teacher", "filtered", "two-hot"),
    metric=agreement,
    model="decisions",
    constant=most_frequent,
)
def toy_line():
    """A walker on a line."""
    return windows(episodes(number=40), ("a", "b", "c"), 8, 1.0, "uint8")


def config(algorithm="erm", **settings):
    fixed = {"dataset": "toy-line", "held_out": "c", "seed": 0, "point": 0, "model": "decisions", "width": 32}
    lengths = {"rollouts": 15, "evaluate_every": 15, "batch_size": 16, "splits": 2}
    hparams = {name: one.default for name, one in ALGORITHMS[algorithm].space.items()} | {"lr": 3e-3}
    return RunConfig.model_validate({**fixed, **lengths, "algorithm": algorithm, "hparams": hparams, **settings})


def test_memory_tells_the_goal_and_a_run_learns_it():
    outcome = run(config())
    assert outcome["status"] == "finished", outcome.get("traceback")
    told = outcome["diagnostics"]["mean target: held out"][0]
    assert told < 0.7
    assert outcome["curves"]["held_out"][-1] > told + 0.15
    without = run(config(model="decisions-by-step"))
    assert without["curves"]["held_out"][-1] < outcome["curves"]["held_out"][-1]


@pytest.mark.parametrize("algorithm", ["pgrad", "reptile-ema", "groupdro", "irm"])
def test_other_algorithms(algorithm):
    outcome = run(config(algorithm, rollouts=2, evaluate_every=2))
    assert outcome["status"] == "finished", outcome.get("traceback")


def test_another_model_is_refused():
    outcome = run(config(model="mlp"))
    assert outcome["status"] == "failed"
    assert "a set of decisions needs one for every step: take 'decisions'" in outcome["error"]
    outcome = run(config(dataset="rotated-digits", held_out="0°"))
    assert "takes windows of decisions" in outcome["error"]


def test_options_stand_behind_the_name(monkeypatch, own_cache):
    own = DecisionSet(
        name="toy-set",
        domains=("a", "b", "c"),
        build=lambda options: Built(
            windows(episodes(share=float(options["noise"])), ("a", "b", "c"), 8, 1.0, "uint8"),
            {"noise": options["noise"]},
        ),
        description="a line",
        licence="none",
        source="none",
        options={"noise": ("0.3", "0.6")},
    )
    monkeypatch.setitem(DATASETS, "toy-set", own.entry())
    assert "toy-set?noise=0.6" in DATASETS
    assert "toy-set?noise=0.7" not in DATASETS
    with pytest.raises(ValueError, match=r"noise must be given once and be one of 0.3, 0.6; got '0.7'"):
        DATASETS["toy-set?noise=0.7"]
    with pytest.raises(ValueError, match=r"option 'nois' is not known\. Did you mean 'noise'"):
        DATASETS["toy-set?nois=0.6"]
    plain, noisy = DATASETS["toy-set"], DATASETS["toy-set?noise=0.6"]
    assert plain.factory.path != noisy.factory.path
    assert plain.factory.path == DATASETS["toy-set?loss=filtered"].factory.path
    assert plain.factory().digest() != noisy.factory().digest()
    assert plain.factory().domains[0].inputs.dtype == torch.uint8


def test_a_transformer_has_the_regime_of_sequences():
    assert regime_of("decisions", "full", DecisionLoss()) == "sequence"
