"""Networks that are trained from scratch: linear, multi-layer perceptron, and a small convolutional one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

EVALUATED_AT_ONCE = 64
"""Pictures that pass together through a network in evaluation: more only take memory."""


def mlp(input_shape: tuple[int, ...], n_outputs: int, width: int, depth: int = 1) -> nn.Sequential:
    """`depth` hidden layers of `width` rectified linear units on the flattened input.

    Example:
        >>> mlp((1, 2, 2), n_outputs=3, width=8, depth=2)[1:]
        Sequential(
          (1): Linear(in_features=4, out_features=8, bias=True)
          (2): ReLU()
          (3): Linear(in_features=8, out_features=8, bias=True)
          (4): ReLU()
          (5): Linear(in_features=8, out_features=3, bias=True)
        )
    """
    sizes = [math.prod(input_shape), *[width] * depth]
    hidden = [layer for before, after in itertools.pairwise(sizes) for layer in (nn.Linear(before, after), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(sizes[-1], n_outputs))


def linear(input_shape: tuple[int, ...], n_outputs: int, width: int) -> nn.Sequential:  # noqa: ARG001
    """One linear layer on the flattened input; `width` means nothing."""
    return mlp(input_shape, n_outputs, width=1, depth=0)


class SmallCNN(nn.Module):
    """Four 3 x 3 convolutions with GroupNorm, the second with stride 2, and the mean over all places.

    The channels are ``width, 2 width, 2 width, 2 width``: with a width of 64 the size of DomainBed's MNIST_CNN
    (Gulrajani & Lopez-Paz 2021, arXiv:2007.01434, appendix D), each layer convolution, ReLU, GroupNorm of 8 groups.
    """

    def __init__(self, channels: int, n_outputs: int, width: int) -> None:
        super().__init__()
        sizes = (channels, width, 2 * width, 2 * width, 2 * width)
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(itertools.pairwise(sizes)):
            convolution = nn.Conv2d(before, after, kernel_size=3, stride=2 if number == 1 else 1, padding=1)
            layers += [convolution, nn.ReLU(), nn.GroupNorm(8, after)]
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(2 * width, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.classifier(in_parts(self.features, x, self.training))
        return out


def cnn(input_shape: tuple[int, ...], n_outputs: int, width: int) -> SmallCNN:
    """The small CNN, for pictures with any number of channels.

    Raises:
        ValueError: If an input is no picture, or `width` is no multiple of 8.
    """
    require_pictures("cnn", input_shape)
    if width % 8:
        raise ValueError(f"width of model 'cnn' must be a multiple of 8, the groups of its GroupNorm; got {width}")
    return SmallCNN(input_shape[0], n_outputs, width)


def in_parts(function: Callable[[Tensor], Tensor], x: Tensor, training: bool) -> Tensor:
    """``function(x)``; in evaluation, without gradients, a few pictures at a time."""
    if training or torch.is_grad_enabled() or len(x) <= EVALUATED_AT_ONCE:
        return function(x)
    return torch.cat([function(part) for part in x.split(EVALUATED_AT_ONCE)])


def require_pictures(model: str, input_shape: tuple[int, ...]) -> None:
    """Refuses inputs that are not ``[channels, height, width]``.

    Raises:
        ValueError: If they are not.
    """
    if len(input_shape) != 3:
        raise ValueError(
            f"model {model!r} takes pictures, [channels, height, width]; the inputs of this data set have the shape "
            f"{list(input_shape)}. 'mlp' and 'linear' take any"
        )
