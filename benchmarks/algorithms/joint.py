"""What methods share that look at one mini-batch of every training domain at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.base.losses import Loss


def joint_outputs(model: nn.Module, inputs: Tensor) -> Tensor:
    """One forward pass over the mini-batches of all domains: ``[D, b, ...] -> [D, b, outputs]``."""
    outputs: Tensor = model(inputs.flatten(0, 1))
    return outputs.view(*inputs.shape[:2], *outputs.shape[1:])


def risks(loss: Loss, outputs: Tensor, labels: Tensor) -> Tensor:
    """The mean loss of every domain: ``[D, b, outputs], [D, b] -> [D]``."""
    return torch.stack([loss(found, wanted) for found, wanted in zip(outputs, labels, strict=True)])


def last_linear(model: nn.Module) -> nn.Linear:
    """The last linear layer of `model` in the order of registration: its classifier.

    Raises:
        ValueError: If there is none.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    if not layers:
        raise ValueError(f"model must end in a torch.nn.Linear, got none in {type(model).__name__}")
    return layers[-1]


class Features:
    """What goes into the classifier of `model`: the features of the last forward pass that is differentiated."""

    def __init__(self, model: nn.Module) -> None:
        self.classifier = last_linear(model)
        self.classifier.register_forward_pre_hook(self._keep)
        self.value: Tensor | None = None

    def _keep(self, _: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        if torch.is_grad_enabled():
            (self.value,) = arguments

    def take(self) -> Tensor:
        """The features ``[n, d]``, once."""
        value, self.value = self.value, None
        if value is None:
            raise ValueError("the model must be run, with gradients, before its features are taken")
        return value


def require_pairs(labels: Tensor, what: str) -> None:
    """Refuses mini-batches of one example, of which no spread can be told."""
    if labels.shape[1] < 2:
        raise ValueError(f"batch_size must be at least 2 for {what}, got {labels.shape[1]}")
