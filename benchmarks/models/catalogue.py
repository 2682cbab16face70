"""The networks that are known by a name of their own."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from benchmarks.models.small import cnn, linear, mlp

ModelFactory = Callable[..., nn.Module]
"""``factory(input_shape, n_outputs, width)``; with ``depth`` as well if it takes that."""

MODELS: dict[str, ModelFactory] = {"mlp": mlp, "linear": linear, "cnn": cnn}
"""Adding a model is adding a line here."""
