import itertools

import pytest
import torch

from benchmarks.algorithms import ALGORITHMS, Setup
from benchmarks.base.metrics import accuracy
from benchmarks.base.seeds import seed_from
from benchmarks.datasets import DATASETS
from benchmarks.models import build
from benchmarks.runs.config import RunConfig
from benchmarks.runs.protocol import batches, leave_out
from benchmarks.runs.runner import run
from tests.benchmarks.toy_sweeps import toy_sweep

SPEC = RunConfig(
    dataset="coloured-digits",
    algorithm="reptile",
    held_out="80%",
    seed=0,
    point=0,
    hparams={"lr": 0.01, "weight_decay": 0.0, "outer_lr": 0.1, "n_components": 2},
    rollouts=5,
    evaluate_every=2,
    batch_size=8,
    splits=3,
    width=8,
)


def but(**changes):
    return RunConfig.model_validate({**SPEC.model_dump(), **changes})


def result(spec):
    record = run(spec)
    assert record["status"] == "finished", record.get("traceback")
    return record["curves"]


def test_record():
    record = run(SPEC)
    assert record["key"] == SPEC.key()
    assert record["config"] == SPEC.config()
    assert record["curves"]["step"] == [12, 24, 30]  # roll-outs of 3 x 2 steps; the end is a checkpoint too
    assert record["selection"]["validation"] == max(record["curves"]["validation"])
    assert record["timings"]["cpu_seconds"] > 0


@pytest.mark.parametrize("algorithm", ["erm", "pgrad", "reptile"])
def test_same_specification_same_result(algorithm):
    assert result(but(algorithm=algorithm)) == result(but(algorithm=algorithm))


@pytest.mark.parametrize("algorithm", ["erm", "pgrad"])
def test_the_loop_is_the_plain_one(algorithm):
    config = but(algorithm=algorithm)
    data, entry = DATASETS[config.dataset].factory(), ALGORITHMS[algorithm]
    split = leave_out(data, config.held_out, config.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_from("initialisation", config.dataset, config.seed))
        model = build(config, data.input_shape, data.n_outputs, None)
    names = (config.dataset, "80%", config.seed)
    made = entry.factory(model, config.hparams, Setup(6, 2, 30, seed_from("algorithm", *names)))
    order = batches(entry.batches, split.domains, 8, 3, seed_from("order", *names))
    losses, held_out = [], []
    for number in (12, 12, 6):
        updates = [made.update(split.inputs[index], split.labels[index]) for index in itertools.islice(order, number)]
        losses.append(float(sum(updates)) / number)
        with made.evaluated() as evaluated, torch.inference_mode():
            held_out.append(accuracy(evaluated(split.held_out[0].inputs), split.held_out[0].labels))
    assert result(config)["loss"] == losses
    assert result(config)["held_out"] == held_out


@pytest.mark.parametrize("change", [{"seed": 1}, {"held_out": "10%"}, {"algorithm": "erm"}])
def test_another_specification_another_result(change):
    assert result(SPEC) != result(but(**change))
    assert SPEC.key() != but(**change).key()


def test_algorithms_and_points_start_from_the_same_model():
    still = {"lr": 0.0, "weight_decay": 0.0, "outer_lr": 0.0, "n_components": 2}
    validation = [
        result(but(algorithm=name, point=point, hparams=still))["validation"]
        for name in ("erm", "pgrad", "reptile")
        for point in (0, 1)
    ]
    assert all(curve == validation[0] for curve in validation)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"algorithm": "erm", "hparams": {"lr": 1e30, "weight_decay": 0.0}}, "DivergedError: the mean loss"),
        ({"held_out": "15%"}, "ValueError: held_out must be some of"),
        ({"class_weights": "1,2,3"}, "ValueError: class_weights must have one number for each of the 2 classes, got 3"),
    ],
)
def test_a_failure_is_a_record(change, error):
    record = run(but(**change))
    assert record["status"] == "failed"
    assert record["error"].startswith(error)
    assert "Traceback" in record["traceback"]
    assert "selection" not in record


def test_other_measures_are_taken_at_every_checkpoint():
    """A held-out toy domain has as many examples of either class: there balanced accuracy is accuracy."""
    sweep = toy_sweep("toy-sgd")
    for config in sweep.runs():
        outcome = run(config)
        balanced = outcome["measures"]["balanced accuracy"]
        assert balanced.keys() == outcome["domain_curves"].keys()
        assert {len(values) for values in balanced.values()} == {len(outcome["curves"]["step"])}
        (held_out,) = config.held_out
        assert balanced[held_out] == pytest.approx(outcome["domain_curves"][held_out], abs=1e-12)
    assert run(SPEC)["measures"] == {}
