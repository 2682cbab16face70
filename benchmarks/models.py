"""The networks that the benchmarks train, by name."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn

ModelFactory = Callable[[tuple[int, ...], int, int], nn.Module]
"""``factory(input_shape, n_outputs, width)``."""


def mlp(input_shape: tuple[int, ...], n_outputs: int, width: int) -> nn.Module:
    """One hidden layer of ``width`` rectified linear units on the flattened input."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), width), nn.ReLU(), nn.Linear(width, n_outputs))


MODELS: dict[str, ModelFactory] = {"mlp": mlp}
"""Adding a model is adding a line here."""
