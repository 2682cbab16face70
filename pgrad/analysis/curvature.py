"""Hessian and Gauss-Newton matrix of a model's mean loss, by their products with vectors.

With outputs z_n(theta) of example n, the mean loss has the Hessian

    H = 1/N sum_n J_n' L_n J_n  +  1/N sum_n sum_c (dl_n / dz_nc) Hess z_nc,

J_n the derivatives of the outputs by the parameters and L_n the second derivatives of the loss by the outputs. The
first sum is the (generalised) Gauss-Newton matrix: positive semi-definite where the loss is convex in the outputs.

Its non-zero eigenpairs come from a matrix of outputs instead of parameters. With L_n / N = S_n S_n' and J, S of all
examples together, J' S S' J and S' J J' S have the same non-zero eigenvalues, and if (lambda, u) is a pair of the
latter then J' S u / sqrt(lambda) is a direction of the former. So Lanczos' basis is of vectors with one number for
each output (examples x outputs), and of vectors as large as the model there are as many as directions are asked for,
and two more. It is what `pgrad.principal` does with the Gram matrix of a roll-out.

A product with the Hessian is two backward passes; one with the Gauss-Newton matrix a forward-mode and a backward pass.
"""

from __future__ import annotations

import abc
import contextlib
import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pgrad.analysis._dual import Dual
from pgrad.analysis._kernels import differentiable
from pgrad.analysis._lanczos import Eigenpairs, Options, check_number, eigenpairs, sweep
from pgrad.analysis._objective import Loss, Objective
from pgrad.analysis._outputs import outputs_of
from pgrad.analysis._products import GaussNewtonOn, HessianOn

__all__ = ["Cost", "Curvature", "Difference", "GaussNewton", "Hessian"]


@dataclass(frozen=True)
class Cost:
    """What eigenpairs cost, before they are computed.

    Attributes:
        products: with the matrix, at least: the first sweep of Lanczos' method. A restart adds fewer than that.
        gradients: the same in evaluations of the gradient over all batches.
        vectors: of the size of the model, held at once beside the model, its gradient and the graph of one batch.
    """

    products: int
    gradients: float
    vectors: int

    def __str__(self) -> str:
        return (
            f"at least {self.products} products, about {self.gradients:.0f} gradients over all batches, and memory for "
            f"{self.vectors} vectors of the size of the model"
        )


class Symmetric(abc.ABC):
    """A symmetric matrix over the parameters, of which only products are known."""

    _name = "the matrix"
    _gradients_per_product = 1.0

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """Number d of parameters."""

    @abc.abstractmethod
    def product(self, directions: Tensor) -> Tensor:
        """M v for each row of ``directions`` [k, d], or for one [d]; of the same shape."""

    @abc.abstractmethod
    def _like(self) -> Tensor:
        """[0], of the dtype and on the device of the products."""

    def quadratic(self, directions: Tensor) -> Tensor:
        """v' M v / v' v for each row of ``directions`` [k, d], or for one [d]: float64, on the CPU; [k] or a number.

        The curvature along a direction.

        Raises:
            ValueError: if a direction is zero.
        """
        squares = directions.double().square().sum(-1)
        if not (squares > 0).all():
            raise ValueError("directions must not be zero, or nan")
        found = (directions.double() * self.product(directions).to(directions.device).double()).sum(-1) / squares
        return found.cpu()

    def dense(self) -> Tensor:
        """[d, d], by products with every unit vector: for small models."""
        unit = torch.eye(self.size, dtype=self._like().dtype, device=self._like().device)
        found = self.product(unit)
        return (found + found.T) / 2

    def cost(self, k: int) -> Cost:
        """What `top` or `bottom` would cost for ``k`` pairs."""
        check_number("k", k, self.size)
        products = sweep(k, self.size)
        return Cost(products, products * self._gradients_per_product, products + k + 4)

    def top(self, k: int, **options: Any) -> Eigenpairs:
        """The ``k`` largest eigenvalues and their eigenvectors, by scipy's Lanczos method.

        Args:
            k: how many, at most the number of parameters.
            options: tol (1e-4, relative to the eigenvalue), max_products (None for no limit), seed (0, of the first
                vector) and progress (False; True says the cost, and then how far it is, on stderr).

        Returns:
            Values [k], largest first, and directions [k, d], orthonormal rows.

        Raises:
            ValueError: if ``k`` is out of range.
            RuntimeError: if ``max_products`` did not suffice.
            ImportError: if scipy is not installed.
        """
        return self._extreme("LA", k, Options(**options))

    def bottom(self, k: int, **options: Any) -> Eigenpairs:
        """The ``k`` smallest eigenvalues (the most negative first), as `top`; tol is relative to the largest."""
        return self._extreme("SA", k, Options(**options))

    def _extreme(self, which: str, k: int, options: Options) -> Eigenpairs:
        end = "largest" if which == "LA" else "smallest"
        what = f"the {k} {end} eigenvalues of {self._name}"
        with self._repeated():
            return eigenpairs(self.product, self._like(), self.size, k, which, options, what, str(self.cost(k)))

    @contextlib.contextmanager
    def _repeated(self) -> Iterator[None]:
        """Products inside are of one function: what they have in common may be kept."""
        yield


class Curvature(Symmetric):
    """What the Hessian and the Gauss-Newton matrix share.

    Args:
        model: in evaluation mode wherever it has BatchNorm or dropout. One in DistributedDataParallel stands for its
            module, and is averaged over all ranks.
        loss: called as ``loss(model(inputs), targets)``, returns the mean over the batch.
        batches: pairs ``(inputs, targets)``, or longer tuples that begin so, which can be looped over again and again
            and hold the same examples each time, in any order: a DataLoader, a list.
        params: those that are looked at; None for all of the model that require a gradient.
        group: a process group over which to average, each rank with batches of its own.

    Raises:
        TypeError: if an argument has another type, or parameters are in half precision or complex.
        ValueError: if there is no example or no parameter, or the model is in training mode where that matters.
        FloatingPointError: if a loss is not finite.

    All is computed where and in the precision in which the parameters are, with autocast off.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        batches: Iterable[Any],
        *,
        params: Iterable[Tensor] | None = None,
        group: Any = None,
    ) -> None:
        self.objective = Objective(model, loss, batches, params, group)
        self._keeps = False
        self._kept: HessianOn | GaussNewtonOn | None = None

    @property
    def size(self) -> int:
        """Number d of parameters that are looked at."""
        return self.objective.size

    def _like(self) -> Tensor:
        return torch.empty(0, dtype=self.objective.dtype, device=self.objective.device)

    def gradient(self) -> Tensor:
        """[d], of the mean loss."""
        return self.objective.gradient()

    def product(self, directions: Tensor) -> Tensor:
        """M v for each row of ``directions`` [k, d], or for one [d]; of the same shape.

        Raises:
            ValueError: if a direction has not one number for each parameter.
            RuntimeError: if the batches hold other examples than in the pass before.
        """
        rows = directions if directions.ndim == 2 else directions[None]
        vectors = [self.objective.vector("each of directions", row) for row in rows]
        total = torch.zeros(len(vectors), self.size, dtype=self.objective.dtype, device=self.objective.device)
        if not vectors:
            return total
        if self._kept is not None:
            with torch.enable_grad(), differentiable(self.objective.device):
                return torch.stack([self._kept(vector) for vector in vectors]).view(directions.shape)
        found = 0.0
        for weight, inputs, targets in self.objective.passes():
            with torch.enable_grad():
                on_batch = self._on(inputs, targets)
                for row, vector in zip(total, vectors, strict=True):
                    row.add_(on_batch(vector), alpha=weight)
            found += weight * on_batch.value
            self._kept = on_batch if self._keeps else None
        self.objective.pass_done(found)
        return self.objective.reduce(total).view(directions.shape)

    @abc.abstractmethod
    def _on(self, inputs: Any, targets: Any) -> HessianOn | GaussNewtonOn:
        """The matrix on a batch."""

    @contextlib.contextmanager
    def _repeated(self) -> Iterator[None]:
        """The graph of a single batch is kept between products, on one process; of several it would be too large."""
        self._keeps = self.objective.group is None and self.objective.batch_count == 1
        try:
            yield
        finally:
            self._keeps, self._kept = False, None


class Hessian(Curvature):
    """The matrix H of second derivatives of the mean loss. Arguments and rules are those of `Curvature`.

    Example:
        A quadratic with the curvatures 1 and 3:

        >>> model = nn.Linear(2, 1, bias=False)
        >>> inputs = torch.eye(2) * torch.tensor([1.0, 3.0]).sqrt()
        >>> loss = lambda outputs, targets: (outputs - targets).square().mean()  # 1/2 (theta_1^2 + 3 theta_2^2) + ...
        >>> pairs = Hessian(model, loss, [(inputs, torch.ones(2, 1))]).top(1)
        >>> pairs.values, pairs.directions.abs()
        (tensor([3.], dtype=torch.float64), tensor([[0., 1.]]))
    """

    _name = "the Hessian"
    _gradients_per_product = 3.0

    def _on(self, inputs: Any, targets: Any) -> HessianOn:
        return HessianOn(self.objective, inputs, targets)


class GaussNewton(Curvature):
    """The generalised Gauss-Newton matrix of the mean loss, 1/N sum_n J_n' L_n J_n.

    For the cross-entropy it is the Fisher matrix. `top` works on outputs instead of parameters where these are more:
    it holds ``k + 2`` vectors of the size of the model. Arguments and rules are those of `Curvature`; the model returns
    one tensor.

    Example:
        >>> model = nn.Linear(2, 1, bias=False)
        >>> inputs = torch.eye(2) * torch.tensor([1.0, 3.0]).sqrt()
        >>> loss = lambda outputs, targets: (outputs - targets).square().mean()
        >>> GaussNewton(model, loss, [(inputs, torch.ones(2, 1))]).top(2).values
        tensor([3., 1.], dtype=torch.float64)
    """

    _name = "the Gauss-Newton matrix"
    _gradients_per_product = 2.0

    def _on(self, inputs: Any, targets: Any) -> GaussNewtonOn:
        return GaussNewtonOn(self.objective, inputs, targets)

    def cost(self, k: int) -> Cost:
        """What `top` would cost for ``k`` pairs."""
        check_number("k", k, self.size)
        if self.objective.group is not None or self._outputs >= self.size:
            return super().cost(k)
        products = sweep(k, self._outputs)
        return Cost(products, (products + k / 2) * self._gradients_per_product, k + 2)

    def _extreme(self, which: str, k: int, options: Options) -> Eigenpairs:
        check_number("k", k, self.size)
        outputs = self._outputs
        if which == "SA" or self.objective.group is not None or k >= outputs or outputs >= self.size:
            return super()._extreme(which, k, options)
        what = f"the {k} largest eigenvalues of {self._name}"
        return Dual(self.objective).top(k, options, what, str(self.cost(k)))

    @functools.cached_property
    @torch.no_grad()
    def _outputs(self) -> int:
        """Number of outputs of all examples together."""
        return sum(outputs_of(self.objective.model(inputs)).numel() for _, inputs, _ in self.objective.passes())


class Difference(Symmetric):
    """The difference of two curvatures of one model: its top directions are sharp for one and flat for the other.

    Args:
        one: such as the Hessian over one domain.
        other: over another domain.

    Raises:
        ValueError: if they do not look at the same number of parameters.
    """

    _name = "the difference of two curvatures"

    def __init__(self, one: Symmetric, other: Symmetric) -> None:
        if one.size != other.size:
            raise ValueError(f"one and other must be of the same parameters, got {one.size} and {other.size} of them")
        self.one, self.other = one, other
        self._gradients_per_product = one._gradients_per_product + other._gradients_per_product

    @property
    def size(self) -> int:
        """Number d of parameters."""
        return self.one.size

    def _like(self) -> Tensor:
        return self.one._like()

    def product(self, directions: Tensor) -> Tensor:
        """(M_one - M_other) v for each row of ``directions`` [k, d], or for one [d]."""
        return self.one.product(directions) - self.other.product(directions)

    @contextlib.contextmanager
    def _repeated(self) -> Iterator[None]:
        with self.one._repeated(), self.other._repeated():
            yield
