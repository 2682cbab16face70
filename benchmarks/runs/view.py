"""What a run trains on and is judged by, and one way to look at its model: what is noted at every checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn

from benchmarks.algorithms import Algorithm
from benchmarks.base.records import ASKED, VALIDATION_LOSS_CURVE
from benchmarks.runs.rules import TRAINING_DOMAIN
from benchmarks.runs.selection import checkpoints

Batch = tuple[Tensor, Any, int | None]
"""Inputs, labels, and the number of the domain if the mini-batch is of a single one."""

Score = float | None
"""None where a figure is not defined, say a correlation of predictions that are all the same."""

Outcome = dict[str, Any]


class Source(Protocol):
    """Mini-batches without end, one for each update, of the kind that the algorithm takes."""

    def __iter__(self) -> Iterator[Batch]:
        """From the first one on, or from where a state was taken that has been loaded."""

    def state_dict(self, taken: int) -> dict[str, Any]:
        """The position after `taken` mini-batches of the present loop."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The next loop goes on at this position."""


class Observer(Protocol):
    """What is told about every checkpoint."""

    def checkpoint(self, model: nn.Module, step: int, point: Mapping[str, Score], scores: Mapping[str, Score]) -> None:
        """The model, its entry of the curves but for the step, and its scores by part of the data."""


@dataclass(frozen=True)
class Scores:
    """What a model reaches.

    Attributes:
        metric: Part of the data -> figure of merit, by which checkpoints are chosen.
        measures: The same for each other figure of merit, by its name.
        loss: Mean loss on the validation parts; None where there are none, or it was not taken.
    """

    metric: Mapping[str, Score]
    measures: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)
    loss: Score = None


@dataclass(frozen=True)
class Training:
    """What a run trains on and is judged by.

    Attributes:
        algorithm: Moves the model; made for this run.
        source: Of its mini-batches.
        cost: Gradient evaluations of an update.
        checkpoints: At which gradient evaluations the model is evaluated, and after how many updates that is.
        validation: The parts of the data whose mean score is the validation score, which chooses the checkpoint; none
            in a refit.
        held_out: The parts whose mean is what the run is about.
        evaluate: Scores of a model on all of these parts.
        validation_loss: Of the model in training.
        measures: Names of the other figures of merit.
        choosing: Those of `validation` whose mean is the validation score; empty for all. The others hold examples on
            which the figure of merit is not defined, whatever a model says.
        rate: Factor of the learning rates after so many gradient evaluations; None for 1.
    """

    algorithm: Algorithm
    source: Source
    cost: int
    checkpoints: Sequence[tuple[int, int]]
    validation: tuple[str, ...]
    held_out: tuple[str, ...]
    evaluate: Callable[[nn.Module], Scores]
    validation_loss: Callable[[], float]
    measures: tuple[str, ...] = ()
    choosing: tuple[str, ...] = ()
    rate: Callable[[int], float] | None = None


@dataclass
class View:
    """One way to look at a model in training, and what is seen.

    Attributes:
        training: Whose algorithm says what is evaluated.
        outcome: Is filled while the model is trained, so that a run that fails leaves what it reached.
        observer: Is told.
        error: Of the first evaluation that failed, where other views went on.
    """

    training: Training
    outcome: Outcome
    observer: Observer
    error: Exception | None = None
    losses: dict[str, list[Score]] = field(default_factory=lambda: {VALIDATION_LOSS_CURVE: [], ASKED: []})

    def __post_init__(self) -> None:
        names = (*self.training.validation, *self.training.held_out)
        curves: dict[str, list[Score]] = {"step": [], "loss": [], "validation": [], "held_out": []}
        domain_curves: dict[str, list[Score]] = {name: [] for name in names}
        measures = {name: {domain: list[Score]() for domain in names} for name in self.training.measures}
        self.outcome.update(curves=curves, domain_curves=domain_curves, measures=measures)

    def checkpoint(self, step: int, loss: float) -> None:
        """Evaluates, and notes it."""
        training = self.training
        training.algorithm.validate(self._asked)
        with training.algorithm.evaluated() as model:
            scores = training.evaluate(model)
            choosing = training.choosing or training.validation
            validation = mean_score(scores.metric, choosing) if choosing else None
            if scores.loss is not None:
                self.losses[VALIDATION_LOSS_CURVE].append(scores.loss if math.isfinite(scores.loss) else None)
            held_out = mean_score(scores.metric, training.held_out)
            point = {"loss": loss, "validation": validation, "held_out": held_out}
            for name, value in {"step": step, **point}.items():
                self.outcome["curves"][name].append(value)
            for name, value in scores.metric.items():
                self.outcome["domain_curves"][name].append(value)
            for measure, found in scores.measures.items():
                for name, value in found.items():
                    self.outcome["measures"][measure][name].append(value)
            self.observer.checkpoint(model, step, point, scores.metric)

    def end(self) -> None:
        """Says what the curves say."""
        found = checkpoints(self.outcome["curves"])
        self.outcome["selections"] = found
        self.outcome["selection"] = {name: found[TRAINING_DOMAIN][name] for name in ("step", "validation", "held_out")}
        number = len(self.outcome["curves"]["step"])
        told = {name: values for name, values in self.losses.items() if len(values) == number}
        self.outcome["diagnostics"] = {**self.training.algorithm.diagnostics(), **told}

    def _asked(self) -> float:
        """The validation loss of the model in training, noted: a refit tells it again."""
        loss = self.training.validation_loss()
        if math.isfinite(loss):
            self.losses[ASKED].append(loss)
        return loss


def mean_score(scores: Mapping[str, Score], names: Sequence[str]) -> Score:
    """Every part counts the same; None if one of them has no score."""
    found = [scores[name] for name in names]
    known = [score for score in found if score is not None]
    return sum(known) / len(found) if len(known) == len(found) else None
