"""The small problem that the contracts are checked on, and how a check fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

__all__ = ["closure_on", "expect", "expect_same", "fail", "gradient_of", "loss_on", "small_model"]


def small_model(seed: int = 0) -> nn.Sequential:
    """A network of two layers, always the same for a seed."""
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))
    with torch.no_grad():
        for p in model.parameters():
            p.uniform_(-0.5, 0.5, generator=generator)
    return model


def loss_on(model: nn.Module, step: int, extra: Tensor | None = None) -> Tensor:
    """The loss on batch number ``step``; every third one is of the same domain."""
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(8, 4, generator=generator) + step % 3
    y = torch.randint(2, (8,), generator=generator)
    logits: Tensor = model(x)
    return nn.functional.cross_entropy(logits if extra is None else logits + extra, y)


def closure_on(model: nn.Module, optimizer: Optimizer, step: int, extra: Tensor | None = None) -> Callable[[], float]:
    """What a closure of an ordinary loop does on batch number ``step``."""

    def closure() -> float:
        optimizer.zero_grad()
        loss = loss_on(model, step, extra)
        loss.backward()
        return float(loss.detach())

    return closure


def gradient_of(parameter: Tensor) -> Tensor:
    """Its gradient, which must be there."""
    if parameter.grad is None:
        fail("a gradient on every parameter of the model")
    return parameter.grad


def expect_same(found: nn.Module, expected: nn.Module, when: str) -> None:
    """The parameters of both, bit for bit."""
    for (name, p), q in zip(found.named_parameters(), expected.parameters(), strict=True):
        if not torch.equal(p, q):
            gap = float((p - q).detach().abs().max())
            raise AssertionError(f"{when}, the parameters differ from those expected: {name} by up to {gap:.3g}")


def expect(condition: bool, what: str) -> None:
    """An AssertionError that says what was expected."""
    if not condition:
        fail(what)


def fail(what: str) -> NoReturn:
    """The same, always."""
    raise AssertionError(f"expected {what}")
