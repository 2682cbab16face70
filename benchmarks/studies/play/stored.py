"""Models of decisions that a sweep kept (``outputs.weights: best``), ready to play."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.base.errors import ConfigError, unknown
from benchmarks.datasets import DATASETS, MultiDomainData
from benchmarks.datasets.decisions import SETS, by_path
from benchmarks.datasets.decisions.sets import DecisionSet, Play
from benchmarks.datasets.decisions.steps import Shape
from benchmarks.models import build
from benchmarks.runs.config import RunConfig


@dataclass(frozen=True)
class Stored:
    """A model, and what it plays.

    Attributes:
        model: In evaluation mode.
        config: Of the run that it is from.
        name: Of the data set that is played.
        play: Its games.
        domains: Of the data set.
        shape: Of its steps.
        window: Steps that the model sees at most.
        kind: Of the numbers that it is given.
    """

    model: nn.Module
    config: RunConfig
    name: str
    play: Play
    domains: tuple[str, ...]
    shape: Shape
    window: int
    kind: Any


def load(path: Path, dataset: str | None = None) -> Stored:
    """The model of a file of weights.

    Args:
        path: Of the file.
        dataset: What is played; None for what the model was trained on.

    Raises:
        ConfigError: If the file is none, or the model does not fit the data set; or there is nothing to play.
    """
    content = _content(path)
    try:
        config = RunConfig.model_validate(content["config"])
    except ValueError as error:
        raise ConfigError(f"{path}: its run cannot be read: {error}") from error
    name = dataset or config.dataset
    play, domains = _playable(name)
    data: MultiDomainData = DATASETS[name].factory()
    try:
        with torch.random.fork_rng(devices=[]):
            model = build(config, data.input_shape, data.n_outputs)
    except ValueError as error:
        raise ConfigError(f"{path} holds a model for {config.dataset}, which does not fit {name}: {error}") from error
    weights = _weights(path, content["model"])
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(
            f"{path} holds a model for {config.dataset}, which does not fit {name}: steps of {name} are "
            f"{' x '.join(map(str, data.input_shape[1:]))} in windows of {data.input_shape[0]}"
        ) from error
    steps, rows, columns = data.input_shape
    kind = str(data.domains[0].inputs.dtype).removeprefix("torch.")
    return Stored(model.eval(), config, name, play, domains, Shape.of(rows, columns, data.n_outputs), steps, kind)


def _content(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # what torch says of it is how to run what a stranger wrote
        raise ConfigError(f"{path} is no file of weights of a sweep: torch cannot read it as tensors") from error
    except Exception as error:
        raise ConfigError(f"{path} is no file of weights of a sweep: {type(error).__name__}: {error}") from error
    if not isinstance(content, dict) or not {"config", "model"} <= content.keys():
        raise ConfigError(f"{path} is no file of weights of a sweep: it has no 'config' and 'model'")
    return content


def _weights(path: Path, found: Any) -> dict[str, torch.Tensor]:
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ConfigError(f"{path} is no file of weights of a sweep: its 'model' must be tensors by name")
    wrong = [key for key, value in found.items() if not value.isfinite().all()]
    if wrong:
        raise ConfigError(
            f"{path} holds weights that are not finite, in {', '.join(wrong[:3])}: such a model chooses nothing"
        )
    return {key: value.float() for key, value in found.items()}


def _playable(name: str) -> tuple[Play, tuple[str, ...]]:
    line, _, query = name.partition("?")
    found: DecisionSet | None = SETS.get(line)
    if line.startswith("decisions:"):
        try:
            found, query = by_path.game_set(name.partition(":")[2])
        except ValueError as error:
            raise ConfigError(f"DATA: {error}") from error
        if found is None:
            raise ConfigError(
                f"DATA: {name} is a log, and a log cannot be played: nobody tells what other choices lead to"
            )
    if found is None:
        raise ConfigError(f"DATA: {unknown(name, SETS)} Other sets cannot be played.")
    if found.play is None:
        raise ConfigError(f"DATA: {name} has no simulator")
    try:
        return found.play(found.chosen(query)), found.domains
    except ValueError as error:
        raise ConfigError(f"DATA: {error}") from error
