"""What is trained: models from 64 to 1e9 parameters, and the micro-batches of a roll-out."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


@dataclass(frozen=True)
class Problem:
    """A model and the size of its micro-batches; ``full`` ones run only when asked for."""

    description: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    batch: int
    parameters: float
    full: bool = False
    dense: bool = False  # whether the textbook way is affordable: it takes some 32 bytes for each parameter and point
    steps: int | None = None  # T, where the problem is about one


def _mlp(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n, m in itertools.pairwise(widths):
        layers += [nn.Linear(n, m), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _deep() -> nn.Sequential:
    blocks = [nn.Sequential(nn.Linear(32, 32), nn.LayerNorm(32), nn.Tanh()) for _ in range(125)]
    return nn.Sequential(*blocks, nn.Linear(32, 10))


class _Pieces(nn.Module):
    """A linear layer whose weights lie in many tensors: next to no work but the steps."""

    def __init__(self, number: int, size: int, outputs: int) -> None:
        super().__init__()
        self.pieces = nn.ParameterList(torch.randn(size) / number for _ in range(number))
        self.outputs = outputs

    def forward(self, inputs: Tensor) -> Tensor:
        """[batch, outputs]."""
        return inputs @ torch.cat(list(self.pieces)).view(self.outputs, -1).T


def _cnn() -> nn.Sequential:
    def block(n: int, m: int, stride: int) -> list[nn.Module]:
        return [nn.Conv2d(n, m, 3, stride, 1), nn.ReLU(), nn.GroupNorm(8, m)]

    body = block(1, 64, 1) + block(64, 128, 2) + block(128, 128, 1) + block(128, 128, 1)
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))


def _timm(name: str) -> nn.Module:
    import timm  # an extra of its own, and slow to import

    model: nn.Module = timm.create_model(name, num_classes=10)
    return model


PROBLEMS = {
    "linear-64": Problem("one tensor of 64 numbers", lambda: nn.Linear(4, 16, bias=False), (4,), 4, 64),
    "linear-64-t1": Problem("the same with T = 1", lambda: nn.Linear(4, 16, bias=False), (4,), 4, 64, steps=1),
    "pieces-5000": Problem("5,000 tensors of eight numbers", lambda: _Pieces(5000, 8, 10), (4000,), 4, 4.0e4),
    "mlp-100k": Problem("MLP", lambda: _mlp(784, 128, 10), (784,), 4, 1.0e5, dense=True),
    "deep-140k": Problem("501 small tensors", _deep, (32,), 4, 1.4e5, dense=True),
    "cnn-370k": Problem("CNN on 28 px, as MNIST in DomainBed", _cnn, (1, 28, 28), 4, 3.7e5, dense=True),
    "mlp-2m": Problem("MLP", lambda: _mlp(784, 1024, 1024, 10), (784,), 4, 1.9e6, dense=True),
    "mlp-23m": Problem("MLP", lambda: _mlp(784, 2048, 4096, 3072, 10), (784,), 4, 2.26e7),
    "resnet50": Problem("ResNet-50 of timm, 224 px", lambda: _timm("resnet50"), (3, 224, 224), 11, 2.35e7, full=True),
    "vit-b": Problem(
        "ViT-B/16 of timm, 224 px", lambda: _timm("vit_base_patch16_224"), (3, 224, 224), 11, 8.6e7, full=True
    ),
    "mlp-100m": Problem(
        "MLP of three large layers", lambda: _mlp(784, 6800, 6800, 6800, 10), (784,), 4, 9.8e7, full=True
    ),
    "mlp-1g": Problem(
        "MLP of four large layers", lambda: _mlp(784, 18000, 18000, 18000, 18000, 10), (784,), 4, 1e9, full=True
    ),
}


def make_loss(problem: Problem, model: nn.Module, steps: int, size: int | None = None) -> Callable[[], Tensor]:
    """The loss on one micro-batch after the other, of ``steps`` that come again and again.

    They are noise with labels: what is in them does not matter to time or memory.
    """
    generator = torch.Generator().manual_seed(1)
    device = next(model.parameters()).device
    x = torch.randn(steps, size or problem.batch, *problem.shape, generator=generator).to(device)
    y = torch.randint(10, x.shape[:2], generator=generator).to(device)
    batches = itertools.cycle(list(zip(x, y, strict=True)))

    def loss() -> Tensor:
        inputs, labels = next(batches)
        return cross_entropy(model(inputs), labels)

    return loss
