"""From the settings of a run to its model, and what settings go together."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from benchmarks.base.errors import unknown
from benchmarks.models import weights as sources
from benchmarks.models.backbones import PREFIX, Backbone, require_known
from benchmarks.models.catalogue import MODELS
from benchmarks.models.cut import Cut, Rest
from benchmarks.models.settings import FROZEN, FULL, ModelSettings
from benchmarks.models.small import mlp
from benchmarks.models.tuning import Tuned, require_possible

_DEFAULTS = {"weights": sources.NONE, "tuning": FULL, "batch_norm": None, "image_size": None}


def known_model(name: str) -> str:
    """The name, if it is in the registry or timm has it.

    Raises:
        ValueError: If there is no such model, or it is one of timm and timm is not installed.
    """
    if name.startswith(PREFIX):
        try:
            require_known(name.removeprefix(PREFIX))
        except ImportError as error:
            raise ValueError(str(error)) from error
    elif name not in MODELS:
        raise ValueError(f"{unknown(name, MODELS)} Networks of timm are called '{PREFIX}NAME'.")
    return name


def require_fitting(settings: ModelSettings, model: str) -> None:
    """Refuses settings that do not go together, before a run begins; the message begins with the word that is wrong.

    Raises:
        ValueError: If so.
        ImportError: If the model is one of timm and timm is not installed.
    """
    known_model(model)
    if not model.startswith(PREFIX):
        for name, default in _DEFAULTS.items():
            if (value := getattr(settings, name)) != default:
                raise ValueError(f"{name}: {value!r} is for networks of timm ('{PREFIX}NAME'); the model is {model!r}")
        if settings.depth is not None and "depth" not in inspect.signature(MODELS[model].factory).parameters:
            raise ValueError(f"depth: model {model!r} has a depth of its own, got {settings.depth}")
        return
    if settings.weights == sources.PACKAGE and model != sources.PACKAGE_FITS:
        raise ValueError(f"weights: those of {sources.PACKAGE} fit {sources.PACKAGE_FITS} alone; the model is {model}")
    if settings.tuning != FULL and settings.weights == sources.NONE:
        raise ValueError(f"tuning: {settings.tuning!r} keeps weights that were learned elsewhere: give some (weights)")
    if settings.tuning == FROZEN:
        if settings.batch_norm not in (None, "frozen"):
            raise ValueError(f"batch_norm: that of a frozen backbone is frozen, got {settings.batch_norm!r}")
        return
    require_possible(model.removeprefix(PREFIX), settings.tuning, settings.batch_norm)


def build(settings: ModelSettings, input_shape: tuple[int, ...], n_outputs: int, cut: Cut | None = None) -> nn.Module:
    """The model of a run, initialised by torch's global generator.

    Args:
        settings: Of the run, its model among them.
        input_shape: Of one input; of the features where the backbone is frozen.
        n_outputs: Logits, or columns of a prediction.
        cut: Where the model begins, if not at the pictures.

    Raises:
        ValueError: If settings do not go together, or do not fit the inputs.
        ImportError: If the model needs a package that is not installed.
        OSError: If weights cannot be downloaded.
    """
    model = settings.model or "mlp"
    require_fitting(settings, model)
    if not model.startswith(PREFIX):
        depth: dict[str, Any] = {} if settings.depth is None else {"depth": settings.depth}
        return MODELS[model].factory(input_shape, n_outputs, settings.width, **depth)
    depth_of_head = settings.depth or 0
    if settings.tuning == FROZEN:
        return mlp(input_shape, n_outputs, settings.width, depth_of_head)
    name = model.removeprefix(PREFIX)
    backbone = Backbone(name, input_shape, settings.weights, settings.image_size)
    head = mlp((backbone.n_features,), n_outputs, settings.width, depth_of_head)
    trunk = Rest(backbone, cut) if cut else backbone
    tuned = Tuned(trunk, head, name, settings.tuning, settings.batch_norm)
    return tuned.to(memory_format=torch.channels_last)  # the order that convolutions are fast in
