"""The Gauss-Newton matrix on the outputs, S' J J' S: small vectors for Lanczos' method."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pgrad.analysis._lanczos import Eigenpairs, check_number, eigenpairs
from pgrad.analysis._objective import Objective, flat
from pgrad.analysis._outputs import loss_product, outputs_of, tangent
from pgrad.analysis._progress import Teller

__all__ = ["Dual"]

_ROUND_OFF = 1e-9  # of the largest eigenvalue: what is smaller has no direction


@dataclass(frozen=True, eq=False)
class _Batch:
    """What is kept of a batch: S, as a square root for each example.

    Attributes:
        weight: of the batch in the mean.
        inputs: its inputs.
        shape: of its outputs.
        roots: [n, c, c], S_n S_n' = L_n; or [n, c], the probabilities p of L_n = (diag(p) - p p') / n, whose square
            root is (diag(sqrt(p)) - p sqrt(p)') / sqrt(n).
    """

    weight: float
    inputs: Any
    shape: torch.Size
    roots: Tensor

    def times(self, vectors: Tensor) -> Tensor:
        """S u, [n, c]."""
        if self.roots.ndim == 3:
            return torch.einsum("nab,nb->na", self.roots, vectors)
        root = self.roots.sqrt()
        inner = (root * vectors).sum(1, keepdim=True)
        return (root * vectors - self.roots * inner) / math.sqrt(len(vectors))

    def transposed_times(self, vectors: Tensor) -> Tensor:
        """S' u, [n, c]."""
        if self.roots.ndim == 3:
            return torch.einsum("nba,nb->na", self.roots, vectors)
        root = self.roots.sqrt()
        inner = (self.roots * vectors).sum(1, keepdim=True)
        return root * (vectors - inner) / math.sqrt(len(vectors))


class Dual:
    """The operator S' J J' S over the outputs of all examples, on one process.

    Raises:
        ValueError: if the loss is not a mean over examples (an output changes the slope by that of another example),
            or is not convex in the outputs.
    """

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.batches = [self._batch(*batch) for batch in objective.passes()]
        self.size = sum(batch.shape.numel() for batch in self.batches)

    def top(
        self, k: int, tol: float, max_products: int | None, seed: int, progress: bool | Teller, what: str, cost: str
    ) -> Eigenpairs:
        """As `pgrad.analysis.curvature.GaussNewton.top`."""
        check_number("k", k, self.size, "outputs")
        like = torch.empty(0, dtype=torch.float64, device=self.objective.device)
        small = eigenpairs(self._product, like, self.size, k, "LA", tol, max_products, seed, progress, what, cost)
        if float(small.values[-1]) <= _ROUND_OFF * float(small.values[0]):
            rank = int((small.values > _ROUND_OFF * small.values[0]).sum())
            raise ValueError(
                f"k must be at most the rank of the Gauss-Newton matrix, about {rank}, got {k}: other directions have "
                "eigenvalue zero"
            )
        directions = torch.empty(k, self.objective.size, dtype=self.objective.dtype, device=self.objective.device)
        for row, vector in zip(directions, small.directions, strict=True):
            row.copy_(self._back(vector))
            row.div_(row.norm())
        return Eigenpairs(small.values, directions, small.products + (k + 1) // 2)

    def _product(self, vector: Tensor) -> Tensor:
        return self._forth(self._back(vector))

    def _back(self, vector: Tensor) -> Tensor:
        """[d], J' S u."""
        objective = self.objective
        total = torch.zeros(objective.size, dtype=objective.dtype, device=objective.device)
        for batch, part in zip(self.batches, self._parts(vector), strict=True):
            with torch.enable_grad(), torch.autocast(objective.device.type, enabled=False):
                outputs = outputs_of(objective.model(batch.inputs))
                along = (math.sqrt(batch.weight) * batch.times(part)).to(outputs.dtype).view(outputs.shape)
                grads = torch.autograd.grad(outputs, objective.params, along, allow_unused=True)
            total += flat(grads, objective.params)
        return total

    def _forth(self, vector: Tensor) -> Tensor:
        """[outputs], S' J v."""
        found = []
        for batch in self.batches:
            with torch.no_grad(), torch.autocast(self.objective.device.type, enabled=False):
                _, moved = tangent(self.objective, vector, batch.inputs)
            found.append(math.sqrt(batch.weight) * batch.transposed_times(_rows(moved.double())).reshape(-1))
        return torch.cat(found)

    def _parts(self, vector: Tensor) -> list[Tensor]:
        parts = vector.split([batch.shape.numel() for batch in self.batches])
        return [part.view(batch.shape[0], -1) for part, batch in zip(parts, self.batches, strict=True)]

    def _batch(self, weight: float, inputs: Any, targets: Any) -> _Batch:
        objective = self.objective
        with torch.no_grad():
            outputs = outputs_of(objective.model(inputs))
        if outputs.ndim == 0:
            raise ValueError("model must return outputs of shape [examples, ...], got a single number")
        at = outputs.detach().double().requires_grad_()
        with torch.enable_grad():
            loss = objective.checked(objective.loss(at, targets))
        batch = _Batch(weight, inputs, outputs.shape, _roots(loss, at))
        probe = torch.randn(at.shape, dtype=at.dtype, generator=torch.Generator().manual_seed(0), device="cpu").to(
            at.device
        )
        expected = _rows(loss_product(_again(objective, at, targets), at, probe))
        found = batch.times(batch.transposed_times(_rows(probe)))
        if (found - expected).norm() > 1e-6 * max(float(expected.norm()), 1e-300):
            raise ValueError(
                "loss must be a mean over examples, each with a loss that depends on its own outputs alone and is "
                "convex in them, for the top of the Gauss-Newton matrix: use the Hessian"
            )
        return batch


def _again(objective: Objective, outputs: Tensor, targets: Any) -> Tensor:
    with torch.enable_grad():
        return objective.loss(outputs, targets)


def _rows(outputs: Tensor) -> Tensor:
    """[n, c]."""
    return outputs.reshape(len(outputs), -1)


def _roots(loss: Tensor, outputs: Tensor) -> Tensor:
    """Square roots of the second derivatives of a mean over examples: see `_Batch`."""
    (slope,) = torch.autograd.grad(loss, outputs, create_graph=True)
    if not slope.requires_grad:
        return torch.zeros(
            len(outputs), _rows(outputs).shape[1], dtype=outputs.dtype, device=outputs.device
        ).diag_embed()
    probabilities = outputs.detach().softmax(1) if outputs.ndim == 2 and outputs.shape[1] > 1 else None
    if probabilities is not None and _is_cross_entropy(slope, outputs, probabilities):
        return probabilities
    n, c = _rows(outputs).shape
    blocks = torch.empty(n, c, c, dtype=outputs.dtype, device=outputs.device)
    unit = torch.eye(c, dtype=outputs.dtype, device=outputs.device)
    for index in range(c):
        along = unit[index].expand(n, c).reshape(outputs.shape)
        (row,) = torch.autograd.grad(slope, outputs, along, retain_graph=True)
        blocks[:, index] = _rows(row)
    values, vectors = torch.linalg.eigh((blocks + blocks.mT) / 2)
    roots: Tensor = vectors * values.clamp_min(0).sqrt()[:, None]
    return roots


def _is_cross_entropy(slope: Tensor, outputs: Tensor, probabilities: Tensor) -> bool:
    """Whether the second derivatives are those of the mean cross-entropy of all examples, on two random vectors."""
    generator = torch.Generator().manual_seed(1)
    for _ in itertools.repeat(None, 2):
        along = torch.randn(outputs.shape, dtype=outputs.dtype, generator=generator, device="cpu").to(outputs.device)
        (found,) = torch.autograd.grad(slope, outputs, along, retain_graph=True)
        weighted = probabilities * along
        expected = (weighted - probabilities * weighted.sum(1, keepdim=True)) / len(outputs)
        if (found - expected).norm() > 1e-9 * expected.norm():
            return False
    return True
