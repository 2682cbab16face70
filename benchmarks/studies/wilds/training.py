"""The training loop: steps, evaluations on the way, and a checkpoint from which it goes on bit for bit."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.runs.environment import environment
from benchmarks.studies.wilds import checkpoint
from benchmarks.studies.wilds.setup import Config, Parts, assemble
from pgrad.integrations import wilds

__all__ = ["run"]

Say = Callable[[str], None]


class _Progress:
    """What grows during a run besides the parts: the step, sums since the last evaluation, evaluations so far."""

    def __init__(self) -> None:
        self.step = 0
        self.loss_sum = 0.0
        self.cosine_sum = 0.0
        self.rollouts = 0
        self.since = 0
        self.history: list[dict[str, float]] = []

    def best(self) -> dict[str, float]:
        """The evaluation with the highest validation metric; the earliest of equals. An undefined one is the lowest."""
        return max(self.history, key=lambda row: (-math.inf if math.isnan(v := row["validation"]) else v, -row["step"]))


def run(config: Config, say: Say) -> dict[str, Any]:
    """Train, select on the validation split, evaluate on all splits, write predictions; returns what is written.

    If the output folder holds the checkpoint of an unfinished run of the same configuration, that run goes on; the
    record of a finished one is returned as it is.

    Raises:
        ValueError: if the folder belongs to another configuration.
        FloatingPointError: if the loss is no longer finite.
    """
    record = _finished(config)
    if record is not None:
        say(f"{config.output} holds this run, finished: nothing is done again")
        return record
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    parts = assemble(config)
    progress = _resume(config, parts)
    if not progress.step and (config.split_scheme or config.metric != wilds.task(config.dataset).metric):
        _validation(config, parts, parts.model)  # an unknown metric shows now, not after an epoch
    say(
        f"{config.dataset}: {len(parts.dataset)} examples, {config.algorithm} on {config.backbone}, {parts.steps} steps"
        + (f" in roll-outs of {parts.rollout_length}" if parts.rollout_length > 1 else "")
        + (f", from step {progress.step}" if progress.step else "")
    )
    if parts.steps % parts.rollout_length:
        say(f"note: {parts.steps} steps are not whole roll-outs of {parts.rollout_length}; the last part is not used")
    _train(config, parts, progress, say)
    return _finish(config, parts, progress, say)


def _train(config: Config, parts: Parts, progress: _Progress, say: Say) -> None:
    if progress.step >= parts.steps:
        return
    device, learner = torch.device(config.device), parts.learner
    parts.model.train()
    total = torch.zeros((), device=device)
    for taken, x, y in _updates(parts, device):
        total += learner.update(x, y)
        before, progress.step = progress.step, progress.step + learner.cost
        progress.since += 1
        cosine = learner.cosine()
        if cosine is not None:
            progress.cosine_sum += cosine
            progress.rollouts += 1
        last = progress.step >= parts.steps
        evaluates = last or progress.step // parts.eval_every > before // parts.eval_every
        if evaluates or progress.step // config.checkpoint_every > before // config.checkpoint_every:
            progress.loss_sum += total.item()
            total.zero_()
            if evaluates:
                _evaluate(config, parts, progress, say)
            _save(config, parts, progress, taken)
        if last:
            break


def _updates(parts: Parts, device: torch.device) -> Iterator[tuple[int, torch.Tensor, Any]]:
    """What each update takes, after the number of batches read so far; several batches are stacked domain by domain."""
    waiting: list[tuple[int, torch.Tensor, torch.Tensor]] = []
    for taken, (x, y, metadata) in enumerate(parts.loader, start=1):
        x = x.to(device, non_blocking=True)
        if parts.augment is not None:
            x = parts.augment(x)
        if parts.learner.width == 1:
            yield taken, x, y
            continue
        waiting.append((int(parts.grouper.metadata_to_group(metadata[:1])), x, y))
        if len(waiting) == parts.learner.width:
            waiting.sort(key=lambda batch: batch[0])
            yield taken, torch.stack([x for _, x, _ in waiting]), torch.stack([y for _, _, y in waiting])
            waiting.clear()


def _evaluate(config: Config, parts: Parts, progress: _Progress, say: Say) -> None:
    """One row of the history; the weights are kept if they are the best so far."""
    loss = progress.loss_sum / progress.since
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the mean loss of steps {progress.step - progress.since + 1} to {progress.step} is {loss}; lower --lr"
        )
    split = wilds.SELECTION_SPLIT
    with parts.learner.evaluated() as model:
        row = {"step": progress.step, "loss": loss, "validation": _validation(config, parts, model)}
        if progress.rollouts:
            row["cosine"] = progress.cosine_sum / progress.rollouts
        progress.history.append(row)
        if progress.best() is row:
            checkpoint.save({"model": model.state_dict(), "step": progress.step}, config.output / "best.pt")
    say(f"step {progress.step}: loss {loss:.4f}, {split} {config.metric} {row['validation']:.4f}")
    progress.loss_sum = progress.cosine_sum = 0.0
    progress.since = progress.rollouts = 0


def _validation(config: Config, parts: Parts, model: torch.nn.Module) -> float:
    split = wilds.SELECTION_SPLIT
    found = wilds.evaluate(model, parts.dataset, [split], **_options(config, parts))[split].results
    if config.metric not in found:
        known = ", ".join(name for name in found if ":" not in name)
        raise ValueError(f"metric of {config.dataset} with these options must be one of {known}; got {config.metric!r}")
    return found[config.metric]


def _options(config: Config, parts: Parts) -> dict[str, Any]:
    return {
        "transform": parts.prepare,
        "batch_size": config.eval_batch_size,
        "device": config.device,
        "num_workers": config.workers,
    }


def _save(config: Config, parts: Parts, progress: _Progress, taken: int) -> None:
    content = {
        "config": config.identity(),
        "progress": vars(progress),
        "model": parts.model.state_dict(),
        "learner": parts.learner.state_dict(),
        "sampler": parts.sampler.state_dict(consumed=taken),
        "random": checkpoint.random_state(),
    }
    checkpoint.save(content, config.output / "checkpoint.pt")


def _resume(config: Config, parts: Parts) -> _Progress:
    progress = _Progress()
    path = config.output / "checkpoint.pt"
    if not path.exists():
        return progress
    saved = checkpoint.load(path, config.device)
    _same_run(config, saved.get("config", {}), path)
    parts.model.load_state_dict(saved["model"])
    parts.learner.load_state_dict(saved["learner"])
    parts.sampler.load_state_dict(saved["sampler"])
    vars(progress).update(saved["progress"])
    checkpoint.restore_random_state(saved["random"])
    return progress


def _same_run(config: Config, found: dict[str, Any], path: Path) -> None:
    here = config.identity()
    other = [f"{key}={found.get(key)!r} (here {here[key]!r})" for key in here if found.get(key) != here[key]]
    if other:
        raise ValueError(f"{path} is of another run, with {', '.join(other)}; choose another --output or delete it")


def _finished(config: Config) -> dict[str, Any] | None:
    path = config.output / "results.json"
    if not path.exists():
        return None
    record: dict[str, Any] = json.loads(path.read_text())
    _same_run(config, record["config"], path)
    return record


def _finish(config: Config, parts: Parts, progress: _Progress, say: Say) -> dict[str, Any]:
    best = progress.best()
    parts.model.load_state_dict(checkpoint.load(config.output / "best.pt", config.device)["model"])
    splits = list(config.eval_splits) or None
    evaluations = wilds.evaluate(parts.model, parts.dataset, splits, **_options(config, parts))
    for split, found in evaluations.items():
        name = wilds.prediction_file(config.dataset, split, seed=config.seed, fold=config.fold)
        wilds.write_predictions(config.predictions / config.dataset / name, found.predictions)
        say(f"{split}: {config.metric} {found.results[config.metric]:.4f} (checkpoint of step {best['step']:.0f})")
    record = {
        "config": config.identity(),
        "environment": environment(),
        "steps": parts.steps,
        "rollout_length": parts.rollout_length,
        "history": progress.history,
        "selected": best,
        "results": {split: found.results for split, found in evaluations.items()},
    }
    path = config.output / "results.json"
    partial = path.with_name("results.json.partial")
    partial.write_text(json.dumps(record, indent=1))
    partial.replace(path)
    say(f"predictions in {config.predictions / config.dataset}, all results in {path}")
    return record
