"""Derivatives of a model's outputs by its parameters, and of a loss by the outputs."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import functional_call

from pgrad.analysis._objective import Objective

__all__ = ["loss_product", "outputs_of", "tangent"]


def outputs_of(outputs: Any) -> Tensor:
    """The outputs of a model, which must be one tensor."""
    if not isinstance(outputs, Tensor) or not outputs.is_floating_point():
        raise TypeError(
            "the Gauss-Newton matrix is of a model that returns one tensor of real numbers, got "
            f"{outputs.dtype if isinstance(outputs, Tensor) else type(outputs).__name__}"
        )
    return outputs


def tangent(objective: Objective, vector: Tensor, inputs: Any) -> tuple[Tensor, Tensor]:
    """The outputs z, with the graph of their backward pass if grad mode is on, and J v, by forward mode."""
    with forward_ad.dual_level(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script", FutureWarning)  # torch's own, at its first derivative
        parts = zip(objective.names, objective.params, objective.split(vector), strict=True)
        weights = {name: forward_ad.make_dual(p, part) for name, p, part in parts}
        try:
            outputs = outputs_of(functional_call(objective.model, weights, (inputs,)))
        except NotImplementedError as error:
            raise NotImplementedError(
                "the Gauss-Newton matrix needs derivatives in forward mode, which an operation of the model has not: "
                f"use another implementation of it (math attention, an RNN without cuDNN), or the Hessian ({error})"
            ) from error
        found: Any = forward_ad.unpack_dual(outputs)
    moved = torch.zeros_like(outputs) if found.tangent is None else found.tangent
    return found.primal, moved.detach()


def loss_product(loss: Tensor, outputs: Tensor, moved: Tensor) -> Tensor:
    """L times ``moved``, for the second derivatives L of a loss by the outputs that it was computed from."""
    (slope,) = torch.autograd.grad(loss, outputs, create_graph=True)
    if not slope.requires_grad:  # a loss that is linear in the outputs
        return torch.zeros_like(moved)
    (found,) = torch.autograd.grad(slope, outputs, moved, allow_unused=True)
    return torch.zeros_like(moved) if found is None else found.detach()
