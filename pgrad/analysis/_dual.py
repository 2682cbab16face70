"""The Gauss-Newton matrix on the outputs, S' J J' S: small vectors for Lanczos' method."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pgrad.analysis._kernels import differentiable
from pgrad.analysis._lanczos import Eigenpairs, Options, check_number, eigenpairs
from pgrad.analysis._objective import Objective, flat
from pgrad.analysis._outputs import loss_product, outputs_of, slope_of, tangent

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
        self._graph: Tensor | None = None  # of a single batch; those of several together would be too large

    def top(self, k: int, options: Options, what: str, cost: str) -> Eigenpairs:
        """As `pgrad.analysis.curvature.GaussNewton.top`."""
        check_number("k", k, self.size, "outputs")
        like = torch.empty(0, dtype=torch.float64, device=self.objective.device)
        small = eigenpairs(self._product, like, self.size, k, "LA", options, what, cost)
        if float(small.values[-1]) <= _ROUND_OFF * float(small.values[0]):
            rank = int((small.values > _ROUND_OFF * small.values[0]).sum())
            raise ValueError(
                f"k must be at most the rank of the Gauss-Newton matrix, about {rank}, got {k}: other directions have "
                "eigenvalue zero"
            )
        directions = torch.empty(k, self.objective.size, dtype=self.objective.dtype, device=self.objective.device)
        self._back(small.directions, directions)
        directions.div_(directions.norm(dim=1, keepdim=True))
        return Eigenpairs(small.values, directions, small.products + (k + 1) // 2)

    def _product(self, vector: Tensor) -> Tensor:
        back = torch.empty(1, self.objective.size, dtype=self.objective.dtype, device=self.objective.device)
        self._back(vector[None], back)
        return self._forth(back[0])

    def _back(self, vectors: Tensor, into: Tensor) -> None:
        """J' S u for each row of ``vectors`` [k, outputs], into the rows of ``into`` [k, d]."""
        objective = self.objective
        into.zero_()
        for batch, parts in zip(self.batches, self._parts(vectors), strict=True):
            with torch.enable_grad(), differentiable(objective.device):
                outputs = outputs_of(objective.model(batch.inputs)) if self._graph is None else self._graph
                for row, part in zip(into, parts, strict=True):
                    along = (math.sqrt(batch.weight) * batch.times(part)).to(outputs.dtype).view(outputs.shape)
                    row.add_(flat(objective.gradients_of(outputs, along, retain_graph=True), objective.params))
            self._graph = outputs if len(self.batches) == 1 else None

    def _forth(self, vector: Tensor) -> Tensor:
        """[outputs], S' J v."""
        found = []
        for batch in self.batches:
            with torch.no_grad(), differentiable(self.objective.device):
                _, moved = tangent(self.objective, vector, batch.inputs)
            found.append(math.sqrt(batch.weight) * batch.transposed_times(_rows(moved.double())).reshape(-1))
        return torch.cat(found)

    def _parts(self, vectors: Tensor) -> list[Tensor]:
        """[k, n, c] for each batch."""
        parts = vectors.split([batch.shape.numel() for batch in self.batches], dim=1)
        return [part.reshape(len(part), batch.shape[0], -1) for part, batch in zip(parts, self.batches, strict=True)]

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
        generator = torch.Generator().manual_seed(0)
        probe = torch.randn(at.shape, dtype=at.dtype, generator=generator, device="cpu").to(at.device)
        expected = _rows(loss_product(slope_of(loss, at), at, probe))
        found = batch.times(batch.transposed_times(_rows(probe)))
        if (found - expected).norm() > 1e-6 * max(float(expected.norm()), 1e-300):
            raise ValueError(
                "loss must be a mean over examples, each with a loss that depends on its own outputs alone and is "
                "convex in them, for the top of the Gauss-Newton matrix: use the Hessian"
            )
        return batch


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
    for _ in range(2):
        along = torch.randn(outputs.shape, dtype=outputs.dtype, generator=generator, device="cpu").to(outputs.device)
        (found,) = torch.autograd.grad(slope, outputs, along, retain_graph=True)
        weighted = probabilities * along
        expected = (weighted - probabilities * weighted.sum(1, keepdim=True)) / len(outputs)
        if (found - expected).norm() > 1e-9 * expected.norm():
            return False
    return True
