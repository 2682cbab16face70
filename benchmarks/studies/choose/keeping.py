"""Refits whose predictions are kept: runs like all others, which leave a file beside their record.

``held_out/KEY.safetensors`` in the output folder: ``outputs`` ``[n, n_outputs]`` of the refitted model on the first
held-out domain, in the order of its examples, ``labels``, and ``unlike``: how unlike the domain was to what the model
was trained on (`benchmarks.runs.model_folder.seen`). Further held-out domains are those of a study.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.base.whole import whole
from benchmarks.runs.config import RunConfig
from benchmarks.runs.model_folder.seen import Seen, features, unlikeness
from benchmarks.runs.outputs import Place
from benchmarks.runs.protocol import Split
from benchmarks.runs.runner import of_the_run, outcome_of, prepare
from benchmarks.runs.training import train
from benchmarks.runs.view import Outcome, Score


@dataclass
class _Keep:
    """Remembers what the model says at its last checkpoint."""

    split: Split
    kept: dict[str, Tensor] = field(default_factory=dict)

    @torch.inference_mode()
    def checkpoint(self, model: nn.Module, step: int, point: Mapping[str, Score], scores: Mapping[str, Score]) -> None:  # noqa: ARG002
        model.eval()
        held_out = self.split.held_out[0]
        inside, outside = features(model, self.split.inputs), features(model, held_out.inputs)
        unlike = unlikeness(Seen.of(inside), outside)
        self.kept = {
            "outputs": model(held_out.inputs).float().cpu(),
            "labels": held_out.labels.cpu(),
            "unlike": torch.tensor([unlike], dtype=torch.float64),
        }
        model.train()


def run_keeping(config: RunConfig, place: Place) -> Outcome:
    """As `benchmarks.runs.runner.run`, and the file."""
    if place.folder is None:
        raise ValueError("predictions are kept in a folder, and the place of this run has none")
    folder = place.folder

    def do(outcome: Outcome) -> None:
        made = prepare(config, place)
        keep = _Keep(made.split)
        train(made.training, outcome, keep)
        outcome["diagnostics"] |= of_the_run(config, made)
        from safetensors.torch import save_file

        with whole(kept_path(folder, config.key())) as partial:
            save_file({name: value.contiguous() for name, value in keep.kept.items()}, partial)
        outcome["model_file"] = None

    return outcome_of(config, place.device, do)


def kept_path(folder: Path, key: str) -> Path:
    """The file of a run."""
    return folder / "held_out" / f"{key}.safetensors"


def kept(folder: Path, key: str) -> dict[str, Tensor]:
    """What a run left.

    Raises:
        FileNotFoundError: if the file is gone; says what to do.
    """
    from safetensors.torch import load_file

    path = kept_path(folder, key)
    if not path.is_file():
        raise FileNotFoundError(2, "it was removed; do its run again with the command again", str(path))
    return {name: value.clone() for name, value in load_file(path).items()}
