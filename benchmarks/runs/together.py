"""Runs whose trainings are one: ERM, and averages of it, from the same start with the same learning rate.

A worker that claims one of them claims the others that wait, trains once, and evaluates each average at its
checkpoints. Every record says what that run alone would have said, bit for bit, but for its times: those of the one
training in equal parts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial

from benchmarks.algorithms import averaging
from benchmarks.runs.config import RunConfig
from benchmarks.runs.outputs import Place, Recorder
from benchmarks.runs.runner import RunKind, of_the_run, outcome_of, prepare_together, run
from benchmarks.runs.training import train_once
from benchmarks.runs.view import Outcome, View


def beside(config: RunConfig) -> list[RunConfig]:
    """The other runs, if they are asked for; none for a refit, whose length is its own.

    Example:
        >>> hparams = {"lr": 0.01, "weight_decay": 0.0}
        >>> run = RunConfig(
        ...     dataset="coloured-digits", algorithm="erm", held_out="10%", seed=0, point=0, hparams=hparams
        ... )
        >>> sorted({each.algorithm for each in beside(run)})
        ['erm-ema', 'erm-swa', 'erm-swad']
    """
    if config.refit is not None:
        return []
    content = config.config()
    found = [
        RunConfig.model_validate({**content, "algorithm": name, "hparams": hparams})
        for name, hparams in averaging.beside(config.algorithm, config.hparams)
    ]
    return [each for each in found if each != config]


def run_together(configs: Sequence[RunConfig], place: Place) -> list[Outcome]:
    """As `benchmarks.runs.runner.run` for each, by one training."""
    if len(configs) == 1:
        return [run(configs[0], place)]
    session = _Session(configs, place)
    outcomes = [
        outcome_of(config, place.device, partial(session.fill, number)) for number, config in enumerate(configs)
    ]
    first = outcomes[0]
    for key in ("wall_seconds", "cpu_seconds"):
        first["timings"][key] /= len(configs)
    for outcome in outcomes[1:]:
        outcome.update(timings=dict(first["timings"]), peak_memory=first["peak_memory"])
    return outcomes


class _Session:
    """One training; what each run is to say is kept until it is asked."""

    def __init__(self, configs: Sequence[RunConfig], place: Place) -> None:
        self.configs, self.place = configs, place
        self.outcomes: list[Outcome] = [{} for _ in configs]
        self.errors: list[Exception | None] = [None] * len(configs)
        self.contexts = [place.observer(config) for config in configs]
        self.observers: list[Recorder] = []

    def fill(self, number: int, outcome: Outcome) -> None:
        """Trains for all when the first one is asked.

        Raises:
            Exception: that ended this run.
        """
        if number == 0:
            try:
                self._train()
            except Exception as error:  # noqa: BLE001  it is raised below, for every run that has no other one
                self.errors = [own or error for own in self.errors]
        outcome.update(self.outcomes[number])
        with contextlib.ExitStack() as stack:
            if number < len(self.observers):
                stack.push(self.contexts[number])  # its end is that of its own run
            own = self.errors[number]
            if own is not None:
                raise own
        outcome["model_file"] = self.observers[number].model_file

    def _train(self) -> None:
        for context in self.contexts:
            self.observers.append(context.__enter__())
        made = prepare_together(self.configs, self.place)
        parts = zip(made, self.outcomes, self.observers, strict=True)
        views = [View(one.training, outcome, observer) for one, outcome, observer in parts]
        try:
            train_once(views)
        finally:
            self.errors = [view.error for view in views]
        for view, config, one in zip(views, self.configs, made, strict=True):
            if view.error is None:
                view.outcome["diagnostics"] |= of_the_run(config, one)


TRAINING = RunKind(RunConfig, run, beside, run_together)
"""Runs on the data sets of the registry."""
