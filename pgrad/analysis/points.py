"""The points of roll-outs themselves, and their principal directions: what overlaps and planes are made of."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pgrad.averaging.following import unwrapped
from pgrad.optimizer import PGrad
from pgrad.principal import check_n_components, principal_weights

__all__ = ["Directions", "Points", "principal_directions", "products"]

_PIECE = 1 << 20


class Points:
    """Keeps the points of the last roll-outs of a `pgrad.PGrad`, copied after every inner step.

    Args:
        opt: the optimizer.
        params: the parameters in the order in which a point is one vector: those of the model, ``model.parameters()``.
            Those without ``requires_grad`` are left out, as in `pgrad.analysis.Hessian`.
        last: how many roll-outs are kept. Each takes T + 1 vectors of the size of the model.
        device: where they are kept; None for the device of the parameters.

    Attributes:
        rollouts: [T+1, d] each, theta_0 .. theta_T; the newest is the last.

    Raises:
        TypeError: if ``opt`` is no `pgrad.PGrad`.
        ValueError: if no parameter is left, or ``last`` is below 1.

    Example:
        >>> import pgrad
        >>> model = torch.nn.Linear(3, 1)
        >>> opt = pgrad.PGrad(model.parameters(), lr=1e-2, rollout_length=2)
        >>> with Points(opt, model.parameters()).attach() as points:
        ...     for step in range(4):
        ...         opt.zero_grad()
        ...         model(torch.randn(4, 3)).square().mean().backward()
        ...         _ = opt.step()
        >>> [tuple(rollout.shape) for rollout in points.rollouts]
        [(3, 4)]
    """

    def __init__(
        self, opt: Any, params: Iterable[Tensor], *, last: int = 1, device: torch.device | str | None = None
    ) -> None:
        found = unwrapped(opt)
        if not isinstance(found, PGrad):
            raise TypeError(f"opt must be a pgrad.PGrad, got {type(found).__name__}: others make no roll-outs")
        if last < 1:
            raise ValueError(f"last must be at least 1, got {last}")
        self._params = [p for p in params if p.requires_grad]
        if not self._params:
            raise ValueError("params must hold at least one parameter that requires a gradient, got none")
        self._opt, self._device = found, device
        self._walk: list[Tensor] = []
        self._hooks: list[Any] = []
        self.rollouts: deque[Tensor] = deque(maxlen=last)

    def attach(self) -> Points:
        """Keep points from the next roll-out on."""
        if not self._hooks:
            self._walk = []
            self._hooks = [
                self._opt.register_step_pre_hook(self._begin),
                self._opt.inner.register_step_post_hook(self._point),
                self._opt.outer.register_step_pre_hook(self._end),
            ]
        return self

    def detach(self) -> None:
        """Keep no more; the roll-outs stay."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def __enter__(self) -> Points:
        return self.attach()

    def __exit__(self, *_: object) -> None:
        self.detach()

    def _begin(self, *_: Any) -> None:
        if self._opt.rollout_position == 0:
            self._walk = [self._here()]

    def _point(self, *_: Any) -> None:
        if self._walk:  # attached in the middle of a roll-out: the next one is the first
            self._walk.append(self._here())

    def _end(self, *_: Any) -> None:
        if len(self._walk) > 1:
            self.rollouts.append(torch.stack(self._walk))
        self._walk = []

    def _here(self) -> Tensor:
        point = torch.cat([p.detach().reshape(-1) for p in self._params])
        return point if self._device is None else point.to(self._device)


@dataclass(frozen=True, eq=False)
class Directions:
    """Principal directions of a roll-out.

    Attributes:
        directions: [k, d], orthonormal rows v_z, turned towards theta_0 - theta_T as the principal gradient does.
        variances: [k] float64, the eigenvalues lambda_z of the centred Gram matrix, descending.
        shares: [k], their shares in the variance of all directions.
    """

    directions: Tensor
    variances: Tensor
    shares: Tensor


def principal_directions(points: Tensor, n_components: int | None = None) -> Directions:
    """v_z = (H X)' e_z / sqrt(lambda_z) of a roll-out; see `pgrad.principal_weights`.

    Args:
        points: [T+1, d], theta_0 .. theta_T.
        n_components: how many at most; None for every one above round-off.

    Raises:
        ValueError: if ``points`` is not a matrix of at least two rows, or nothing moved.

    Example:
        >>> found = principal_directions(torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]))
        >>> found.directions, found.shares
        (tensor([[-1.,  0.]]), tensor([1.], dtype=torch.float64))
    """
    check_n_components(n_components)
    if points.ndim != 2 or len(points) < 2:
        raise ValueError(f"points must be [T+1, d] with T >= 1, got {tuple(points.shape)}")
    x = points - points[0]  # before any product: displacements are tiny against the parameters
    gram = products(x, x)
    record = principal_weights(gram, n_components, rtol=len(points) * float(torch.finfo(points.dtype).eps))
    if record.n_components == 0:
        raise ValueError("points must move, got a roll-out whose points are all the same")
    rows = len(gram)
    centring = torch.eye(rows, dtype=torch.float64, device="cpu") - 1 / rows
    values, vectors = torch.linalg.eigh(centring @ gram @ centring)
    values, vectors = values.flip(0)[: record.n_components], vectors.flip(1)[:, : record.n_components]
    weights = centring @ vectors / values.sqrt()
    towards = -(gram[-1] @ weights)  # <v_z, theta_0 - theta_T>
    weights = torch.where(towards > 0, weights, -weights)
    directions = weights.T.to(points.device, points.dtype) @ x
    return Directions(directions, values, values / record.eigenvalues.sum())


def products(one: Tensor, other: Tensor) -> Tensor:
    """[k, m] float64 on the CPU, inner products of the rows of [k, d] and [m, d]; a piece of the columns at a time."""
    total = torch.zeros(len(one), len(other), dtype=torch.float64, device="cpu")
    for left, right in zip(one.split(_PIECE, dim=1), other.split(_PIECE, dim=1), strict=True):
        total += (left.double() @ right.double().T).cpu()
    return total
