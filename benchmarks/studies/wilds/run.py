"""One run on a WILDS data set: the loop of all runs, then the official evaluation of the weights that were chosen."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import nn

from benchmarks.runs import checkpoint
from benchmarks.runs.environment import environment, fingerprint
from benchmarks.runs.outputs import Place
from benchmarks.runs.runner import outcome_of
from benchmarks.runs.training import Keeper, train
from benchmarks.runs.view import Outcome, Score
from benchmarks.studies.wilds import constant
from benchmarks.studies.wilds.config import Where, WildsConfig
from benchmarks.studies.wilds.setup import Assembled
from pgrad.integrations import wilds

__all__ = ["keeper", "run"]

Say = Callable[[str], None]


def keeper(config: WildsConfig, where: Where) -> Keeper:
    """Where the run is saved; another configuration has another folder, and other code does not go on."""
    identity = {"key": config.key(), "code": fingerprint(config.dataset, config.algorithm, config.model)}
    return Keeper(where.folder / "checkpoint.pt", identity, where.checkpoint_every, where.device)


def run(config: WildsConfig, place: Place, *, parts: Assembled, where: Where, say: Say) -> Outcome:
    """Trains, selects on the validation split, evaluates on all splits, writes predictions; goes on where it stopped.

    Returns:
        The fields of `benchmarks.base.records` that the run itself decides.
    """

    def do(outcome: Outcome) -> None:
        kept = keeper(config, where)
        checkpoint.restore_random_state(parts.random)
        parts.model.train()
        best = _Best(where.folder / "best.pt", config.metric, say, goes_on=kept.path.exists())
        train(parts.training, outcome, best, kept)
        _finish(config, parts, where, outcome["selection"]["step"], say)
        told = constant.figures(parts.judge.dataset, config.metric)
        outcome["diagnostics"] |= told
        for what, (value,) in told.items():
            say(f"{what}: {config.metric} {value:.4f}")
        if place.folder is not None:
            outcome["model_file"] = Path(os.path.relpath(best.path.resolve(), place.folder.resolve())).as_posix()

    return outcome_of(config, where.device, do)


class _Best:
    """Keeps the weights of the checkpoint with the highest validation score, the earliest of equals."""

    def __init__(self, path: Path, metric: str, say: Say, *, goes_on: bool) -> None:
        self.path, self.metric, self.say = path, metric, say
        self.validation: float | None = None
        if not goes_on:
            path.unlink(missing_ok=True)
        if path.exists():
            self.validation = _known(checkpoint.load(path)["validation"])

    def checkpoint(self, model: nn.Module, step: int, point: Mapping[str, Score], scores: Mapping[str, Score]) -> None:
        validation = _known(point["validation"])
        if self.validation is None or validation > self.validation:
            self.validation = validation
            content = {"model": model.state_dict(), "step": step, "validation": point["validation"]}
            checkpoint.save(content, self.path)
        found = ", ".join(f"{name} {_text(score)}" for name, score in scores.items())
        self.say(f"step {step}: loss {point['loss']:.4f}, {self.metric}: {found}")


def _known(score: Score) -> float:
    """A score that is not defined is the lowest."""
    return -math.inf if score is None else score


def _text(score: Score) -> str:
    return "n/a" if score is None else f"{score:.4f}"


def _finish(config: WildsConfig, parts: Assembled, where: Where, step: int, say: Say) -> None:
    """The official evaluation of the chosen weights, its predictions and its results."""
    parts.model.load_state_dict(checkpoint.load(where.folder / "best.pt", where.device)["model"])
    evaluations = parts.judge.evaluate(parts.model, config.eval_splits or None)
    results: dict[str, dict[str, Score]] = {}
    for split, found in evaluations.items():
        name = wilds.prediction_file(config.name, split, seed=config.seed, fold=config.fold or "A")
        wilds.write_predictions(where.predictions / config.name / name, found.predictions)
        results[split] = {key: value if math.isfinite(value) else None for key, value in found.results.items()}
        say(f"{split}: {config.metric} {_text(results[split][config.metric])} (checkpoint of step {step})")
    content = {
        "key": config.key(),
        "config": config.config(),
        "environment": environment(),
        "steps": parts.steps,
        "rollout_length": parts.rollout_length,
        "selected": step,
        "results": results,
    }
    path = where.folder / "results.json"
    partial = path.with_name("results.json.partial")
    partial.write_text(json.dumps(content, indent=1, allow_nan=False))
    partial.replace(path)
    say(f"predictions in {where.predictions / config.name}, all results in {path}")
