"""Derivatives of a model's outputs by its parameters, and of a loss by the outputs."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import functional_call

from pgrad.analysis._objective import Objective

__all__ = ["loss_product", "outputs_of", "refuse_once", "slope_of", "tangent", "twice"]


def outputs_of(outputs: Any) -> Tensor:
    """The outputs of a model, which must be one tensor."""
    if not isinstance(outputs, Tensor) or not outputs.is_floating_point():
        raise TypeError(
            "the Gauss-Newton matrix is of a model that returns one tensor of real numbers, got "
            f"{outputs.dtype if isinstance(outputs, Tensor) else type(outputs).__name__}"
        )
    return outputs


def tangent(objective: Objective, vector: Tensor, inputs: Any) -> tuple[Tensor, Tensor]:
    """The outputs z, with the graph of their backward pass if grad mode is on, and J v.

    By forward mode; where an operation of the model has none, by a backward pass through the backward pass: J' u is
    linear in u, and the derivative of its product with v is J v.

    Raises:
        ValueError: if an operation of the model has a derivative of neither kind.
    """
    parts = objective.split(vector)
    if objective.forward_mode:
        try:
            return _forward(objective, parts, inputs)
        except NotImplementedError:  # what torch raises for an operation without
            objective.forward_mode = False
    with torch.enable_grad():
        outputs = outputs_of(objective.model(inputs))
        along = torch.zeros_like(outputs, requires_grad=True)
        grads = objective.gradients_of(outputs, along, create_graph=True)
        reached = [(grad, part) for grad, part in zip(grads, parts, strict=True) if grad is not None]
        if not reached:
            return outputs, torch.zeros_like(outputs)
        graph, directions = zip(*reached, strict=True)
        refuse_once(graph)
        (moved,) = twice(graph, [along], directions)
    return outputs, torch.zeros_like(outputs) if moved is None else moved


def _forward(objective: Objective, parts: Sequence[Tensor], inputs: Any) -> tuple[Tensor, Tensor]:
    with forward_ad.dual_level(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script", FutureWarning)  # torch's own, at its first derivative
        named = zip(objective.names, objective.params, parts, strict=True)
        weights = {name: forward_ad.make_dual(p, part) for name, p, part in named}
        found: Any = forward_ad.unpack_dual(outputs_of(functional_call(objective.model, weights, (inputs,))))
    moved = torch.zeros_like(found.primal) if found.tangent is None else found.tangent
    return found.primal, moved.detach()


def refuse_once(graph: Iterable[Tensor]) -> None:
    """Refuse gradients whose own derivative is cut off by an operation that can be derived only once.

    torch raises no error for them where nothing else is asked of that operation: what lies beyond counts as unused.

    Raises:
        ValueError: if there is one.
    """
    waiting: list[Any] = [tensor.grad_fn for tensor in graph]
    seen: set[Any] = {None}
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.name() == "torch::autograd::Error":
            raise ValueError(
                "model and loss must have second derivatives, and one of their operations has none: use another "
                "implementation of it (it is marked once_differentiable)"
            )
        waiting += [following for following, _ in node.next_functions]


def twice(graph: Sequence[Tensor], inputs: Sequence[Tensor], along: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    """The derivatives of gradients times ``along`` by ``inputs``; the graph is kept.

    Raises:
        ValueError: if an operation has no second derivative.
    """
    try:
        return torch.autograd.grad(graph, inputs, along, retain_graph=True, allow_unused=True)
    except RuntimeError as error:
        if "is not implemented" not in str(error):
            raise
        raise ValueError(
            "model and loss must have second derivatives, and one of their operations has none: use another "
            f"implementation of it ({error})"
        ) from error


def slope_of(loss: Tensor, outputs: Tensor) -> Tensor:
    """The derivatives of a loss by the outputs that it was computed from, to be derived once more."""
    (slope,) = torch.autograd.grad(loss, outputs, create_graph=True)
    return slope


def loss_product(slope: Tensor, outputs: Tensor, moved: Tensor) -> Tensor:
    """L times ``moved``, for the second derivatives L of a loss with this `slope_of`; the graph is kept."""
    if not slope.requires_grad:  # a loss that is linear in the outputs
        return torch.zeros_like(moved)
    (found,) = twice([slope], [outputs], [moved])
    return torch.zeros_like(moved) if found is None else found.detach()
