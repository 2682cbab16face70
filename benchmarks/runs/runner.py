"""One run from its configuration to its record."""

from __future__ import annotations

import functools
import itertools
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.algorithms import ALGORITHMS, Setup
from benchmarks.algorithms.averaging import sharing
from benchmarks.base.losses import Loss
from benchmarks.base.records import HINDSIGHT, MAJORITY, MEAN, SEPARATOR, Failure, constant_key
from benchmarks.base.resources import peak_memory, watch_memory
from benchmarks.base.seeds import seed_from
from benchmarks.datasets import DATASETS, Domain, Fit
from benchmarks.models import build
from benchmarks.runs.config import RunConfig, RunIdentity
from benchmarks.runs.features import FrozenBackbone, featured, frozen_backbone
from benchmarks.runs.fits import fit_of
from benchmarks.runs.folds import Dealing, dealing_of
from benchmarks.runs.judging import Judging, best_constant, constant_scores, judging, require_classes, weighted
from benchmarks.runs.outputs import Place
from benchmarks.runs.prepared import prepared
from benchmarks.runs.protocol import Split, batches, fitted, leave_out, repetition
from benchmarks.runs.refit import Retold
from benchmarks.runs.training import DivergedError, checkpoint_plan, train
from benchmarks.runs.view import (
    Batch,
    Observer,
    Outcome,
    Score,
    Scores,
    Training,
    mean_score,
)


def run(config: RunConfig, place: Place | None = None) -> Outcome:
    """Trains and evaluates; a run that fails gives an outcome too, with its error and what it reached before.

    Returns:
        The fields of `benchmarks.base.records` that the run itself decides.
    """
    place = place or Place()

    def do(outcome: Outcome) -> None:
        with place.observer(config) as observer:
            _train(config, place, observer, outcome)
        outcome["model_file"] = observer.model_file

    return outcome_of(config, place.device, do)


def _nothing_beside(_: Any) -> Sequence[RunIdentity]:
    """A function with a name, which processes of their own can be told."""
    return ()


@dataclass(frozen=True)
class RunKind:
    """A kind of run: the class of its configuration, and what does it.

    Attributes:
        config: Validates what a store holds.
        run: `run(config, place)` gives the outcome; it raises nothing but what stops a whole worker.
        beside: Configurations that one training would do as well, if they are asked for.
        run_together: `run_together(configs, place)` gives the outcomes of some of them, in their order.
    """

    config: type[RunIdentity]
    run: Callable[[Any, Place], Outcome]
    beside: Callable[[Any], Sequence[RunIdentity]] = _nothing_beside
    run_together: Callable[[Sequence[Any], Place], list[Outcome]] | None = None


def outcome_of(config: RunIdentity, device: str, do: Callable[[Outcome], None]) -> Outcome:
    """What `do` fills, and what it took; if it fails, what it had filled before, and why."""
    outcome: Outcome = {"key": config.key(), "config": config.config()}
    started, wall, cpu = time.time(), time.perf_counter(), time.process_time()
    watch_memory(device)
    try:
        do(outcome)
        outcome["status"] = "finished"
    except Exception as error:  # noqa: BLE001  whatever went wrong is part of the results
        outcome["status"] = "failed"
        outcome["failure"] = failure(error)
        outcome["error"] = f"{type(error).__name__}: {error}"
        outcome["traceback"] = traceback.format_exc()
    earlier_wall, earlier_cpu = outcome.pop("earlier", (0.0, 0.0))
    outcome["timings"] = {
        "wall_seconds": earlier_wall + time.perf_counter() - wall,
        "cpu_seconds": earlier_cpu + time.process_time() - cpu,
        "started": started,
        "ended": time.time(),
    }
    outcome["peak_memory"] = peak_memory(device)
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
    made = prepare(config, place)
    train(made.training, outcome, observer)
    outcome["diagnostics"] |= of_the_run(config, made)


def of_the_run(config: RunConfig, made: Prepared) -> dict[str, list[float]]:
    """What a record says besides its curves: see `benchmarks.base.records`."""
    training, split, judge = made.training, made.split, made.judge
    fixed = constant_scores(judge, split.labels, made.n_outputs, (*split.validation, *split.held_out))
    choosing = [part for part in split.validation if part.name in training.choosing]
    constant = MEAN if split.labels.is_floating_point() else MAJORITY
    figures: dict[str, Score] = {constant_key(constant, "held out"): mean_score(fixed.metric, training.held_out)}
    if choosing:
        best = best_constant(judge, split.labels, made.n_outputs, choosing)
        figures[constant_key(constant, "validation")] = mean_score(fixed.metric, training.choosing)
        figures[constant_key(constant, "validation", HINDSIGHT)] = best
    for name, found in fixed.measures.items():
        figures[constant_key(constant, "held out", name)] = mean_score(found, training.held_out)
    told = {name: [value] for name, value in figures.items() if value is not None}
    passes = repetition(ALGORITHMS[config.algorithm].batches, split.domains, config.batch_size, config.splits)
    return {**told, "repetition": passes} if max(passes) > 1.0 else told


@dataclass(frozen=True)
class Prepared:
    """A run that may begin.

    Attributes:
        training: What it trains on and is judged by.
        split: Of the data.
        judge: Of the models.
        n_outputs: Of the models.
    """

    training: Training
    split: Split
    judge: Judging
    n_outputs: int


def prepare(config: RunConfig, place: Place) -> Prepared:
    """Data, model and algorithm of a run.

    Raises:
        ValueError: if the data and the settings do not go together.
    """
    (made,) = prepare_together([config], place)
    return made


def prepare_together(configs: Sequence[RunConfig], place: Place) -> list[Prepared]:
    """The same of runs that differ in algorithms which move the model alike; all have one model and one optimizer.

    Raises:
        ValueError: if the data and the settings, or the algorithms, do not go together.
    """
    config = configs[0]
    dataset = DATASETS[config.dataset]
    data = prepared(config.dataset, place.folder)
    require_classes(config, quantity=data.domains[0].labels.is_floating_point())
    backbone = frozen_backbone(config, data.input_shape)
    dealing, fit = dealing_of(config.dataset, config.folds), fit_of(config.dataset, config.model)
    refit = config.refit is not None
    split = _split(
        config.dataset, place.folder, config.held_out, config.seed, backbone, place.device, dealing, fit, refit
    )
    split = _moved(split, place.device)
    # Neither the algorithm nor the point is part of these names: all of them start at the same place.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_from("initialisation", config.dataset, config.seed))
        cut = backbone.cut if backbone else None
        input_shape = data.input_shape if cut else tuple(split.inputs.shape[1:])
        model = build(config, input_shape, data.n_outputs, cut).to(place.device)
    names = (config.dataset, SEPARATOR.join(config.held_out), config.seed)
    entry = ALGORITHMS[config.algorithm]
    n_domains = len(data.domains) - len(config.held_out)
    rollout_length, cost = config.splits * n_domains, entry.evaluations(n_domains)
    setup = Setup(
        rollout_length=rollout_length,
        n_domains=n_domains,
        updates=config.rollouts * rollout_length // cost,
        seed=seed_from("algorithm", *names),
        loss=weighted(config, dataset, split.labels, data.n_outputs),
    )
    judge = judging(config, dataset)
    if len(configs) == 1:
        algorithms = [entry.factory(model, config.hparams, setup)]
    else:
        algorithms = sharing(model, [(each.algorithm, each.hparams) for each in configs], setup)
    order = batches(entry.batches, split.domains, config.batch_size, config.splits, seed=seed_from("order", *names))
    # A refit is told a validation loss where the chosen run was, and else looks at its end alone.
    end = config.ends
    every = end if refit and not config.valley else config.evaluate_every
    training = Training(
        algorithm=algorithms[0],
        source=_InMemory(split, order, single=entry.batches == "single-domain"),
        cost=cost,
        checkpoints=checkpoint_plan(end, every, rollout_length, cost, config.algorithm),
        validation=tuple(domain.name for domain in split.validation),
        held_out=tuple(domain.name for domain in split.held_out),
        evaluate=lambda evaluated: _evaluate(evaluated, split, judge, setup.loss),
        validation_loss=Retold(config) if refit else lambda: _validation_loss(model, split.validation, setup.loss),
        measures=tuple(judge.measures),
        choosing=() if refit else judge.defined(split.validation, data.n_outputs),
    )
    trainings = [replace(training, algorithm=algorithm) for algorithm in algorithms]
    return [Prepared(each, split, judge, data.n_outputs) for each in trainings]


@dataclass
class _InMemory:
    """The mini-batches of a split, in an order that begins anew with every process."""

    split: Split
    order: Iterator[Tensor]
    single: bool
    taken: int = 0

    def __iter__(self) -> Iterator[Batch]:
        for index in self.order:
            domain = int(self.split.domains[index[0]]) if self.single else None
            yield self.split.inputs[index], self.split.labels[index], domain

    def state_dict(self, taken: int) -> dict[str, Any]:
        return {"taken": self.taken + taken}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.taken = state["taken"]
        self.order = itertools.islice(self.order, self.taken, None)


@functools.lru_cache(maxsize=2)  # the next run of a sweep has the same split, and another algorithm
def _split(
    dataset: str,
    folder: Path | None,
    held_out: tuple[str, ...],
    seed: int,
    backbone: FrozenBackbone | None,
    device: str,
    dealing: Dealing,
    fit: Fit | None,
    refit: bool,
) -> Split:
    data = prepared(dataset, folder) if backbone is None else featured(dataset, backbone, folder, device)
    return fitted(leave_out(data, held_out, seed, dealing, refit), fit)


@torch.inference_mode()
def _evaluate(model: nn.Module, split: Split, judge: Judging, loss: Loss) -> Scores:
    """The score on every domain, and by measure the others: the validation part of a training domain, all of a
    held-out one; and the loss on the validation parts, each counting the same."""
    model.eval()
    found = {domain.name: (model(domain.inputs), domain.labels) for domain in (*split.validation, *split.held_out)}
    model.train()
    for name, (outputs, _) in found.items():
        if outputs.isnan().any():  # the largest of NaN would be class 0
            raise DivergedError(f"the model's outputs on domain {name!r} are not numbers")
    losses = [float(loss(*found[domain.name])) for domain in split.validation]
    return replace(judge.scores(found), loss=sum(losses) / len(losses) if losses else None)


@torch.inference_mode()
def _validation_loss(model: nn.Module, validation: Sequence[Domain], loss: Loss) -> float:
    """The mean over the validation parts of the training domains, each counting the same."""
    model.eval()
    losses = [float(loss(model(domain.inputs), domain.labels)) for domain in validation]
    model.train()
    return sum(losses) / len(losses)


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
