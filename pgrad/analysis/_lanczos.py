"""Lanczos' method: scipy's for eigenpairs, and a plain one whose small matrix is a quadrature of the spectrum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pgrad.analysis._needs import need
from pgrad.analysis._progress import Progress, Teller

__all__ = ["Eigenpairs", "check_number", "eigenpairs", "tridiagonal"]

_SHIFT_STEPS = 5  # products for an estimate of the norm of the matrix
_RESTARTS = 200  # what has not converged then hardly will


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """Some eigenvalues of a symmetric matrix, and their directions.

    Attributes:
        values: [k] float64 on the CPU; the most extreme first.
        directions: [k, d], orthonormal rows.
        products: how many products with the matrix it took.
    """

    values: Tensor
    directions: Tensor
    products: int

    def __repr__(self) -> str:
        values = ", ".join(f"{value:.4g}" for value in self.values.tolist())
        return f"Eigenpairs(values=[{values}], products={self.products})"


def check_number(name: str, k: Any, most: int, of: str = "parameters") -> None:
    """Refuse a number of eigenpairs that there cannot be."""
    if isinstance(k, bool) or not isinstance(k, int):
        raise TypeError(f"{name} must be an int, got {k!r}")
    if not 1 <= k <= most:
        raise ValueError(f"{name} must be from 1 to the number of {of}, {most}, got {k}")


def eigenpairs(
    product: Callable[[Tensor], Tensor],
    like: Tensor,
    size: int,
    k: int,
    which: str,
    tol: float,
    max_products: int | None,
    seed: int,
    progress: bool | Teller,
    what: str,
    cost: str,
) -> Eigenpairs:
    """Extreme eigenpairs of a symmetric matrix, by `scipy.sparse.linalg.eigsh`.

    Args:
        product: of the matrix with a vector [d], or with the rows of a matrix.
        like: a tensor with the dtype and device that ``product`` wants.
        size: d.
        k: how many pairs.
        which: "LA" for the largest, "SA" for the smallest.
        tol: accuracy of the eigenvalues, relative; of the smallest, relative to the largest.
        max_products: None for no limit.
        seed: of the first vector, which is the same everywhere.
        progress: as for `pgrad.analysis._progress.Progress`.
        what: is computed.
        cost: said before, in words.
    """
    check_number("k", k, size)
    if not 0 < tol < 1:
        raise ValueError(f"tol must be between 0 and 1, got {tol}")
    sweep = min(max(2 * k + 1, 20), size)
    if max_products is not None and max_products < sweep:
        raise ValueError(f"max_products must be None or at least {sweep} for {k} eigenvalues, got {max_products}")
    counter = Progress(progress, what, sweep, cost)
    if k >= size - 1 or size <= sweep:  # scipy's method must leave something out
        unit = torch.eye(size, dtype=like.dtype, device=like.device)
        matrix = torch.stack([_counted(product, row, counter) for row in unit]).double()
        values, columns = torch.linalg.eigh((matrix + matrix.T) / 2)
        order = torch.arange(size, device="cpu") if which == "SA" else torch.arange(size, device="cpu").flip(0)
        counter.end()
        return Eigenpairs(values[order[:k]].cpu(), columns.T[order[:k]].to(like.dtype), counter.done)
    found = _scipy(product, like, size, k, which, tol, max_products, seed, counter, sweep)
    counter.end()
    return found


def _counted(product: Callable[[Tensor], Tensor], vector: Tensor, counter: Progress) -> Tensor:
    found = product(vector)
    counter.step()
    return found


class _Enough(Exception):
    """As many products as there may be."""


def _scipy(
    product: Callable[[Tensor], Tensor],
    like: Tensor,
    size: int,
    k: int,
    which: str,
    tol: float,
    max_products: int | None,
    seed: int,
    counter: Progress,
    sweep: int,
) -> Eigenpairs:
    linalg = need("scipy.sparse.linalg", "eigenvalues")
    numpy = need("numpy", "eigenvalues")
    dtype = numpy.float64 if like.dtype == torch.float64 else numpy.float32

    def apply(array: Any) -> Any:
        if max_products is not None and counter.done >= max_products:
            raise _Enough
        vector = torch.from_numpy(numpy.ascontiguousarray(array).reshape(-1)).to(like.device)
        return _counted(product, vector, counter).cpu().numpy()

    start = torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=like.dtype, device="cpu")
    # scipy's accuracy is relative to an eigenvalue, and the smallest may be zero: they are shifted by the largest.
    shift = 0.0
    if which == "SA":
        small = tridiagonal(product, start.to(like.device), _SHIFT_STEPS, counter)
        shift = float(torch.linalg.eigvalsh(small).abs().amax())
    operator = linalg.LinearOperator(
        (size, size), matvec=lambda x: apply(x) - dtype(shift) * x.reshape(-1), dtype=dtype
    )
    try:
        values, columns = linalg.eigsh(
            operator, k, which=which, tol=tol, ncv=sweep, v0=start.numpy(), maxiter=_RESTARTS
        )
    except (_Enough, linalg.ArpackNoConvergence) as error:
        raise RuntimeError(
            f"{k} eigenvalues have not converged to tol={tol} within {counter.done} products: ask for fewer, a larger "
            "tol, or more products"
        ) from error
    order = (-values if which == "LA" else values).argsort()
    directions = torch.from_numpy(columns.T[order].copy()).to(like.device)
    return Eigenpairs(torch.from_numpy(values[order].astype(numpy.float64) + shift), directions, counter.done)


def tridiagonal(product: Callable[[Tensor], Tensor], start: Tensor, steps: int, counter: Progress) -> Tensor:
    """Lanczos' method from one vector, re-orthogonalised twice at each step.

    Args:
        product: of the symmetric matrix with a vector [d].
        start: [d], not zero.
        steps: m, at most; fewer where the vector's Krylov space ends before.
        counter: takes a step for each product.

    Returns:
        [m, m] float64 on the CPU, tridiagonal: the matrix on that space.
    """
    basis = [start / start.norm()]
    diagonal: list[float] = []
    beside: list[float] = []
    while True:
        moved = _counted(product, basis[-1], counter)
        diagonal.append(float(basis[-1].double() @ moved.double()))
        for _ in range(2):
            for vector in basis:
                moved = moved - (vector @ moved) * vector
        norm = float(moved.double().norm())
        largest = max(map(abs, diagonal + beside))
        if len(diagonal) == steps or norm <= 10 * torch.finfo(start.dtype).eps * largest:
            break
        beside.append(norm)
        basis.append(moved / norm)
    off = torch.tensor(beside, dtype=torch.float64, device="cpu")
    return torch.tensor(diagonal, dtype=torch.float64, device="cpu").diag() + off.diag(1) + off.diag(-1)
