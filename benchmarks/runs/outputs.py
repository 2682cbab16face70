"""What a run leaves besides its record: kept weights and TensorBoard logs. None of it changes a result."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.runs.config import RunConfig
from benchmarks.runs.view import Score


@dataclass(frozen=True)
class Place:
    """Where a run is done.

    Attributes:
        folder: For prepared data and outputs; None keeps nothing on disk.
        device: Of torch.
        tensorboard: Write logs to ``tensorboard/<key>``.
        weights: Keep the weights of the best checkpoint in ``weights/<key>.pt``; of a refit those of its end.
    """

    folder: Path | None = None
    device: str = "cpu"
    tensorboard: bool = False
    weights: bool = False

    @contextlib.contextmanager
    def observer(self, config: RunConfig) -> Iterator[Recorder]:
        """What is told about every checkpoint of the run; closed and completed at the end.

        Raises:
            ImportError: if logs are asked for and TensorBoard is not installed.
        """
        writer = None
        if self.tensorboard and self.folder is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise ImportError(f"logs need TensorBoard ({error}); pip install 'pgrad[bench]' installs it") from error
            writer = SummaryWriter(str(self.folder / "tensorboard" / config.key()))
        recorder = Recorder(writer, self.weights, last=config.refit is not None)
        try:
            yield recorder
            if self.weights and self.folder is not None:
                recorder.save(self.folder, config)
        finally:
            if writer is not None:
                writer.close()


class Recorder:
    """Logs checkpoints and remembers the weights of the best one, or of the last."""

    def __init__(self, writer: Any, weights: bool, last: bool = False) -> None:
        self.model_file: str | None = None
        self._writer = writer
        self._weights = weights
        self._last = last
        self._best = float("-inf")
        self._state: dict[str, Tensor] = {}
        self._point: dict[str, Score] = {}

    def checkpoint(self, model: nn.Module, step: int, point: Mapping[str, Score], scores: Mapping[str, Score]) -> None:
        """One checkpoint: its entry of the curves and its scores by domain."""
        if self._writer is not None:
            named = {f"domains/{name}": value for name, value in scores.items()}
            for name, value in {**point, **named}.items():
                if value is not None:
                    self._writer.add_scalar(name, value, step)
        validation = point["validation"]
        better = validation is not None and validation > self._best
        if self._weights and (better or self._last):
            self._best = self._best if validation is None else validation
            self._point = {"step": step, **point}
            self._state = {name: _small(value) for name, value in model.state_dict().items()}

    def save(self, folder: Path, config: RunConfig) -> None:
        """Writes the best weights, whole or not at all."""
        path = folder / "weights" / f"{config.key()}.pt"
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        torch.save({"config": config.config(), "checkpoint": self._point, "model": self._state}, partial)
        partial.replace(path)
        self.model_file = path.relative_to(folder).as_posix()


def _small(value: Tensor) -> Tensor:
    value = value.detach().cpu()
    return value.to(torch.bfloat16) if value.is_floating_point() else value.clone()
