"""What all averages share: whom they follow, how the model holds them for a while, how they are saved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from typing_extensions import Self

from pgrad._engine import sharding
from pgrad.averaging.points import check_same

__all__ = ["Average"]


class Average(ABC):
    """An average of the parameters of a model over training.

    Parameters are known by their names and looked up at each `update`: one that comes later is averaged from then on,
    over the points it takes part in; one that is gone or has another shape is refused. Parameters in half precision are
    averaged in float32. Of a sharded parameter (FSDP2) every rank averages its shard; with DDP every rank has the same
    average. Frozen parameters are part of it, and shared ones count once.

    Args:
        model: its parameters are read at each `update`.
        device: where the average is held; None for the device of each parameter.

    Raises:
        TypeError: if ``model`` is not a torch.nn.Module.

    What a subclass defines: `_take` (a point), `_values` (the average now), `ready`, `count`, and how its own numbers
    are saved (`_settings`, `_pack`, `_unpack`).
    """

    def __init__(self, model: nn.Module, device: torch.device | str | None = None) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
        self._model = model
        self._device = None if device is None else torch.device(device)
        self._hooks: list[Any] = []
        self._applied = False

    # ------------------------------------------------------------------------------------------------------ its points

    @property
    @abstractmethod
    def count(self) -> int:
        """Points in the average so far."""

    @property
    def ready(self) -> bool:
        """Whether there is an average."""
        return self.count > 0

    def follow(self, optimizer: Optimizer) -> Self:
        """Take a point by itself from now on: after every step, of a `pgrad.PGrad` after every outer step.

        A roll-out that is dropped or forgotten gives no point, nor does a step that a gradient scaler skips. Hooks of
        torch.optim do this; like all hooks of an optimizer, they are not copied or pickled with it: follow the copy.

        Returns:
            This average.

        Raises:
            TypeError: if ``optimizer`` is not a torch.optim.Optimizer.
            ValueError: if it has none of the model's parameters.
            RuntimeError: if this average follows an optimizer already.
        """
        if self._hooks:
            raise RuntimeError("this average follows an optimizer already: call unfollow() first")
        target: Any = optimizer
        while not hasattr(target, "_optimizer_step_post_hooks") and isinstance(
            getattr(target, "optimizer", None), Optimizer
        ):
            target = target.optimizer  # a wrapper, of Accelerate for example, whose own hooks never run
        if not isinstance(target, Optimizer):
            raise TypeError(f"optimizer must be a torch.optim.Optimizer, got {type(optimizer).__name__}")
        own = set(sharding.named_parameters(self._model).values())
        if not any(p in own for group in target.param_groups for p in group["params"]):
            raise ValueError("optimizer must have parameters of the averaged model, got one that has none of them")
        outer = getattr(target, "outer", None)
        stepping = outer if isinstance(outer, Optimizer) and hasattr(target, "rollout_position") else target
        self._hooks = [
            target.register_step_pre_hook(self._refuse_step),
            stepping.register_step_post_hook(lambda *_: self.update()),
        ]
        return self

    def unfollow(self) -> None:
        """Take no more points by itself."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters as they are. `follow` calls this; without it, call it where the model is a solution.

        Raises:
            ValueError: if a parameter is gone or has another shape.
            RuntimeError: inside `applied`.
        """
        self._refuse_applied("update()")
        self._take({name: p.detach() for name, p in sharding.named_parameters(self._model).items()})

    # --------------------------------------------------------------------------------------------------- the average

    def average(self) -> dict[str, Tensor]:
        """The average by parameter name, copied, in the dtype and on the device of the parameters.

        Raises:
            RuntimeError: if there is no average yet.
        """
        values, parameters = self._checked(), sharding.named_parameters(self._model)
        return {name: value.to(parameters[name], copy=True) for name, value in values.items()}

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the model holds the average; outside, what it held before, bit for bit.

        To evaluate or save it; in the middle of a roll-out too. Steps, points and another `applied` are refused inside.

        Raises:
            RuntimeError: if there is no average yet, or inside another `applied` of this average.
        """
        self._refuse_applied("applied()")
        values, parameters = self._checked(), sharding.named_parameters(self._model)
        kept = {name: parameters[name].detach().clone() for name in values}
        _copy(values, parameters)
        self._applied = True
        try:
            yield
        finally:
            self._applied = False
            _copy(kept, parameters)

    def copy_to(self, model: nn.Module) -> None:
        """Put the average into the parameters of a model of the same kind; its buffers stay.

        Raises:
            RuntimeError: if there is no average yet.
            ValueError: if the model has other parameters.
        """
        values, parameters = self._checked(), sharding.named_parameters(model)
        check_same("model", parameters, values)
        _copy(values, parameters)

    def _checked(self) -> Mapping[str, Tensor]:
        if not self.ready:
            raise RuntimeError(f"there is no average yet: {self._why_not_ready()}")
        return self._values()

    def _why_not_ready(self) -> str:
        return "follow an optimizer and make a step, or call update()"

    # ------------------------------------------------------------------------------------------------ saving, copying

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on bit for bit; loads with ``weights_only=True``. Tensors are references."""
        return {"type": type(self).__name__, "settings": self._settings(), **self._pack()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises:
            ValueError: if it belongs to another kind of average, to other settings or other parameters. Nothing has
                changed then.
            RuntimeError: inside `applied`.
        """
        self._refuse_applied("load_state_dict()")
        missing = sorted({"type", "settings", *self._pack()} - state_dict.keys())
        if missing:
            raise ValueError(f"state_dict must come from {type(self).__name__}.state_dict(), but lacks {missing}")
        if state_dict["type"] != type(self).__name__:
            raise ValueError(f"state_dict must be that of {type(self).__name__}, got one of {state_dict['type']}")
        for name, value in self._settings().items():
            if state_dict["settings"].get(name) != value:
                found = state_dict["settings"].get(name)
                raise ValueError(f"state_dict was saved with {name}={found!r}, here it is {value!r}")
        self._unpack(state_dict)

    def __getstate__(self) -> dict[str, Any]:
        if self._applied:
            raise RuntimeError("an average cannot be copied or pickled inside applied(): leave the block first")
        return {**self.__dict__, "_hooks": []}

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self._settings().items())
        return f"{type(self).__name__}({settings}, count={self.count})"

    # ---------------------------------------------------------------------------------------- what a subclass defines

    @abstractmethod
    def _take(self, point: dict[str, Tensor]) -> None:
        """A point: the parameters by name, detached."""

    @abstractmethod
    def _values(self) -> Mapping[str, Tensor]:
        """The average by name, in the precision in which it is kept."""

    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """What must be the same where a state is loaded."""

    @abstractmethod
    def _pack(self) -> dict[str, Any]:
        """What grows during training, ready for `torch.save`."""

    @abstractmethod
    def _unpack(self, state: Mapping[str, Any]) -> None:
        """Check everything, then take up what `_pack` gave."""

    def _refuse_applied(self, what: str) -> None:
        if self._applied:
            raise RuntimeError(f"{what} is not possible inside applied(): leave the block first")

    def _refuse_step(self, *_: Any) -> None:
        if self._applied:
            raise RuntimeError("a step is not possible inside applied(): the model holds the average; leave it first")


@torch.no_grad()
def _copy(values: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> None:
    targets = [parameters[name] for name in values]
    sharding.forget_gathered(targets)
    for target, value in zip(targets, values.values(), strict=True):
        sharding.local(target).copy_(sharding.local(value))
