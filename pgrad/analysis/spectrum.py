"""Trace and spectral density of a matrix of which only products are known: stochastic Lanczos quadrature.

For a random vector z with E[z z'] = I the mean of z' f(M) z is the trace of f(M). Lanczos' method from z gives a small
tridiagonal matrix; its eigenvalues, weighted with the squares of the first entries of its eigenvectors, are a Gauss
quadrature: it makes z' f(M) z / z' z exact for polynomials of degree 2m - 1 (Golub and Meurant, Matrices, Moments and
Quadrature, 2010; Ubaru, Chen and Saad, SIAM J. Matrix Anal. Appl. 38, 2017).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pgrad.analysis._lanczos import check_number, tridiagonal
from pgrad.analysis._progress import Progress, Teller

if TYPE_CHECKING:
    from pgrad.analysis.curvature import Symmetric

__all__ = ["Density", "Estimate", "density", "trace"]


@dataclass(frozen=True)
class Estimate:
    """A number that was estimated from random vectors.

    Attributes:
        value: their mean.
        standard_error: of that; infinite for one vector.
    """

    value: float
    standard_error: float

    @classmethod
    def of(cls, values: Tensor) -> Estimate:
        """From one value for each vector [s]."""
        error = float(values.std() / math.sqrt(len(values))) if len(values) > 1 else math.inf
        return cls(float(values.mean()), error)


@dataclass(frozen=True, eq=False)
class Density:
    """How the eigenvalues of a matrix are distributed.

    Attributes:
        nodes: places on the axis of eigenvalues, [s, m] float64, of each of s random vectors.
        weights: the share of the eigenvalues that each stands for, [s, m]; the sum over m is one.
        size: number d of eigenvalues.
    """

    nodes: Tensor
    weights: Tensor
    size: int

    def at(self, places: Tensor, width: float) -> Tensor:
        """[n], density at ``places`` [n], each node drawn as a Gaussian with this standard deviation."""
        if not width > 0:
            raise ValueError(f"width must be above 0, got {width}")
        away = (places.double()[:, None, None] - self.nodes) / width
        drawn = (-0.5 * away.square()).exp() / (width * math.sqrt(2 * math.pi))
        return (drawn * self.weights).sum((1, 2)) / len(self.nodes)

    def share_above(self, place: float) -> Estimate:
        """Share of the eigenvalues above a place."""
        return Estimate.of((self.weights * (self.nodes > place)).sum(1))

    def moment(self, power: int) -> Estimate:
        """Mean of this power of the eigenvalues; exact in each vector up to the (2m - 1)-th."""
        return Estimate.of((self.weights * self.nodes**power).sum(1))


def density(
    matrix: Symmetric, steps: int = 30, samples: int = 4, *, seed: int = 0, progress: bool | Teller = False
) -> Density:
    """Spectral density, by Lanczos' method from random vectors of signs.

    Args:
        matrix: such as a `pgrad.analysis.Hessian`.
        steps: m, products for each vector; as many vectors of the size of the model are held.
        samples: s, random vectors.
        seed: of the vectors.
        progress: True says the cost, and how far it is, on stderr.

    Raises:
        ValueError: if a number is out of range.

    Example:
        >>> from pgrad.analysis import Hessian
        >>> loss = lambda outputs, targets: outputs.square().mean() / 2
        >>> model = torch.nn.Linear(3, 1, bias=False)
        >>> found = density(Hessian(model, loss, [(torch.eye(3), torch.zeros(3))]), steps=2)
        >>> round(found.moment(1).value, 4)  # all eigenvalues are 1/3
        0.3333
    """
    check_number("steps", steps, matrix.size)
    check_number("samples", samples, 10**9, "vectors")
    counter = Progress(progress, f"spectral density of {matrix._name}", steps * samples, _cost(matrix, steps * samples))
    nodes = torch.zeros(samples, steps, dtype=torch.float64, device="cpu")
    weights = torch.zeros(samples, steps, dtype=torch.float64, device="cpu")
    generator = torch.Generator().manual_seed(seed)
    for sample in range(samples):
        with matrix._repeated():
            small = tridiagonal(matrix.product, _signs(matrix, generator), steps, counter)
        values, vectors = torch.linalg.eigh(small)
        nodes[sample, : len(values)] = values
        nodes[sample, len(values) :] = values[-1]  # of weight zero
        weights[sample, : len(values)] = vectors[0].square()
    counter.end()
    return Density(nodes, weights, matrix.size)


def trace(matrix: Symmetric, samples: int = 30, *, seed: int = 0, progress: bool | Teller = False) -> Estimate:
    """Trace, as the mean of z' M z over random vectors of signs (Hutchinson 1989).

    Args:
        matrix: such as a `pgrad.analysis.Hessian`.
        samples: random vectors, one product each.
        seed: of the vectors.
        progress: True says the cost, and how far it is, on stderr.

    Raises:
        ValueError: if ``samples`` is below 1.
    """
    check_number("samples", samples, 10**9, "vectors")
    counter = Progress(progress, f"trace of {matrix._name}", samples, _cost(matrix, samples))
    generator = torch.Generator().manual_seed(seed)
    values = []
    with matrix._repeated():
        for _ in range(samples):
            vector = _signs(matrix, generator)
            values.append(float(vector.double() @ matrix.product(vector).double()))
            counter.step()
    counter.end()
    return Estimate.of(torch.tensor(values, dtype=torch.float64, device="cpu"))


def _signs(matrix: Symmetric, generator: torch.Generator) -> Tensor:
    like = matrix._like()
    signs = torch.randint(2, (matrix.size,), generator=generator, device="cpu") * 2 - 1
    return signs.to(like.device, like.dtype)


def _cost(matrix: Symmetric, products: int) -> str:
    gradients = products * matrix._gradients_per_product
    return f"{products} products, about {gradients:.0f} gradients over all batches"
