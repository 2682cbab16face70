"""What all averages share: whom they follow, how the model holds them for a while, how they are saved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pgrad._engine.fingerprint import restored
from pgrad._engine.holding import holding, refuse_holding
from pgrad.averaging.following import Following, unwrapped
from pgrad.averaging.points import check_known, check_same, copy_into, parameters_of, shapes_of

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Average"]


class Average(ABC):
    """An average of the parameters of a model over training.

    Parameters are known by their names and looked up at each point. One that comes later is averaged from then on, over
    the points it takes part in, and until its first one it stays as it is; one that is gone or has another shape is
    refused: start a new average. Frozen parameters are part of it, shared ones count once, integer ones are left out.
    Parameters in half precision are averaged in float32. Of a sharded parameter (FSDP2) every rank averages its shard.
    With DDP every rank has the same average; make it of the module inside DDP or torch.compile, for names without a
    prefix.

    Buffers are not averaged. The running statistics of BatchNorm belong to other weights then: recompute them inside
    `applied` with `torch.optim.swa_utils.update_bn`. They are not put back afterwards, only parameters are.

    Args:
        model: its parameters are read at each point.
        device: where the average is held; None for the device that each parameter has at its first point.

    Raises:
        TypeError: if ``model`` is not a torch.nn.Module.

    What a subclass defines: `_take` (a point), `_values` (the average now), `count`, and how its own numbers are saved
    (`_settings`, `_pack`, `_unpack`).
    """

    def __init__(self, model: nn.Module, device: torch.device | str | None = None) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
        self._model = model
        self._device = None if device is None else torch.device(device)
        self._following: Following | None = None

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

        So the points of a PGrad are its anchors, also where `rollout` or `finish_rollout` made the outer step. A
        roll-out that is dropped or forgotten gives no point, nor does a step that a gradient scaler skips or that
        torch.distributed.checkpoint makes for its template. Where several optimizers train one model, follow the one
        that steps last.

        The hooks of torch.optim do this. As they do with all hooks, deepcopy and pickle drop them: follow the copy.

        Args:
            optimizer: of parameters of this model; or the wrapper of Accelerate, Lightning or Fabric around one.

        Returns:
            This average.

        Raises:
            TypeError: if ``optimizer`` is not a torch.optim.Optimizer, or is one without hooks.
            ValueError: if it has none of the model's parameters.
            RuntimeError: if this average follows an optimizer already.
        """
        if self._following is not None:
            raise RuntimeError("this average follows an optimizer already: call unfollow() first")
        target = unwrapped(optimizer)
        own = {id(p) for p in parameters_of(self._model).values()}
        if not any(id(p) in own for group in target.param_groups for p in group["params"]):
            raise ValueError("optimizer must have parameters of the averaged model, got one that has none of them")
        self._following = Following(target, self.update, lambda: self._refuse_applied("a step"))
        return self

    def unfollow(self) -> None:
        """Take no more points by itself."""
        if self._following is not None:
            self._following.remove()
        self._following = None

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters as they are. `follow` calls this; without it, call it where the model is a solution.

        Raises:
            ValueError: if a parameter is gone or has another shape.
            RuntimeError: inside `applied`.
        """
        parameters = parameters_of(self._model)
        refuse_holding("update()", parameters.values)
        self._take({name: p.detach() for name, p in parameters.items()})

    # --------------------------------------------------------------------------------------------------- the average

    def average(self) -> dict[str, Tensor]:
        """The average by parameter name, copied, in the dtype and on the device of the parameters.

        Raises:
            RuntimeError: if there is no average yet.
            ValueError: if a parameter is gone or has another shape.
        """
        parameters = parameters_of(self._model)
        values = self._checked(parameters)
        return {name: v.to(parameters[name].device, parameters[name].dtype, copy=True) for name, v in values.items()}

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the model holds the average; outside, what it held before, bit for bit.

        To evaluate or save it, in the middle of a roll-out too. What would move the model is refused inside: steps of
        the optimizer that is followed, points, another `applied`; with a PGrad all that its `at_anchor` refuses.
        Buffers stay as they are.

        Raises:
            RuntimeError: if there is no average yet, or the model holds one already.
            ValueError: if a parameter is gone or has another shape.
        """
        self._refuse_applied("applied()")
        self._checked(parameters_of(self._model))
        with nullcontext() if self._following is None else self._following.at_rest():
            parameters = parameters_of(self._model)
            values = self._values()
            kept = {name: parameters[name].detach().clone() for name in values}
            with restored(parameters.values()), holding(parameters.values()):
                try:
                    copy_into(parameters, values)
                    yield
                finally:
                    copy_into(parameters, kept)

    def copy_to(self, model: nn.Module) -> None:
        """Put the average into the parameters of a model of the same kind; its buffers stay.

        Raises:
            RuntimeError: if there is no average yet, or inside `applied` of a model that holds one.
            ValueError: if the model has other parameters than this average.
        """
        parameters = parameters_of(model)
        refuse_holding("copy_to()", parameters.values)
        values = self._checked(parameters_of(self._model))
        check_same("model", shapes_of(parameters), shapes_of(values))
        copy_into(parameters, values)

    def _checked(self, parameters: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        if not self.ready:
            raise RuntimeError(f"there is no average yet: {self._why_not_ready()}")
        values = self._values()
        check_known(f"this {type(self).__name__}", values, parameters)
        return values

    def _why_not_ready(self) -> str:
        return "follow an optimizer and make a step, or call update()"

    # ------------------------------------------------------------------------------------------------ saving, copying

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on bit for bit; loads with ``weights_only=True``. Tensors are references.

        Save the model with it. Under FSDP2 the tensors are DTensors: save with torch.save on every rank, or, for `EMA`
        and `Mean`, with torch.distributed.checkpoint, which loads into the state of a fresh average.
        """
        parameters = parameters_of(self._model)
        own = {"type": type(self).__name__, "settings": self._settings(), "parameters": shapes_of(parameters)}
        return {**own, **self._pack()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises:
            TypeError: if it is not a dict.
            ValueError: if it belongs to another kind of average, to other settings or other parameters. Nothing has
                changed then.
            RuntimeError: inside `applied`.
        """
        self._refuse_applied("load_state_dict()")
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict must be a dict, got {type(state_dict).__name__}")
        kind = type(self).__name__
        if state_dict.get("type", kind) != kind:
            raise ValueError(f"state_dict must be that of {kind}, got one of {state_dict['type']}")
        missing = sorted({"type", "settings", "parameters", *self._pack()} - state_dict.keys())
        if missing:
            raise ValueError(f"state_dict must come from {kind}.state_dict(), but lacks {missing}")
        for name, value in self._settings().items():
            found = state_dict["settings"].get(name)
            if found != value:
                raise ValueError(f"state_dict was saved with {name}={found!r}, here it is {value!r}")
        check_same("state_dict", state_dict["parameters"], shapes_of(parameters_of(self._model)))
        with torch.no_grad():
            self._unpack(state_dict)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_following": None}

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
        """What grows during training, ready for `torch.save`; before the first point with zeros to load into."""

    @abstractmethod
    def _unpack(self, state: Mapping[str, Any]) -> None:
        """Check everything, then take up what `_pack` gave."""

    def _refuse_applied(self, what: str) -> None:
        refuse_holding(what, lambda: parameters_of(self._model).values())
