"""One run from its configuration to its record."""

from __future__ import annotations

import functools
import itertools
import math
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.algorithms import ALGORITHMS, Algorithm, Setup
from benchmarks.base.losses import Loss
from benchmarks.base.records import SEPARATOR, Failure
from benchmarks.base.resources import peak_memory, watch_memory
from benchmarks.base.seeds import seed_from
from benchmarks.datasets import DATASETS, Domain, Metric
from benchmarks.models import build
from benchmarks.runs.config import RunConfig
from benchmarks.runs.features import FrozenBackbone, featured, frozen_backbone
from benchmarks.runs.outputs import Observer, Place
from benchmarks.runs.prepared import prepared
from benchmarks.runs.protocol import Split, batches, checkpoints, fitted, leave_out

Outcome = dict[str, Any]


class DivergedError(RuntimeError):
    """The loss is no longer a finite number."""


def run(config: RunConfig, place: Place | None = None) -> Outcome:
    """Trains and evaluates; a run that fails gives an outcome too, with its error and what it reached before.

    Returns:
        The fields of :mod:`benchmarks.base.records` that the run itself decides.
    """
    place = place or Place()
    outcome: Outcome = {"key": config.key(), "config": config.config()}
    started, wall, cpu = time.time(), time.perf_counter(), time.process_time()
    watch_memory(place.device)
    try:
        with place.observer(config) as observer:
            _train(config, place, observer, outcome)
        outcome["model_file"] = observer.model_file
        outcome["status"] = "finished"
    except Exception as error:  # noqa: BLE001  whatever went wrong is part of the results
        outcome["status"] = "failed"
        outcome["failure"] = failure(error)
        outcome["error"] = f"{type(error).__name__}: {error}"
        outcome["traceback"] = traceback.format_exc()
    outcome["timings"] = {
        "wall_seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "started": started,
        "ended": time.time(),
    }
    outcome["peak_memory"] = peak_memory(place.device)
    return outcome


def failure(error: BaseException) -> Failure:
    """The kind of failure that an exception tells of."""
    if isinstance(error, DivergedError):
        return "diverged"
    if isinstance(error, ImportError):
        return "import"
    # torch's allocator of host memory raises a plain RuntimeError.
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    ):
        return "out-of-memory"
    return "error"


def _train(config: RunConfig, place: Place, observer: Observer, outcome: Outcome) -> None:
    dataset = DATASETS[config.dataset]
    data = prepared(config.dataset, place.folder)
    backbone = frozen_backbone(config, data.input_shape)
    split = _split(config.dataset, place.folder, config.held_out, config.seed, backbone, place.device)
    split = _moved(split, place.device)
    # Neither the algorithm nor the point is part of these names: all of them start at the same place.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_from("initialisation", config.dataset, config.seed))
        cut = backbone.cut if backbone else None
        input_shape = data.input_shape if cut else tuple(split.inputs.shape[1:])
        model = build(config, input_shape, data.n_outputs, cut).to(place.device)
    names = (config.dataset, SEPARATOR.join(config.held_out), config.seed)
    entry = ALGORITHMS[config.algorithm]
    n_domains = len(split.validation)
    rollout_length = config.splits * n_domains
    setup = Setup(
        rollout_length=rollout_length,
        n_domains=n_domains,
        updates=config.rollouts * rollout_length // entry.evaluations(n_domains),
        seed=seed_from("algorithm", *names),
        loss=dataset.loss,
    )
    algorithm = entry.factory(model, config.hparams, setup)
    order = batches(entry.batches, split.domains, config.batch_size, config.splits, seed=seed_from("order", *names))
    curves: dict[str, list[float]] = {"step": [], "loss": [], "validation": [], "held_out": []}
    domain_curves: dict[str, list[float]] = {domain.name: [] for domain in (*split.validation, *split.held_out)}
    measures = {name: {domain: list[float]() for domain in domain_curves} for name in dataset.measures}
    outcome.update(curves=curves, domain_curves=domain_curves, measures=measures)

    updates = 0
    for step, due in _checkpoints(config, rollout_length, entry.evaluations(n_domains)):
        loss = _mean_loss(algorithm, split, itertools.islice(order, due - updates), entry.batches == "single-domain")
        if not math.isfinite(loss):
            raise DivergedError(f"the mean loss before step {step} is {loss}")
        updates = due
        algorithm.validate(lambda: _validation_loss(model, split, setup.loss))
        with algorithm.evaluated() as evaluated:
            scores, others = _evaluate(evaluated, split, dataset.metric, dataset.measures)
            point = {"step": step, "loss": loss, **_means(split, scores)}
            for name, value in point.items():
                curves[name].append(value)
            for name, value in scores.items():
                domain_curves[name].append(value)
            for measure, found in others.items():
                for name, value in found.items():
                    measures[measure][name].append(value)
            observer.checkpoint(evaluated, point, scores)
    selections = checkpoints(curves)
    outcome["selections"] = selections
    outcome["selection"] = {name: selections["training-domain"][name] for name in ("step", "validation", "held_out")}
    outcome["diagnostics"] = algorithm.diagnostics()


def _checkpoints(config: RunConfig, rollout_length: int, cost: int) -> Iterator[tuple[int, int]]:
    """The gradient evaluations until each checkpoint, and the updates that they pay for."""
    updates = done = 0
    while done < config.rollouts:
        done = min(done + config.evaluate_every, config.rollouts)
        step = done * rollout_length
        if step // cost == updates:
            raise ValueError(
                f"one update of {config.algorithm} costs {cost} gradient evaluations, more than a checkpoint"
            )
        updates = step // cost
        yield step, updates


def _mean_loss(algorithm: Algorithm, split: Split, order: Iterator[Tensor], single: bool) -> float:
    total: Tensor | float = 0.0
    number = 0
    for index in order:
        if single:
            algorithm.begin(int(split.domains[index[0]]))
        total = total + algorithm.update(split.inputs[index], split.labels[index])
        number += 1
    return float(total) / number


@functools.lru_cache(maxsize=2)  # the next run of a sweep has the same split, and another algorithm
def _split(
    dataset: str,
    folder: Path | None,
    held_out: tuple[str, ...],
    seed: int,
    backbone: FrozenBackbone | None,
    device: str,
) -> Split:
    data = prepared(dataset, folder) if backbone is None else featured(dataset, backbone, folder, device)
    return fitted(leave_out(data, held_out, seed), DATASETS[dataset].fit)


@torch.inference_mode()
def _evaluate(
    model: nn.Module, split: Split, metric: Metric, measures: Mapping[str, Metric]
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """The score on every domain, and by measure the others: the validation part of a training domain, all of a
    held-out one."""
    model.eval()
    found = {domain.name: (model(domain.inputs), domain.labels) for domain in (*split.validation, *split.held_out)}
    model.train()

    def by(judge: Metric) -> dict[str, float]:
        return {name: judge(outputs, labels) for name, (outputs, labels) in found.items()}

    return by(metric), {name: by(measure) for name, measure in measures.items()}


@torch.inference_mode()
def _validation_loss(model: nn.Module, split: Split, loss: Loss) -> float:
    """The mean over the validation parts of the training domains, each counting the same."""
    model.eval()
    losses = [float(loss(model(domain.inputs), domain.labels)) for domain in split.validation]
    model.train()
    return sum(losses) / len(losses)


def _means(split: Split, scores: dict[str, float]) -> dict[str, float]:
    """Every domain counts the same."""
    parts = {"validation": split.validation, "held_out": split.held_out}
    return {name: sum(scores[domain.name] for domain in domains) / len(domains) for name, domains in parts.items()}


def _moved(split: Split, device: str) -> Split:
    def move(domains: tuple[Domain, ...]) -> tuple[Domain, ...]:
        return tuple(replace(each, inputs=each.inputs.to(device), labels=each.labels.to(device)) for each in domains)

    return replace(
        split,
        inputs=split.inputs.to(device),
        labels=split.labels.to(device),
        validation=move(split.validation),
        held_out=move(split.held_out),
    )
