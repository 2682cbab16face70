"""The mathematics of the principal gradient on small matrices: Gram matrix in, row weights and diagnostics out.

Internal format, used everywhere in the package: a roll-out of T inner steps is a matrix X of shape [T+1, d] whose
*rows are points* (displacements x_i = theta_i - theta_0, so row 0 is zero) and whose *columns are parameters*. This
module never sees X. It works on the Gram matrix G = X X' of shape [T+1, T+1] and returns the weights w of shape [T+1]
with which the rows are summed: g = X' w. Everything here is float64 on the CPU. What chooses between this and other
ways from G to w is in `pgrad.aggregation`.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["PrincipalWeights", "Update", "principal_weights", "random_walk_spectrum"]


class Update:
    """What one roll-out did: the row weights of its outer gradient g = X' w, and what can be read off them.

    P points of the roll-out were kept: all T + 1 of them, or, for an aggregation that needs no more, the anchor and the
    last one (P = 2). All tensors are float64 on the CPU. Nothing is computed before it is asked for.

    Attributes:
        weights: [P], the w of g = X' w.
        gram: [P, P], the Gram matrix X X' of the displacements, that of the anchor (zero) first.
        eigenvalues: [P-1], the spectrum of the centred Gram matrix, descending; its P-th eigenvalue is always zero.
        length: ||g||.
        domains: [T], the domain of each inner step, if every one of them was named; else None.
    """

    weights: Tensor
    gram: Tensor
    eigenvalues: Tensor
    length: float
    domains: tuple[int | str, ...] | None

    @staticmethod
    def of(weights: Tensor, gram: Tensor, domains: tuple[int | str, ...] | None = None) -> Update:
        """The record of any row weights [P]; ``gram`` [P, P]."""
        return _FreeUpdate(weights.detach().to("cpu", torch.float64), gram, domains)

    @property
    def explained_variance_ratio(self) -> Tensor:
        """[P-1], share of each principal direction in the variance of the points (all zero without movement)."""
        total = self.eigenvalues.sum()
        return self.eigenvalues / total if total > 0 else torch.zeros_like(self.eigenvalues)

    @property
    def null_explained_variance_ratio(self) -> Tensor:
        """[P-1], what a random walk of as many steps would explain: `random_walk_spectrum(P - 1)`."""
        return random_walk_spectrum(len(self.gram) - 1)

    @property
    def cosine(self) -> float:
        """Cosine of g with theta_0 - theta_T (zero without movement)."""
        return float(self._cosines(-self._products()[-1:], self.gram.diagonal()[-1:]))

    @property
    def step_cosines(self) -> Tensor:
        """[P-1], cosine of g with the difference of each point to the one after it (zero where nothing moved)."""
        products = self._products()
        return self._cosines(products[:-1] - products[1:], self._increments().diagonal())

    @property
    def domain_cosines(self) -> dict[int | str, float]:
        """Cosine of g with the sum of the steps of each domain, turned like g.

        Empty where domains are unknown, or the points between the anchor and the last one were not kept.

        Domains whose steps the update goes against have a negative one.
        """
        products, increments = self._products(), self._increments()
        steps = products[:-1] - products[1:]
        return self._by_domain(lambda own: self._cosines(own @ steps, (own @ increments @ own.T).diagonal()))

    @property
    def domain_shares(self) -> dict[int | str, float]:
        """Share of each domain's steps in the movement: <their sum, theta_T - theta_0> / ||theta_T - theta_0||^2.

        The shares sum to one (all are zero without movement). A domain whose steps go against the movement has a
        negative one. Empty where `domain_cosines` is.
        """
        return self._by_domain(lambda own: own @ self._along_the_way())

    @property
    def least_agreeing_domain(self) -> int | str | None:
        """The domain with the lowest of the `domain_cosines`; None where there are none."""
        cosines = self.domain_cosines
        return min(cosines, key=lambda name: cosines[name]) if cosines else None

    def _along_the_way(self) -> Tensor:
        """[P-1], the share of each step in the movement."""
        row = self.gram[-1]
        steps = row[1:] - row[:-1]
        return steps / row[-1] if row[-1] > 0 else torch.zeros_like(steps)

    def _by_domain(self, compute: Callable[[Tensor], Tensor]) -> dict[int | str, float]:
        """``compute`` gets `_own_steps` and returns a number [D] for each domain."""
        names, own = self._own_steps()
        return dict(zip(names, compute(own).tolist(), strict=True)) if names else {}

    def _own_steps(self) -> tuple[list[int | str], Tensor]:
        """The domains, sorted, and [D, P-1], which steps belong to each; empty where `domain_cosines` is."""
        domains, steps = self.domains, len(self.gram) - 1
        if domains is None or len(domains) != steps:
            return [], torch.zeros(0, steps, dtype=torch.float64, device="cpu")
        names = sorted(set(domains), key=str)
        own = [[float(name == domain) for domain in domains] for name in names]
        return names, torch.tensor(own, dtype=torch.float64, device="cpu")

    def _products(self) -> Tensor:
        """[P], inner products <x_i, g> = (G w)_i."""
        return self.gram @ self.weights

    def _increments(self) -> Tensor:
        """[P-1, P-1], the Gram matrix of the increments x_i - x_{i-1}."""
        rows = self.gram[1:] - self.gram[:-1]
        return rows[:, 1:] - rows[:, :-1]

    def _cosines(self, products: Tensor, squares: Tensor) -> Tensor:
        norms = squares.clamp_min(0).sqrt() * self.length
        return torch.where(norms > 0, products / norms, 0).clamp(-1, 1)

    def __repr__(self) -> str:
        return f"Update(points={len(self.gram)}, length={self.length:.4g}, cosine={self.cosine:.4f})"


@dataclass(frozen=True, eq=False, repr=False)
class _FreeUpdate(Update):
    """Row weights that come from anywhere."""

    weights: Tensor
    gram: Tensor
    domains: tuple[int | str, ...] | None = None

    @property
    def length(self) -> float:  # type: ignore[override]
        return math.sqrt(max(float(self.weights @ self.gram @ self.weights), 0.0))

    @functools.cached_property
    def eigenvalues(self) -> Tensor:  # type: ignore[override]
        ascending: Tensor = torch.linalg.eigvalsh(centred(self.gram))
        return ascending.flip(0).clamp_min(0)[:-1]


@dataclass(frozen=True, eq=False, repr=False)
class PrincipalWeights(Update):
    """The update along principal directions: row weights, and how they came about.

    All tensors are float64 on the CPU; T is the number of inner steps and k the number of directions in use.

    Attributes:
        weights: [T+1], the w of g = X' w. They sum to zero.
        gram: [T+1, T+1], the Gram matrix X X' of the displacements.
        eigenvalues: [T], the spectrum of the centred Gram matrix, descending, whichever directions are in use. Its
            (T+1)-th eigenvalue is always zero.
        signs: [k], the direction calibration s_z, +1 or -1 for each direction in use, with the eigenvectors e_z
            oriented so that their largest entry is positive.
        length: the length calibration L = ||theta_0 - theta_T||, which is also ||g||.
        domains: as in `Update`.
    """

    weights: Tensor
    gram: Tensor
    eigenvalues: Tensor
    signs: Tensor
    length: float
    domains: tuple[int | str, ...] | None = None

    @property
    def n_components(self) -> int:
        """Number k of principal directions in use; below the requested number when the roll-out has a lower rank."""
        return len(self.signs)

    def __repr__(self) -> str:
        shares = ", ".join(f"{share:.3f}" for share in self.explained_variance_ratio[: self.n_components])
        return (
            f"{type(self).__name__}(steps={len(self.eigenvalues)}, n_components={self.n_components}, "
            f"explained_variance_ratio=[{shares}], length={self.length:.4g}, cosine={self.cosine:.4f})"
        )


def principal_weights(gram: Tensor, n_components: int | None = None, *, rtol: float | None = None) -> PrincipalWeights:
    r"""Row weights of the principal gradient from the Gram matrix of a roll-out's displacements.

    With the centring matrix H = I - 11'/(T+1) and the eigenpairs (lambda_z, e_z) of C = H G H, the principal
    directions are v_z = (H X)' e_z / sqrt(lambda_z). Each is turned towards theta_0 - theta_T (its inner product with
    that is sqrt(lambda_z) (e_z[0] - e_z[T])), weighted by lambda_z / ||lambda_{1:k}|| and given the length
    L = ||theta_0 - theta_T||. Their sum is g = X' w with::

        w = H sum_{z <= k}  L s_z sqrt(lambda_z) / ||lambda_{1:k}||  e_z

    Args:
        gram: [T+1, T+1], X X' for displacements X (row 0, the anchor, is zero), any floating dtype. T >= 1.
        n_components: how many principal directions to use at most; None for every one above round-off.
        rtol: a direction counts when its eigenvalue exceeds ``rtol`` times the largest; by default T+1 times the
            round-off of the dtype of ``gram``.

    Returns:
        The record with weights of shape [T+1]; all weights are zero where nothing moved.

    Raises:
        TypeError: if an argument has another type.
        ValueError: if ``gram`` is not square, finite and symmetric, or a number is out of range.

    Source: PGrad, arXiv:2305.01134, section 2; the d x d covariance is never formed (the paper's bijection).

    Example:
        Two unit steps at a right angle. g has the length sqrt(2) of theta_0 - theta_T.

        >>> points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
        >>> record = principal_weights(points @ points.T, n_components=1)
        >>> (points.double().T @ record.weights).round(decimals=6)  # theta_0 - theta_T = (-1, -1)
        tensor([-1., -1.], dtype=torch.float64)
    """
    _check(gram, n_components, rtol)
    points = len(gram)
    if rtol is None:
        rtol = points * torch.finfo(gram.dtype).eps
    gram = gram.detach().to("cpu", torch.float64)
    squares = gram.diagonal().tolist()
    scale = max(*squares, 0.0) or 1.0
    unit = gram / scale  # squares of eigenvalues must neither overflow nor vanish
    ascending, vectors = _line(unit) if points == 2 else torch.linalg.eigh(centred(unit))

    # Numbers of Python from here on: for matrices so small a call of torch costs more than its arithmetic.
    eigenvalues = [max(value, 0.0) for value in reversed(ascending.tolist())]
    length = math.sqrt(max(squares[-1] / scale, 0.0))
    rank = min(sum(value > rtol * eigenvalues[0] for value in eigenvalues), points - 1)
    used = rank if n_components is None else min(n_components, rank)
    at_right_angle = points * torch.finfo(torch.float64).eps  # the round-off of an entry
    norm = math.hypot(*eigenvalues[:used])
    signs, weights = [], [0.0] * points
    for value, vector in zip(eigenvalues[:used], reversed(vectors.mT.tolist()), strict=False):
        turn = (
            1.0 if max(vector, key=abs) > 0 else -1.0
        )  # the sign of an eigenvector is free: its largest entry fixes it
        signs.append(1.0 if turn * (vector[0] - vector[-1]) > at_right_angle else -1.0)
        coefficient = length * turn * signs[-1] * math.sqrt(value) / norm
        weights = [weight + coefficient * entry for weight, entry in zip(weights, vector, strict=True)]
    mean = math.fsum(weights) / points
    return PrincipalWeights(
        _float64([weight - mean for weight in weights]),
        gram,
        _float64([value * scale for value in eigenvalues[:-1]]),
        _float64(signs),
        length * math.sqrt(scale),
    )


def _float64(numbers: list[float]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64, device="cpu")


def _line(gram: Tensor) -> tuple[Tensor, Tensor]:
    """The eigenpairs [2], [2, 2] of two points: a half of their squared distance, along the way between them."""
    (a, b), (c, d) = gram.tolist()
    return _float64([0.0, (a - b - c + d) / 2]), _ends()


@functools.lru_cache(maxsize=1)
def _ends() -> Tensor:
    return torch.tensor([[1.0, -1.0], [1.0, 1.0]], dtype=torch.float64, device="cpu") / math.sqrt(2)


def centred(gram: Tensor) -> Tensor:
    """H G H, the Gram matrix of the points around their mean."""
    centring = _centring(len(gram))
    return centring @ gram @ centring


@functools.lru_cache(maxsize=16)
def _centring(points: int) -> Tensor:
    """H = I - 11'/P."""
    return torch.eye(points, dtype=torch.float64, device="cpu") - 1 / points


def random_walk_spectrum(steps: int) -> Tensor:
    r"""Explained-variance ratios of a random walk with independent, isotropic increments in high dimension.

    The centred Gram matrix of such a walk tends to the pseudo-inverse of the Laplacian of the path with T+1 nodes, so
    that lambda_z is proportional to 1 / (4 sin^2(pi z / (2 (T+1)))). For long walks the first direction holds
    6 / pi^2 = 61 % of the variance although no direction means anything: the null against which a spectrum is read.

    Args:
        steps: number T of steps, at least 1.

    Returns:
        [T] float64, descending, summing to one.

    Raises:
        TypeError: if ``steps`` is not an int.
        ValueError: if ``steps`` is below 1.

    Source: J. M. Antognini and J. Sohl-Dickstein, PCA of high dimensional random walks, arXiv:1806.08805.

    Example:
        >>> random_walk_spectrum(2)
        tensor([0.7500, 0.2500], dtype=torch.float64)
    """
    if isinstance(steps, bool) or not isinstance(steps, int):
        raise TypeError(f"steps must be an int, got {steps!r}")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    z = torch.arange(1, steps + 1, dtype=torch.float64, device="cpu")
    eigenvalues = 1 / (4 * torch.sin(math.pi * z / (2 * (steps + 1))) ** 2)
    return eigenvalues / eigenvalues.sum()


def _check(gram: Any, n_components: Any, rtol: Any) -> None:
    if not isinstance(gram, Tensor) or not gram.is_floating_point():
        found = f"a {gram.dtype} tensor" if isinstance(gram, Tensor) else f"{type(gram).__name__}"
        raise TypeError(f"gram must be a real floating-point tensor, got {found}")
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or len(gram) < 2:
        raise ValueError(f"gram must be square with at least 2 rows (anchor and one point), got {tuple(gram.shape)}")
    numbers = gram.tolist()
    if not is_finite(numbers):
        raise ValueError("gram must be finite, got inf or nan: the roll-out diverged or its squares overflowed")
    scale = max(map(abs, itertools.chain.from_iterable(numbers)))
    if numbers != list(map(list, zip(*numbers, strict=True))) and (gram - gram.mT).abs().amax() > 1e-3 * scale:
        raise ValueError("gram must be symmetric: pass X @ X.T of the displacements")
    if min(row[n] for n, row in enumerate(numbers)) < -1e-3 * scale:
        raise ValueError("gram must have a non-negative diagonal: pass X @ X.T of the displacements")
    check_n_components(n_components)
    if rtol is not None and not 0.0 <= rtol < 1.0:
        raise ValueError(f"rtol must be in [0, 1) or None, got {rtol!r}")


def is_finite(matrix: list[list[float]]) -> bool:
    """Whether every number is."""
    return all(map(math.isfinite, itertools.chain.from_iterable(matrix)))


def check_n_components(n_components: int | None) -> None:
    """Refuse a number of components that is neither None nor a positive int."""
    if n_components is None:
        return
    if isinstance(n_components, bool) or not isinstance(n_components, int):
        raise TypeError(f"n_components must be a positive int, or None for all directions, got {n_components!r}")
    if n_components < 1:
        raise ValueError(f"n_components must be at least 1, or None for all directions, got {n_components}")
