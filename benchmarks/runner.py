"""One run from its specification to its record."""

from __future__ import annotations

import functools
import itertools
import time
import traceback
from typing import Any

import torch
from torch import nn

from benchmarks.algorithms import ALGORITHMS, Setup
from benchmarks.datasets import DATASETS, Metric, MultiDomainData
from benchmarks.models import mlp
from benchmarks.protocol import Split, batches, best_checkpoint, leave_one_out
from benchmarks.seeds import seed_from
from benchmarks.spec import RunSpec

Record = dict[str, Any]


class DivergedError(RuntimeError):
    """The loss is no longer a finite number."""


@functools.cache
def _data(name: str) -> MultiDomainData:
    return DATASETS[name].factory()


def run(spec: RunSpec) -> Record:
    """Trains and evaluates; a run that fails gives a record too, with its error."""
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        outcome = {"status": "finished", **_train(spec)}
    except Exception as error:  # noqa: BLE001  whatever went wrong is part of the results
        outcome = {
            "status": "failed",
            "error": f"{type(error).__name__}: {error}",
            "traceback": traceback.format_exc(),
        }
    timings = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    return {"key": spec.key(), "config": spec.config(), **outcome, "timings": timings}


def _train(spec: RunSpec) -> Record:
    entry = ALGORITHMS[spec.algorithm]
    data = _data(spec.dataset)
    split = leave_one_out(data, spec.held_out, spec.seed)
    n_domains = len(split.validation)
    rollout_length = spec.splits * n_domains
    # Neither the algorithm nor the point is part of these names: all of them start at the same place.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_from("initialisation", spec.dataset, spec.seed))
        model = mlp(data.input_shape, data.n_classes, spec.width)
    cost = entry.evaluations(n_domains)
    setup = Setup(
        rollout_length=rollout_length,
        n_domains=n_domains,
        updates=spec.rollouts * rollout_length // cost,
        seed=seed_from("algorithm", spec.dataset, spec.held_out, spec.seed),
    )
    algorithm = entry.factory(model, spec.hparams, setup)
    order = batches(
        entry.batches,
        split.domains,
        spec.batch_size,
        spec.splits,
        seed=seed_from("order", spec.dataset, spec.held_out, spec.seed),
    )

    metric = DATASETS[spec.dataset].metric
    curves: dict[str, list[float]] = {"step": [], "loss": [], "validation": [], "held_out": []}
    step = updates = 0
    while step < spec.rollouts * rollout_length:
        rollouts = min(spec.evaluate_every, spec.rollouts - step // rollout_length)
        step += rollouts * rollout_length
        # As many updates as the gradient evaluations up to this checkpoint pay for.
        due = step // cost - updates
        if due == 0:
            raise ValueError(
                f"one update of {spec.algorithm} costs {cost} gradient evaluations, more than a checkpoint"
            )
        loss = torch.zeros(())
        for index in itertools.islice(order, due):
            loss += algorithm.update(split.inputs[index], split.labels[index])
        loss /= due
        updates += due
        if not loss.isfinite():
            raise DivergedError(f"the mean loss before step {step} is {loss.item()}")
        with algorithm.evaluated() as evaluated:
            scores = _evaluate(evaluated, split, metric)
        for name, value in {"step": step, "loss": loss.item(), **scores}.items():
            curves[name].append(value)
    return {
        "curves": curves,
        "selection": best_checkpoint(curves),
        "diagnostics": algorithm.diagnostics(),
    }


@torch.inference_mode()
def _evaluate(model: nn.Module, split: Split, metric: Metric) -> dict[str, float]:
    model.eval()
    scores = [metric(model(domain.inputs), domain.labels) for domain in split.validation]
    held_out = metric(model(split.held_out.inputs), split.held_out.labels)
    model.train()
    return {"validation": sum(scores) / len(scores), "held_out": held_out}
