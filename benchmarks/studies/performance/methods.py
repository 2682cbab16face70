"""What is compared: functions that make, from a model and its loss, a function for one whole roll-out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

import pgrad
from pgrad._engine.fingerprint import Fingerprint

RunRollout = Callable[[], None]
ComputeLoss = Callable[[], Tensor]
Method = Callable[[nn.Module, ComputeLoss, int, dict[str, Any]], RunRollout]
LR = 1e-4


def _adam(params: Any, lr: Any = LR, fused: bool = False) -> torch.optim.Adam:
    return torch.optim.Adam(params, lr=lr, fused=fused or None)


def _loop(optimizer: torch.optim.Optimizer, loss: ComputeLoss, steps: int) -> RunRollout:
    def rollout() -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()

    return rollout


def inner(model: nn.Module, loss: ComputeLoss, steps: int, options: dict[str, Any]) -> RunRollout:
    """T steps of Adam."""
    return _loop(_adam(model.parameters(), fused=options.get("fused", False)), loss, steps)


def _pgrad(model: nn.Module, steps: int, options: dict[str, Any]) -> pgrad.PGrad:
    kept = {name: value for name, value in options.items() if name != "fused"}
    fused = options.get("fused", False)
    return pgrad.PGrad(
        model.parameters(), LR, steps, outer_lr=0.1, inner=lambda params, lr: _adam(params, lr, fused), **kept
    )


def principal(model: nn.Module, loss: ComputeLoss, steps: int, options: dict[str, Any]) -> RunRollout:
    """T steps of Adam and the outer step of PGrad."""
    return _loop(_pgrad(model, steps, options), loss, steps)


class _Blind(Fingerprint):
    """Sees no difference."""

    def take(self, params: Sequence[Tensor]) -> None:
        """Nothing."""


def unwatched(model: nn.Module, loss: ComputeLoss, steps: int, options: dict[str, Any]) -> RunRollout:
    """The same without looking, before each step, whether somebody else set the parameters: what that costs."""
    optimizer = _pgrad(model, steps, options)
    optimizer._trajectory._left = _Blind()
    return _loop(optimizer, loss, steps)


def displacement(model: nn.Module, loss: ComputeLoss, steps: int, options: dict[str, Any]) -> RunRollout:
    """The same along the plain displacement: one vector, no Gram matrix."""
    return principal(model, loss, steps, {**options, "aggregation": pgrad.aggregation.displacement})


def dense(model: nn.Module, loss: ComputeLoss, steps: int, options: dict[str, Any]) -> RunRollout:
    """The textbook way: a clone of the model at every point, one matrix of all of them, float64."""
    inner_steps = _adam(model.parameters(), fused=options.get("fused", False))
    params = list(model.parameters())

    def vector() -> Tensor:
        return torch.cat([p.detach().reshape(-1) for p in params])

    def rollout() -> None:
        points = [vector()]
        for _ in range(steps):
            inner_steps.zero_grad()
            loss().backward()
            inner_steps.step()
            points.append(vector())
        gradient = pgrad.reference.principal_gradient(torch.stack(points), 4).to(points[0])
        nn.utils.vector_to_parameters(points[0] - 0.1 * gradient, params)

    return rollout


def lookahead(model: nn.Module, loss: ComputeLoss, steps: int, options: dict[str, Any]) -> RunRollout:
    """Lookahead of pytorch_optimizer around Adam, k = T."""
    from pytorch_optimizer import Lookahead

    inner_steps = _adam(model.parameters(), fused=options.get("fused", False))
    return _loop(Lookahead(inner_steps, k=steps, alpha=0.1), loss, steps)


def sam(model: nn.Module, loss: ComputeLoss, steps: int, options: dict[str, Any]) -> RunRollout:
    """SAM of pytorch_optimizer around Adam: two gradients a step."""
    from pytorch_optimizer import SAM

    optimizer = SAM(model.parameters(), base_optimizer=torch.optim.Adam, lr=LR, fused=options.get("fused") or None)

    def closure() -> Tensor:
        value = loss()
        value.backward()
        return value

    def rollout() -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            closure()
            optimizer.step(closure)  # type: ignore[arg-type]  # a loss is a tensor

    return rollout


def torchjd(model: nn.Module, loss: ComputeLoss, steps: int, options: dict[str, Any]) -> RunRollout:
    """PCGrad of torchjd: the gradients of the same T micro-batches as one Jacobian, one step of Adam."""
    from torchjd.aggregation import PCGrad

    inner_steps, aggregator = _adam(model.parameters(), fused=options.get("fused", False)), PCGrad()
    params = [p for p in model.parameters() if p.requires_grad]

    def rollout() -> None:
        rows = []
        for _ in range(steps):
            gradients = torch.autograd.grad(loss(), params)
            rows.append(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        direction = aggregator(torch.stack(rows))
        inner_steps.zero_grad()
        for p, part in zip(params, direction.split([p.numel() for p in params]), strict=True):
            p.grad = part.view_as(p)
        inner_steps.step()

    return rollout


METHODS: dict[str, Method] = {
    "inner": inner,
    "pgrad": principal,
    "unwatched": unwatched,
    "displacement": displacement,
    "dense": dense,
    "lookahead": lookahead,
    "sam": sam,
    "torchjd": torchjd,
}
"""Adding a method is adding a line here; the first is the base line."""
