"""The networks that the benchmarks train."""

from __future__ import annotations

import math

from torch import nn


def mlp(input_shape: tuple[int, ...], n_classes: int, width: int) -> nn.Module:
    """One hidden layer of ``width`` rectified linear units on the flattened input."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), width), nn.ReLU(), nn.Linear(width, n_classes))
