"""Standardisation, fitted on the training examples alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Standardised:
    """Gives ``[n, columns]`` inputs the mean 0 and the standard deviation 1 of the examples that it was fitted on.

    Attributes:
        mean, scale: ``[columns]``, float64.
        varies: ``[columns]``, whether the column was not the same in all examples.
    """

    mean: Tensor
    scale: Tensor
    varies: Tensor

    def __call__(self, others: Tensor) -> Tensor:
        """The inputs as float32; what is missing is 0, the mean."""
        scaled = torch.where(self.varies, (others.double() - self.mean) / self.scale, 0.0)
        return scaled.float().nan_to_num()  # in this order: ONNX has no constant for the largest float64


def standardise(inputs: Tensor, labels: Tensor) -> Standardised:  # noqa: ARG001  the protocol gives both
    """A function that gives ``[n, columns]`` inputs the mean 0 and the standard deviation 1 of the examples here.

    It computes in float64 and gives float32, so that float64 inputs keep what differs beyond seven digits. A column
    that is constant here says nothing about others, for which a model has learnt no weight: it is 0 everywhere. What
    is missing (NaN) becomes the mean of the examples here, 0.

    Example:
        >>> apply = standardise(torch.tensor([[1.0, 5.0], [3.0, 5.0]]), torch.zeros(2))
        >>> apply(torch.tensor([[2.0, 5.0], [4.0, 6.0]])).tolist()
        [[0.0, 0.0], [2.0, 0.0]]
    """
    values = inputs.double()
    mean = values.nanmean(dim=0).nan_to_num()
    deviation = (values - mean).square().nanmean(dim=0).sqrt().nan_to_num()
    # Rounding can give a constant column a deviation that is not quite 0.
    lowest = values.nan_to_num(nan=torch.inf).amin(dim=0)
    varies = (deviation > 0) & (lowest < values.nan_to_num(nan=-torch.inf).amax(dim=0))
    return Standardised(mean, torch.where(varies, deviation, torch.ones_like(deviation)), varies)
