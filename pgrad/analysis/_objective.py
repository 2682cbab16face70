"""A model, a loss and the batches it is averaged over: a function of one vector, the parameters.

Internal format, used in the whole package: a point or a direction is a vector [d], all parameters one after the other
in the order of ``model.parameters()``, and of several each is a *row*, [k, d].

The objective is the mean of the loss over all examples: that of a batch counts with its part of the examples. Nothing
is written to: neither parameters nor their ``.grad`` nor buffers change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.func import functional_call

from pgrad.analysis._kernels import differentiable
from pgrad.analysis._modes import refuse_training, unwritten

__all__ = ["Loss", "Objective", "flat"]

# From outputs and targets of a batch to the mean of its losses.
Loss = Callable[[Any, Any], Tensor]

_SAME = 1e-3  # a loss that differs by more from one pass to the next is another one
_REPEATED = 1e-5  # and from one call to the next


class Objective:
    """The mean loss of a model over batches, and its gradient.

    Its arguments, and what is refused of them, are those of `pgrad.analysis.Curvature`. A parameter that the loss does
    not depend on has a gradient of zero.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        batches: Iterable[Any],
        params: Iterable[Tensor] | None = None,
        group: Any = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
        if not callable(loss):
            raise TypeError(f"loss must be a function of outputs and targets, got {loss!r}")
        if isinstance(model, nn.parallel.DistributedDataParallel):
            group = dist.group.WORLD if group is None else group
            model = model.module
        if isinstance(batches, Iterator) or not isinstance(batches, Iterable):
            raise TypeError(
                "batches must be an iterable that can be looped over again, such as a DataLoader or a list of pairs, "
                f"got {type(batches).__name__}"
            )
        refuse_training(model)
        self.model, self.loss, self.batches, self.group = model, loss, batches, group
        self.names, self.params = _chosen(model, params)
        self.size = sum(p.numel() for p in self.params)
        self.forward_mode = True  # until an operation of the model turns out to have none
        self._versions: list[int] = []
        self.examples, self.batch_count = self._count()
        with unwritten(model):
            if any(module.training for module in model.modules()):
                self._refuse_noise()
            self.value: float = self.mean_loss()

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.params[0].device

    @property
    def dtype(self) -> torch.dtype:
        """That of the parameters."""
        return self.params[0].dtype

    # ---------------------------------------------------------------------------------------------------- the batches

    def passes(self) -> Iterator[tuple[float, Any, Any]]:
        """Every batch with its weight in the mean; `differentiable` kernels run meanwhile."""
        if torch.is_inference_mode_enabled():
            raise RuntimeError("torch.inference_mode must be off: no derivative can be taken in it; use torch.no_grad")
        for inputs, targets in self._pairs():
            with differentiable(self.device):
                yield len(targets) / self.examples, inputs, targets

    def _pairs(self) -> Iterator[tuple[Any, Any]]:
        for number, batch in enumerate(self.batches):
            if isinstance(batch, Mapping) or not isinstance(batch, Sequence) or len(batch) < 2:
                raise TypeError(
                    f"batches must hold pairs (inputs, targets), got {type(batch).__name__} as no. {number}"
                )
            inputs, targets = (_moved(part, self.device) for part in batch[:2])
            if not hasattr(targets, "__len__"):
                raise TypeError(
                    f"targets of a batch must have a length, got {type(targets).__name__} in batch {number}"
                )
            if len(targets):
                yield inputs, targets

    def _count(self) -> tuple[int, int]:
        """Examples of all ranks, and batches of this one."""
        lengths = [len(targets) for _, targets in self._pairs()]
        count = int(self.reduce(torch.tensor(sum(lengths), device=self.device)))
        if not count:
            raise ValueError("batches must hold at least one example, got none")
        return count, len(lengths)

    def reduce(self, total: Tensor) -> Tensor:
        """The sum over all ranks, in place."""
        if self.group is not None:
            dist.all_reduce(total, group=self.group)
        return total

    # ------------------------------------------------------------------------------------------------------ the losses

    @torch.no_grad()
    def _refuse_noise(self) -> None:
        """The first batch must have the same loss twice."""
        for _, inputs, targets in self.passes():
            one, other = (self.checked(self.loss(self.model(inputs), targets)).item() for _ in range(2))
            if abs(one - other) > _REPEATED * max(abs(one), abs(other)):
                raise ValueError(
                    f"model must be a function of its inputs, got the losses {one:.6g} and {other:.6g} for the same "
                    "batch: something in it draws at random in training mode; call model.eval()"
                )
            return

    def checked(self, value: Any) -> Tensor:
        """A loss of a batch, which must be one finite number."""
        if not isinstance(value, Tensor) or value.numel() != 1:
            found = f"one of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"loss must return a tensor with one number, the mean over the batch, got {found}")
        if not value.isfinite().all():
            raise FloatingPointError(
                f"loss is {value.item()} on a batch: look for bad examples in batches, or analyse weights from before "
                "the run diverged"
            )
        return value

    @torch.no_grad()
    def mean_loss(self, point: Tensor | None = None) -> float:
        """The mean over all examples, at the model's own parameters or at ``point`` [d], whatever it is there."""
        weights = None if point is None else dict(zip(self.names, self.split(point), strict=True))
        total = torch.zeros((), dtype=torch.float64, device="cpu")
        for weight, inputs, targets in self.passes():
            outputs = self.model(inputs) if weights is None else functional_call(self.model, weights, (inputs,))
            value = self.loss(outputs, targets)
            total += weight * (self.checked(value) if point is None else value).double().cpu()
        total = self.reduce(total.to(self.device)).cpu() if self.group is not None else total
        if point is None:
            self.same(float(total))
        return float(total)

    def same(self, value: float) -> None:
        """Note the mean loss that a pass over the batches has found: it must be that of the pass before.

        Raises:
            RuntimeError: if it is another one, though no parameter was changed.
        """
        versions = [p._version for p in self.params]
        if versions == self._versions and abs(value - self.value) > _SAME * max(abs(value), abs(self.value)):
            raise RuntimeError(
                f"the mean loss was {self.value:.6g} in one pass over batches and {value:.6g} in the next: they must "
                "hold the same examples each time (no random augmentation, no drop_last with shuffle), and the model "
                "no dropout at work"
            )
        self._versions, self.value = versions, value

    def gradient(self) -> Tensor:
        """[d], of the mean loss."""
        total = torch.zeros(self.size, dtype=self.dtype, device=self.device)
        for weight, gradient in self.gradients():
            total.add_(gradient, alpha=weight)
        return self.reduce(total)

    def gradients(self) -> Iterator[tuple[float, Tensor]]:
        """The weight in the mean, and the gradient [d], of every batch of this rank: one pass over them."""
        found = 0.0
        for weight, inputs, targets in self.passes():
            with torch.enable_grad():
                value = self.checked(self.loss(self.model(inputs), targets))
                grads = self.gradients_of(value)
            found += weight * float(value.detach())
            yield weight, flat(grads, self.params)
        self.pass_done(found)

    def gradients_of(self, value: Tensor, along: Tensor | None = None, **options: bool) -> tuple[Tensor | None, ...]:
        """The derivatives of ``value`` (times ``along``) by each parameter; None for one that it does not depend on."""
        if not value.requires_grad:
            return (None,) * len(self.params)
        return torch.autograd.grad(value, self.params, along, allow_unused=True, **options)

    def pass_done(self, found: float) -> None:
        """A pass over the batches of this rank has found this sum of losses: `same` on all ranks."""
        total = torch.tensor(found, dtype=torch.float64, device=self.device)
        self.same(float(self.reduce(total)))

    # ----------------------------------------------------------------------------------------------------- the vectors

    def point(self) -> Tensor:
        """[d], the parameters as they are; a copy."""
        return torch.cat([p.detach().reshape(-1) for p in self.params])

    def split(self, vector: Tensor) -> list[Tensor]:
        """Its parts in the shapes of the parameters; views."""
        vector = self.vector("vector", vector)
        parts = vector.split([p.numel() for p in self.params])
        return [part.view(p.shape) for part, p in zip(parts, self.params, strict=True)]

    def vector(self, name: str, vector: Any) -> Tensor:
        """[d] in the dtype and on the device of the parameters."""
        if not isinstance(vector, Tensor) or vector.shape != (self.size,):
            found = tuple(vector.shape) if isinstance(vector, Tensor) else type(vector).__name__
            raise ValueError(f"{name} must be a tensor with one number for each of {self.size} parameters, got {found}")
        return vector.detach().to(self.device, self.dtype)


def flat(parts: Iterable[Tensor | None], params: Sequence[Tensor]) -> Tensor:
    """[d] of one part for each parameter; None is zero."""
    whole = [torch.zeros_like(p) if part is None else part for part, p in zip(parts, params, strict=True)]
    return torch.cat([part.detach().reshape(-1) for part in whole])


def _chosen(model: nn.Module, params: Iterable[Tensor] | None) -> tuple[list[str], list[Tensor]]:
    named: dict[Tensor, str] = {p: name for name, p in model.named_parameters()}
    wanted: list[Tensor] = [p for p in named if p.requires_grad] if params is None else list(dict.fromkeys(params))
    if not wanted:
        raise ValueError("params must hold at least one parameter that requires a gradient, got none")
    for p in wanted:
        if p not in named:
            raise ValueError(f"params must be of the model, got a tensor of shape {tuple(p.shape)} that is not")
        if p.dtype not in (torch.float32, torch.float64):
            raise TypeError(
                f"parameters must be float32 or float64, got {p.dtype} in {named[p]}: second derivatives in half "
                "precision are noise; analyse copy.deepcopy(model).float()"
            )
        if not p.requires_grad:
            raise ValueError(f"params must require a gradient, got {named[p]}, which is frozen")
    kinds = {(p.dtype, p.device) for p in wanted}
    if len(kinds) > 1:
        found = ", ".join(sorted(f"{dtype} on {device}" for dtype, device in kinds))
        raise ValueError(f"parameters must have one dtype and one device, got {found}")
    return [named[p] for p in wanted], wanted


def _moved(part: Any, device: torch.device) -> Any:
    if isinstance(part, Tensor):
        return part.to(device)
    if isinstance(part, Mapping):
        return {key: _moved(value, device) for key, value in part.items()}
    if isinstance(part, (tuple, list)) and not hasattr(part, "_fields"):
        return type(part)(_moved(value, device) for value in part)
    return part
