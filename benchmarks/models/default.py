"""The model of a data set for which a sweep names none.

For pictures that are large enough it is the pretrained network that comes in a package, where that is installed: its
features as they are, and a linear head that is trained on them. That takes seconds where training a small network from
scratch takes minutes, and no learning rate of the search has to be scaled for it.
"""

from __future__ import annotations

import importlib.util
from typing import TypeVar

from benchmarks.models.settings import FROZEN, FULL, ModelSettings
from benchmarks.models.weights import NONE, PACKAGE, PACKAGE_FITS, PACKAGE_MODULE

S = TypeVar("S", bound=ModelSettings)


def is_installed() -> bool:
    """Whether the pretrained network and its weights are here."""
    return all(importlib.util.find_spec(name) is not None for name in ("timm", PACKAGE_MODULE))


def with_default(settings: S, model: str, pretrained: bool) -> S:
    """Settings that name a model: theirs, else the pretrained network where `pretrained` asks for it, else `model`.

    Example:
        >>> with_default(ModelSettings(), "cnn", pretrained=False).model
        'cnn'
        >>> with_default(ModelSettings(model="mlp"), "cnn", pretrained=True).model
        'mlp'
    """
    if settings.model is not None:
        return settings
    if not pretrained or settings.weights not in (NONE, PACKAGE) or not is_installed():
        return settings.model_copy(update={"model": model})
    tuning = FROZEN if settings.tuning == FULL else settings.tuning
    return settings.model_copy(update={"model": PACKAGE_FITS, "weights": PACKAGE, "tuning": tuning})


def said(model: str, pretrained: bool) -> str:
    """Which model that is, and why, in one sentence."""
    if not pretrained:
        return f"{model}, unless a sweep names another"
    if is_installed():
        return f"{PACKAGE_FITS}, pretrained, its features frozen under a linear head, unless a sweep names another"
    return f"{model}, trained from scratch: the pretrained network needs pip install 'pgrad[models]'"
