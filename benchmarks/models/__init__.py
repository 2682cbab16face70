"""The networks that the benchmarks train, by name; those of timm are called ``timm:NAME``.

Example:
    >>> from benchmarks.models import MODELS
    >>> sum(parameter.numel() for parameter in MODELS["cnn"].factory((1, 28, 28), 10, 64).parameters())
    371850
"""

from __future__ import annotations

from benchmarks.models.build import build, known_model, require_fitting
from benchmarks.models.catalogue import MODELS, ModelEntry, ModelFactory
from benchmarks.models.small import cnn, linear, mlp

__all__ = ["MODELS", "ModelEntry", "ModelFactory", "build", "cnn", "known_model", "linear", "mlp", "require_fitting"]
