"""The training loop of every run: updates, evaluations at checkpoints, and files from which it goes on bit for bit.

A `benchmarks.runs.view.Training` says what a run trains on and is judged by; `train` does it and fills the fields of
`benchmarks.base.records` that come of it. Data sets in memory (`benchmarks.runs.runner`) and data sets that
stream (`benchmarks.studies.wilds`) differ in their Training alone.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from benchmarks.runs import checkpoint
from benchmarks.runs.view import Observer, Outcome, Training, View


class DivergedError(RuntimeError):
    """The loss is no longer a finite number."""


@dataclass(frozen=True)
class Keeper:
    """Where and how often a run is saved.

    Attributes:
        path: Of the file.
        identity: Of the run, ready for JSON; the file of another one is refused.
        every: Gradient evaluations from one saving to the next; every checkpoint is saved as well.
        device: Of the tensors that are read.
    """

    path: Path
    identity: Mapping[str, Any]
    every: int
    device: str = "cpu"

    def save(self, content: Mapping[str, Any]) -> None:
        """Replaces the file."""
        checkpoint.save({"run": dict(self.identity), **content}, self.path)

    def load(self) -> dict[str, Any] | None:
        """What was saved last; None if there is nothing.

        Raises:
            ValueError: if it is of another run, or damaged.
        """
        if not self.path.exists():
            return None
        found = checkpoint.load(self.path, self.device)
        theirs = found.get("run", {})
        other = [f"{k}={theirs.get(k)!r} (here {own!r})" for k, own in self.identity.items() if theirs.get(k) != own]
        if other:
            raise ValueError(f"{self.path} must be of this run, got {', '.join(other)}; move it away to start afresh")
        return found


@dataclass
class _Progress:
    """What grows during a run besides model, algorithm and source.

    Attributes:
        updates: Made so far.
        done: Checkpoints so far.
        total: Loss since the last checkpoint.
        number: Updates since then.
        wall_seconds, cpu_seconds: Of processes before this one.
    """

    updates: int = 0
    done: int = 0
    total: Tensor | float = 0.0
    number: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0


def checkpoint_plan(rollouts: int, every: int, rollout_length: int, cost: int, name: str) -> list[tuple[int, int]]:
    """The gradient evaluations until each checkpoint, and the updates that they pay for; all after whole roll-outs.

    Args:
        rollouts: In all.
        every: Roll-outs from one checkpoint to the next.
        rollout_length: Gradient evaluations of a roll-out.
        cost: Gradient evaluations of an update.
        name: Of the algorithm.

    Raises:
        ValueError: if an update costs more than a checkpoint.

    Example:
        >>> checkpoint_plan(rollouts=5, every=2, rollout_length=6, cost=1, name="erm")
        [(12, 12), (24, 24), (30, 30)]
    """
    found: list[tuple[int, int]] = []
    updates = done = 0
    while done < rollouts:
        done = min(done + every, rollouts)
        step = done * rollout_length
        if step // cost == updates:
            raise ValueError(f"one update of {name} costs {cost} gradient evaluations, more than a checkpoint")
        updates = step // cost
        found.append((step, updates))
    return found


def train(training: Training, outcome: Outcome, observer: Observer, keeper: Keeper | None = None) -> None:
    """Trains; fills `outcome` while it does.

    With a `keeper` the run goes on where it was saved last, and ends with the same bits as one that was not stopped.

    Raises:
        DivergedError: if the loss is no longer finite.
        ValueError: if what was saved is of another run.
    """
    view = View(training, outcome, observer)
    progress = _Progress()
    saved = None if keeper is None else keeper.load()
    if saved is not None:
        progress = _restored(training, saved)
        outcome.update(saved["scores"])
        # Files of earlier versions have no losses, and the curves stay incomplete.
        view.losses = saved.get("losses", view.losses)
        outcome["earlier"] = (progress.wall_seconds, progress.cpu_seconds)
    _Loop([view], keeper, progress).run()
    view.end()


def train_once(views: Sequence[View]) -> None:
    """Trains for several views, whose algorithms share model and optimizer; each sees what it would have seen alone.

    A view whose evaluation fails has the error, and the others go on.

    Raises:
        DivergedError: if the loss is no longer finite.
    """
    _Loop(list(views), None, _Progress()).run()
    for view in views:
        if view.error is None:
            view.end()


def _restored(training: Training, saved: Mapping[str, Any]) -> _Progress:
    training.algorithm.model.load_state_dict(saved["model"])
    training.algorithm.load_state_dict(saved["algorithm"])
    training.source.load_state_dict(saved["source"])
    checkpoint.restore_random_state(saved["random"])
    return _Progress(**saved["progress"])


@dataclass
class _Loop:
    views: list[View]
    keeper: Keeper | None
    progress: _Progress

    def __post_init__(self) -> None:
        self.training = self.views[0].training
        self.before = self.progress.updates
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def run(self) -> None:
        batches = iter(self.training.source)
        for step, due in self.training.checkpoints[self.progress.done :]:
            while self.progress.updates < due:
                self._update(*next(batches))
                if self._is_to_be_saved(due):
                    self._save()
            loss = float(self.progress.total) / self.progress.number
            if not math.isfinite(loss):
                raise DivergedError(f"the mean loss before step {step} is {loss}")
            self._checkpoint(step, loss)
            self.progress.total, self.progress.number = 0.0, 0
            self.progress.done += 1
            self._save()

    def _update(self, inputs: Tensor, labels: Any, domain: int | None) -> None:
        algorithm, progress = self.training.algorithm, self.progress
        if self.training.rate is not None:
            scale_rates(algorithm.optimizer, self.training.rate(progress.updates * self.training.cost))
        if domain is not None:
            algorithm.begin(domain)
        progress.total = progress.total + algorithm.update(inputs, labels)
        for view in self.views[1:]:
            view.training.algorithm.moved()
        progress.updates += 1
        progress.number += 1

    def _is_to_be_saved(self, due: int) -> bool:
        """Whether this update passes a multiple of the keeper's steps; at a checkpoint it is saved anyway."""
        if self.keeper is None or self.progress.updates == due:
            return False
        steps = self.progress.updates * self.training.cost
        return steps // self.keeper.every > (steps - self.training.cost) // self.keeper.every

    def _checkpoint(self, step: int, loss: float) -> None:
        for view in self.views:
            if view.error is None:
                try:
                    view.checkpoint(step, loss)
                except Exception as error:  # noqa: BLE001  the run of this view fails, and says it in its own words
                    view.error = error
        if all(view.error for view in self.views):
            raise next(view.error for view in self.views if view.error)

    def _save(self) -> None:
        if self.keeper is None:
            return
        (view,) = self.views
        progress = dataclasses.asdict(self.progress)
        progress["wall_seconds"] += time.perf_counter() - self.wall
        progress["cpu_seconds"] += time.process_time() - self.cpu
        self.keeper.save(
            {
                "progress": progress,
                "scores": {name: view.outcome[name] for name in ("curves", "domain_curves", "measures")},
                "losses": view.losses,
                "model": self.training.algorithm.model.state_dict(),
                "algorithm": self.training.algorithm.state_dict(),
                "source": self.training.source.state_dict(self.progress.updates - self.before),
                "random": checkpoint.random_state(),
            }
        )


def scale_rates(optimizer: Optimizer, factor: float) -> None:
    """Sets the learning rate of every group to `factor` times the one that it began with.

    An optimizer that an algorithm makes anew begins anew; a scheduler of torch would keep to the old one.
    """
    for group in optimizer.param_groups:
        group["lr"] = factor * group.setdefault("initial_lr", group["lr"])
