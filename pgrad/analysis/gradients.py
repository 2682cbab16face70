"""Gradients of domains beside each other, and how noisy those of batches are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pgrad.analysis._objective import Loss, Objective, flat

__all__ = ["Alignment", "NoiseScale", "alignment", "noise_scale"]


@dataclass(frozen=True, eq=False)
class Alignment:
    """How the gradients of several domains lie to each other, at one point.

    Attributes:
        names: [D].
        gram: [D, D] float64 on the CPU, their inner products.
        losses: [D], the mean loss of each domain.
    """

    names: tuple[str, ...]
    gram: Tensor
    losses: tuple[float, ...]

    @property
    def norms(self) -> Tensor:
        """[D]."""
        return self.gram.diagonal().sqrt()

    @property
    def cosines(self) -> Tensor:
        """[D, D]; zero for a gradient of zero."""
        outer = self.norms[:, None] * self.norms
        return torch.where(outer > 0, self.gram / outer, 0).clamp(-1, 1)

    @property
    def inner_product(self) -> float:
        """Mean over all pairs of two domains: what Fish (Shi et al. 2022, arXiv:2104.09937) makes large."""
        number = len(self.names)
        if number < 2:
            return math.nan
        return float((self.gram.sum() - self.gram.diagonal().sum()) / (number * (number - 1)))


def alignment(
    model: nn.Module, loss: Loss, domains: Mapping[Any, Iterable[Any]], *, params: Iterable[Tensor] | None = None
) -> Alignment:
    """Inner products of the gradients of each domain's mean loss, at the parameters as they are.

    Call it before and after an outer step (inside `pgrad.PGrad.at_anchor`) to see what the step did to them.

    Args:
        model: as for `pgrad.analysis.Hessian`.
        loss: likewise.
        domains: batches by the name of their domain.
        params: as for `pgrad.analysis.Hessian`.

    Raises:
        ValueError: if there is no domain, or as `pgrad.analysis.Hessian`.

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> loss = lambda outputs, targets: (outputs * targets).mean()
        >>> inputs = torch.ones(4, 1)
        >>> found = alignment(model, loss, {"up": [(inputs, inputs)], "down": [(inputs, -2 * inputs)]})
        >>> found.inner_product
        -2.0
    """
    if not domains:
        raise ValueError("domains must hold batches of at least one domain, got none")
    chosen = None if params is None else list(params)
    objectives = [Objective(model, loss, batches, chosen) for batches in domains.values()]
    gradients = torch.stack([objective.gradient().double() for objective in objectives])
    values = tuple(objective.value for objective in objectives)
    return Alignment(tuple(str(name) for name in domains), (gradients @ gradients.T).cpu(), values)


@dataclass(frozen=True)
class NoiseScale:
    """How noisy the gradients of batches are, from unbiased estimates.

    Attributes:
        gradient_square: ||G||^2 of the gradient that all batches estimate; may come out negative where noise hides it.
        variance: the trace of the covariance of the gradient of one example.
    """

    gradient_square: float
    variance: float

    @property
    def scale(self) -> float:
        """variance / gradient_square: batches far below this size are mostly noise; infinite where noise hides all."""
        return self.variance / self.gradient_square if self.gradient_square > 0 else math.inf


def noise_scale(
    model: nn.Module, loss: Loss, batches: Iterable[Any], *, params: Iterable[Tensor] | None = None
) -> NoiseScale:
    """The simple noise scale of McCandlish et al. (2018), arXiv:1812.06162, appendix A.1.

    A batch of n_b examples has E ||g_b||^2 = ||G||^2 + variance / n_b, the mean of all N examples likewise with N: two
    equations for two numbers. It takes two vectors of the size of the model.

    Args:
        model: as for `pgrad.analysis.Hessian`.
        loss: likewise.
        batches: likewise; at least two, of examples that were drawn at random.
        params: as for `pgrad.analysis.Hessian`.

    Raises:
        ValueError: if there are fewer than two batches, or as `pgrad.analysis.Hessian`.
    """
    objective = Objective(model, loss, batches, params)
    mean = torch.zeros(objective.size, dtype=torch.float64, device=objective.device)
    squares, number = 0.0, 0
    for weight, inputs, targets in objective.passes():
        with torch.enable_grad():
            value = objective.checked(objective.loss(objective.model(inputs), targets))
            grads = torch.autograd.grad(value, objective.params, allow_unused=True)
        gradient = flat(grads, objective.params).double()
        mean.add_(gradient, alpha=weight)
        squares += weight * float(gradient.square().sum())
        number += 1
    if number < 2:
        raise ValueError(f"batches must be at least two for a noise scale, got {number}")
    whole = float(mean.square().sum())
    variance = (squares - whole) * objective.examples / (number - 1)
    return NoiseScale(whole - variance / objective.examples, variance)
