"""From a roll-out to an outer gradient: the principal gradient, the plain displacement, and the interface for others.

The points of a roll-out are the rows of X (row 0, the anchor, is zero), and an outer gradient is g = X' w. An
aggregation gets one record of the roll-out, in which the products between the points are (`Rollout.gram` = X X'), and
returns the weights w. The optimizer forms the sum, so that no aggregation ever sees a vector of the size of the model.

Its `points_needed` are all T + 1, unless it is marked by `needs_last_point`: then only the anchor is kept while the
model makes its inner steps, one vector in all, and the record holds the anchor and the last point alone.

Example:
    The mean of the displacements, turned back:

    >>> import torch, pgrad
    >>> def mean(rollout):
    ...     steps = len(rollout.gram) - 1
    ...     return torch.cat([torch.zeros(1), torch.full((steps,), -1 / steps)])
    >>> weight = torch.nn.Parameter(torch.zeros(3))
    >>> opt = pgrad.PGrad([weight], lr=0.1, rollout_length=4, aggregation=mean)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import torch
from torch import Tensor

from pgrad.principal import PrincipalWeights, Update, principal_weights

__all__ = ["Aggregation", "Rollout", "displacement", "name_of", "needs_last_point", "points_needed", "principal"]


@dataclass(frozen=True, eq=False)
class Rollout:
    """What an aggregation is told of a roll-out of T inner steps, of which P points were kept.

    Attributes:
        gram: [P, P] float64 on the CPU, the Gram matrix X X' of the displacements. Its first row and column belong to
            the anchor and are zero. P = T + 1, or 2 (anchor and last point) if no more is needed.
        rtol: the relative round-off of the Gram matrix: what is smaller than this part of the largest eigenvalue is
            noise.
        domains: [T], the domain of each inner step, if every one of them was named; else None.
        n_components: that of the optimizer: how many directions to use at most; None for no limit.
    """

    gram: Tensor
    rtol: float
    domains: tuple[int | str, ...] | None = None
    n_components: int | None = None


class Aggregation(Protocol):
    """Any callable that makes row weights of a roll-out.

    It returns the weights w [P] with which the displacements are summed, g = X' w, oriented like a gradient (the outer
    optimizer subtracts it), or a record of them, as `pgrad.principal_weights` does: that is then `PGrad.last_update`.

    What such a callable keeps by itself is not part of the optimizer's ``state_dict``. A function, or a
    functools.partial of one, can be pickled with the optimizer.
    """

    def __call__(self, rollout: Rollout, /) -> Tensor | Update:
        """The weights [P], or a record that has them."""


Function = TypeVar("Function", bound=Callable[..., Any])


def needs_last_point(function: Function) -> Function:
    """Mark an aggregation that needs nothing of a roll-out but where it ends.

    Example:
        >>> @needs_last_point
        ... def half(rollout):
        ...     return torch.tensor([0.5, -0.5])
        >>> points_needed(half), points_needed(principal)
        ('last', 'all')
    """
    try:
        function.points_needed = "last"  # type: ignore[attr-defined]
    except AttributeError as error:
        raise TypeError(
            f"needs_last_point must get a function or an object that takes attributes, got {function!r}; give the "
            'class of a method the attribute points_needed = "last", or wrap it in a function'
        ) from error
    return function


def points_needed(aggregation: Aggregation) -> Literal["all", "last"]:
    """Which points an aggregation needs: it may be marked, or a functools.partial of one that is."""
    points: Any = None
    function: Any = aggregation
    while points is None and function is not None:
        points = getattr(function, "points_needed", None)
        function = function.func if isinstance(function, functools.partial) else None
    points = "all" if points is None else points
    if points not in ("all", "last"):
        raise ValueError(f'points_needed of an aggregation must be "all" or "last", got {points!r}')
    found: Literal["all", "last"] = points
    return found


def name_of(aggregation: Aggregation) -> str:
    """The name of a function, also inside a functools.partial; of another callable that of its class."""
    function = _unwrapped(aggregation)
    return getattr(function, "__qualname__", type(function).__qualname__)


def principal(rollout: Rollout) -> PrincipalWeights:
    """The principal gradient: `pgrad.principal_weights` of the roll-out.

    Dense reference: `pgrad.reference.principal_gradient`. Source: PGrad, arXiv:2305.01134.

    Example:
        >>> points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
        >>> weights = principal(Rollout(points @ points.T, rtol=1e-15, n_components=1)).weights
        >>> (points.T @ weights).round(decimals=6)
        tensor([-1., -1.], dtype=torch.float64)
    """
    return principal_weights(rollout.gram, rollout.n_components, rtol=rollout.rtol)


@needs_last_point
def displacement(rollout: Rollout) -> Tensor:
    """The plain displacement, w = e_0 - e_T, so that g = theta_0 - theta_T.

    One vector of the size of the model is stored, and no Gram matrix formed. With it, PGrad is Reptile (Nichol et al.
    2018, arXiv:1803.02999), which over domains is Fish (Shi et al. 2022, arXiv:2104.09937); with outer_lr = alpha,
    Lookahead (Zhang et al. 2019, arXiv:1907.08610); and with Nesterov's momentum outside, DiLoCo on one worker
    (Douillard et al. 2023, arXiv:2311.08105). It is the matched control of the principal gradient.

    Dense reference: `pgrad.reference.displacement_gradient`.

    Example:
        >>> points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
        >>> points.T @ displacement(Rollout(points @ points.T, rtol=1e-15))
        tensor([-1., -1.], dtype=torch.float64)
    """
    weights = torch.zeros(len(rollout.gram), dtype=torch.float64, device="cpu")
    weights[0], weights[-1] = 1.0, -1.0
    return weights


def _unwrapped(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function
