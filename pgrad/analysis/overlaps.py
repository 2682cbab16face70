"""How much of a direction lies in a subspace, and what that would be by chance.

A direction v lies with the share ||U v||^2 in the space of the orthonormal rows U [m, d]. Three nulls, from the
simplest to the nearest:

- *random*: v is uniform on the sphere. The share is exactly Beta(m / 2, (d - m) / 2), with mean m / d.
- *mirrored*: the roll-out as measured, but the sign of every coordinate is drawn anew, the same for all points. Its
  Gram matrix, so spectrum, step sizes and momentum, is that of the roll-out exactly, and so is what each coordinate
  moved (an optimizer like Adam moves all alike, and a subspace may hold few coordinates). The mean is
  sum_j v_j^2 sum_a U_aj^2, exactly.
- *walk*: a random walk with the measured innovations, the steps without what momentum carried over, whose signs are
  drawn anew for every step and coordinate. What is above this null comes from the steps' common direction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pgrad.analysis._needs import need
from pgrad.analysis.points import principal_directions, products

__all__ = [
    "Interval",
    "bootstrap",
    "measured_momentum",
    "mirrored_null",
    "overlap",
    "principal_angles",
    "random_null",
    "walk_null",
]

_TOLERANCE = 1e-3  # of orthonormal rows


@dataclass(frozen=True)
class Interval:
    """A mean, and where values lie, or where it lies.

    Attributes:
        mean: the mean.
        low: lower end.
        high: upper end.
        level: how much is between the ends.
    """

    mean: float
    low: float
    high: float
    level: float = 0.95


def overlap(directions: Tensor, basis: Tensor) -> Tensor:
    """Share of each direction in a subspace, ||U v||^2 / ||v||^2.

    Args:
        directions: [k, d]. Where they are orthonormal, the mean of the shares is that of the space they span.
        basis: [m, d], orthonormal rows U, such as ``pairs.directions`` of eigenpairs.

    Returns:
        [k] float64 on the CPU.

    Raises:
        ValueError: if sizes differ, a direction is zero, or the rows of ``basis`` are not orthonormal.

    Example:
        >>> overlap(torch.tensor([[3.0, 4.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]]))
        tensor([0.3600], dtype=torch.float64)
    """
    _check(directions, basis)
    inside = products(directions, basis.to(directions.device)).square().sum(1)
    return inside / products(directions, directions).diagonal()


def principal_angles(one: Tensor, other: Tensor) -> Tensor:
    """Angles between the spaces of the rows of two matrices, by `scipy.linalg.subspace_angles`.

    Args:
        one: [k, d], independent rows.
        other: [m, d], independent rows.

    Returns:
        [min(k, m)] float64, in radians, ascending.

    Raises:
        ImportError: if scipy is not installed.

    Example:
        >>> principal_angles(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]]))
        tensor([0.7854], dtype=torch.float64)
    """
    linalg = need("scipy.linalg", "angles between subspaces")
    found = linalg.subspace_angles(one.double().cpu().T.numpy(), other.double().cpu().T.numpy())
    return torch.from_numpy(found.copy()).flip(0)


def random_null(
    size: int, m: int, k: int = 1, *, level: float = 0.95, draws: int = 10_000, generator: torch.Generator | None = None
) -> Interval:
    """Share that a random direction, or the mean over k random orthonormal ones, has in a space of m dimensions.

    Args:
        size: d.
        m: dimensions of the space.
        k: directions. For one the interval is exact, for more it comes from draws; the mean m / d is exact.
        level: of the interval between equal tails.
        draws: for k > 1.
        generator: for k > 1; None for torch's global one.

    Raises:
        ValueError: if a number is out of range.
        ImportError: if scipy is not installed (k = 1).

    Example:
        >>> null = random_null(1000, 10)
        >>> null.mean, round(null.low, 4), round(null.high, 4)
        (0.01, 0.0033, 0.0204)
    """
    _check_draws(level, draws)
    if not 1 <= m < size or not 1 <= k <= size - m:
        raise ValueError(f"m and k must be at least 1 with m + k <= size, got m={m}, k={k} and size={size}")
    low, high = (1 - level) / 2, (1 + level) / 2
    if k == 1:
        beta = need("scipy.stats", "the null of a random direction").beta(m / 2, (size - m) / 2)
        return Interval(m / size, float(beta.ppf(low)), float(beta.ppf(high)), level)
    inside = torch.randn(draws, m, k, dtype=torch.float64, generator=generator, device="cpu")
    # A Gaussian [d, k], whose other d - m rows count by their Wishart matrix alone: its Cholesky factor (Bartlett).
    factor = torch.randn(draws, k, k, dtype=torch.float64, generator=generator, device="cpu").tril(-1)
    freedom = torch.arange(size - m, size - m - k, -1, dtype=torch.float64, device="cpu")
    chi_square = 2 * torch._standard_gamma((freedom / 2).expand(draws, k), generator)
    factor = factor + chi_square.sqrt().diag_embed()
    between = inside.mT @ inside
    shares = torch.linalg.solve(between + factor @ factor.mT, between).diagonal(dim1=1, dim2=2).mean(1)
    return _interval(shares, level, mean=m / size)


def mirrored_null(
    points: Tensor,
    basis: Tensor,
    k: int = 1,
    *,
    level: float = 0.95,
    draws: int = 200,
    generator: torch.Generator | None = None,
) -> Interval:
    """Mean share of the first k principal directions when the sign of every coordinate is drawn anew.

    Args:
        points: [T+1, d], theta_0 .. theta_T.
        basis: [m, d], orthonormal rows.
        k: how many directions count.
        level: of the interval between equal tails.
        draws: of signs.
        generator: draws them (a CPU generator); None for torch's global one.

    Returns:
        The mean is exact, the ends are of the draws.

    Raises:
        ValueError: as `overlap` and `pgrad.analysis.principal_directions`.
    """
    _check_draws(level, draws)
    found = principal_directions(points, k).directions
    _check(found, basis)
    basis = basis.to(found.device, found.dtype)
    exact = products(found.square(), basis.square()).sum(1).mean()
    drawn = (found * _signs((found.shape[1],), found, generator) for _ in range(draws))
    shares = [float(products(mirrored, basis).square().sum(1).mean()) for mirrored in drawn]
    return _interval(torch.tensor(shares, dtype=torch.float64, device="cpu"), level, mean=float(exact))


def walk_null(
    points: Tensor,
    basis: Tensor,
    k: int = 1,
    *,
    momentum: float | None = None,
    level: float = 0.95,
    draws: int = 200,
    generator: torch.Generator | None = None,
) -> Interval:
    """Mean share of the first k principal directions of random walks with the measured step sizes and momentum.

    With s_i the steps, e_i = s_i - beta s_{i-1} (s_0 = 0) are the innovations. Each walk gives every entry of them a
    random sign, carries over beta of each step again, and has principal directions of its own.

    Args:
        points: [T+1, d], theta_0 .. theta_T.
        basis: [m, d], orthonormal rows.
        k: how many directions count.
        momentum: beta, such as the momentum of SGD or the beta1 of Adam; None for `measured_momentum`.
        level: of the interval between equal tails.
        draws: walks.
        generator: draws the signs (a CPU generator); None for torch's global one.

    Raises:
        ValueError: if ``momentum`` is not in [0, 1), a number is out of range, or as `overlap` and
            `pgrad.analysis.principal_directions`.
    """
    _check_draws(level, draws)
    _check(points[:1] * 0 + 1, basis)
    beta = measured_momentum(points) if momentum is None else momentum
    if not 0 <= beta < 1:
        raise ValueError(f"momentum must be in [0, 1), got {beta}")
    steps = points.diff(dim=0)
    innovations = steps.clone()
    innovations[1:] -= beta * steps[:-1]
    shares = []
    for _ in range(draws):
        drawn = innovations * _signs(tuple(innovations.shape), innovations, generator)
        for i in range(1, len(drawn)):
            drawn[i] += beta * drawn[i - 1]
        walk = torch.cat([torch.zeros_like(drawn[:1]), drawn.cumsum(0)])
        shares.append(float(overlap(principal_directions(walk, k).directions, basis).mean()))
    return _interval(torch.tensor(shares, dtype=torch.float64, device="cpu"), level)


def measured_momentum(points: Tensor) -> float:
    """The beta in [0, 0.999] that makes the innovations s_i - beta s_{i-1} of a roll-out smallest."""
    steps = points.double().diff(dim=0)
    before = float(steps[:-1].square().sum())
    return min(max(float((steps[1:] * steps[:-1]).sum()) / before, 0.0), 0.999) if before > 0 else 0.0


def bootstrap(
    values: Tensor,
    *,
    level: float = 0.95,
    block: int = 1,
    draws: int = 10_000,
    generator: torch.Generator | None = None,
) -> Interval:
    """Mean over roll-outs and its percentile interval, from draws with replacement.

    Args:
        values: [n], one for each roll-out, in their order.
        level: of the interval.
        block: draw runs of so many neighbours, for roll-outs that are alike when they are near.
        draws: resamples.
        generator: draws them (a CPU generator); None for torch's global one.

    Raises:
        ValueError: if there are fewer than two values, one is not finite, or ``block`` is out of range.
    """
    _check_draws(level, draws)
    values = values.detach().double().cpu().reshape(-1)
    if len(values) < 2 or not values.isfinite().all():
        raise ValueError(f"values must be at least two finite numbers, got {len(values)}")
    if not 1 <= block <= len(values):
        raise ValueError(f"block must be from 1 to the number of values, {len(values)}, got {block}")
    blocks = math.ceil(len(values) / block)
    starts = torch.randint(len(values) - block + 1, (draws, blocks, 1), generator=generator, device="cpu")
    chosen = (starts + torch.arange(block, device="cpu")).flatten(1)[:, : len(values)]
    return _interval(values[chosen].mean(1), level, mean=float(values.mean()))


def _check_draws(level: float, draws: int) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")


def _interval(values: Tensor, level: float, mean: float | None = None) -> Interval:
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64, device="cpu")
    low, high = torch.quantile(values, ends).tolist()
    return Interval(float(values.mean()) if mean is None else mean, low, high, level)


def _signs(shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None) -> Tensor:
    return (torch.randint(2, shape, generator=generator, dtype=torch.int8, device="cpu") * 2 - 1).to(
        like.device, like.dtype
    )


def _check(directions: Tensor, basis: Tensor) -> None:
    if directions.ndim != 2 or basis.ndim != 2 or directions.shape[1] != basis.shape[1]:
        raise ValueError(
            f"directions and basis must be rows of the same size, got {tuple(directions.shape)} and "
            f"{tuple(basis.shape)}"
        )
    if not (directions.square().sum(1) > 0).all():
        raise ValueError("directions must not be zero, or nan")
    gap = (products(basis, basis) - torch.eye(len(basis), dtype=torch.float64, device="cpu")).abs().max()
    if not gap < _TOLERANCE:
        raise ValueError(f"basis must have orthonormal rows, got products that are off by {float(gap):.2g}")
