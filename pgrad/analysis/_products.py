"""The matrices of second derivatives on one batch, as functions of a vector [d]; they keep the graph of the batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pgrad.analysis._objective import Objective, flat
from pgrad.analysis._outputs import loss_product, refuse_once, slope_of, tangent, twice

__all__ = ["GaussNewtonOn", "HessianOn"]


class HessianOn:
    """A backward pass through the gradient of the batch; the gradient is taken once.

    Attributes:
        value: the loss of the batch.

    Raises:
        ValueError: if an operation of the model or of the loss has no second derivative.
    """

    def __init__(self, objective: Objective, inputs: Any, targets: Any) -> None:
        self.objective = objective
        value = objective.checked(objective.loss(objective.model(inputs), targets))
        grads = objective.gradients_of(value, create_graph=True)
        self.reached = [grad is not None and grad.requires_grad for grad in grads]  # others are constant
        self.gradient = [grad for grad, there in zip(grads, self.reached, strict=True) if there and grad is not None]
        refuse_once(self.gradient)
        self.value = float(value.detach())

    def __call__(self, vector: Tensor) -> Tensor:
        """[d].

        Raises:
            ValueError: if an operation of the model or of the loss has no second derivative.
        """
        params = self.objective.params
        parts = [part for part, there in zip(self.objective.split(vector), self.reached, strict=True) if there]
        if not parts:
            return torch.zeros_like(vector)
        return flat(twice(self.gradient, params, parts), params)


class GaussNewtonOn:
    """A forward-mode and a backward pass; those after the first vector use its graph for the latter.

    Attributes:
        value: the loss of the batch; nan before the first vector.
    """

    def __init__(self, objective: Objective, inputs: Any, targets: Any) -> None:
        self.objective, self.inputs, self.targets = objective, inputs, targets
        self.graph: tuple[Tensor, Tensor, Tensor] | None = None  # outputs; the same as a leaf; the loss's slope there
        self.value = float("nan")

    def __call__(self, vector: Tensor) -> Tensor:
        """[d].

        Raises:
            ValueError: if an operation of the model has neither a derivative in forward mode nor a second one.
        """
        objective = self.objective
        with torch.set_grad_enabled(self.graph is None):
            outputs, moved = tangent(objective, vector, self.inputs)
        if self.graph is None:
            at = outputs.detach().requires_grad_()
            loss = objective.checked(objective.loss(at, self.targets))
            self.value = float(loss.detach())
            self.graph = outputs, at, slope_of(loss, at)
        outputs, at, slope = self.graph
        curved = loss_product(slope, at, moved)
        return flat(objective.gradients_of(outputs, curved, retain_graph=True), objective.params)
