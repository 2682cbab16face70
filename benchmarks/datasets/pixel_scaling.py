"""Standardisation of pictures, fitted on the training examples alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

AT_ONCE = 256
"""Pictures whose sums are taken in float64 together."""


@dataclass(frozen=True)
class StandardisedChannels:
    """Gives every channel of pictures the mean 0 and the standard deviation 1 of those that it was fitted on.

    Attributes:
        shift, factor: ``[channels, 1, 1]``, float32.
    """

    shift: Tensor
    factor: Tensor

    def __call__(self, others: Tensor) -> Tensor:
        """The pictures ``[n, channels, height, width]``, standardised."""
        return (others - self.shift) * self.factor


def standardise_channels(inputs: Tensor, labels: Tensor) -> StandardisedChannels:  # noqa: ARG001  the protocol gives both
    """A function that gives every channel of ``[n, channels, height, width]`` the mean 0 and the standard deviation 1
    of the pictures here. A channel that is the same in all of them is 0 everywhere.

    Example:
        >>> pictures = torch.tensor([0.25, 0.75]).reshape(2, 1, 1, 1)
        >>> apply = standardise_channels(pictures, torch.zeros(2))
        >>> apply(torch.tensor([0.5, 1.0]).reshape(2, 1, 1, 1)).flatten().tolist()
        [0.0, 2.0]
    """
    parts = inputs.split(AT_ONCE)
    number = inputs.shape[0] * inputs.shape[2] * inputs.shape[3]
    mean = sum(part.double().sum(dim=(0, 2, 3)) for part in parts) / number
    mean = torch.as_tensor(mean)[:, None, None]
    square = sum((part.double() - mean).square().sum(dim=(0, 2, 3)) for part in parts) / number
    deviation = torch.as_tensor(square).sqrt()[:, None, None]
    varies = (inputs.amax(dim=(0, 2, 3)) > inputs.amin(dim=(0, 2, 3)))[:, None, None]
    factor = torch.where(varies, 1.0 / torch.where(varies, deviation, 1.0), 0.0).float()
    return StandardisedChannels(mean.float(), factor)
