"""What of a PGrad may be read and set: the groups and state that it shares, and the settings of its roll-outs."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from pgrad._checks import (
    check_aggregation,
    check_inside,
    check_lr,
    check_rollout_length,
    check_trajectory_device,
    check_trajectory_dtype,
)
from pgrad._engine.trajectory import Trajectory
from pgrad._phase import Phase
from pgrad.aggregation import Aggregation, points_needed
from pgrad.principal import check_n_components

__all__ = ["HasRolloutLength", "Settings", "Shared"]


class HasRolloutLength(Protocol):
    """Anything that knows the length of a roll-out, such as `pgrad.DomainBatchSampler`.

    If it has ``loops``, how many loops over it have begun, and ``entry_position``, at which step of a roll-out the
    current one entered, then the roll-outs of the optimizer are kept in phase with it. If it has ``given``, how many
    batches of that loop were given away, then it is noticed if they go elsewhere, or several of them into one step.
    """

    @property
    def rollout_length(self) -> int: ...


class Shared:
    """A field of PGrad that is kept in its dict ``_shared``.

    Lightning and Fabric hand out wrappers which imitate the class of the optimizer and look up in it what they lack.
    A method called on such a wrapper would write its fields there; that dict is the same object for both.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else instance._shared[self.name]

    def __set__(self, instance: Any, value: Any) -> None:
        instance._shared[self.name] = value


class Inside:
    """One of the two optimizers of a PGrad; another one may take its place at any time."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        if self.name not in instance.__dict__:
            raise AttributeError(f"there is no {self.name} optimizer yet")
        return instance.__dict__[self.name]

    def __set__(self, instance: Any, value: Any) -> None:
        check_inside(self.name, value, Settings)
        instance.__dict__[self.name] = value


class Settings(Optimizer):
    """An optimizer around an inner one, whose settings are followed or refused when they change."""

    inner: Optimizer = Inside()  # type: ignore[assignment]
    outer: Optimizer = Inside()  # type: ignore[assignment]
    _trajectory: Trajectory
    _shared: dict[str, Any]
    _length: int | None = Shared()  # type: ignore[assignment]
    _position: int = Shared()  # type: ignore[assignment]
    _sampler: Any = Shared()
    _phase: Phase = Shared()  # type: ignore[assignment]
    _lost_sampler: bool = Shared()  # type: ignore[assignment]

    def _follow(self) -> None:
        """Take note of what others did to the parameters."""
        raise NotImplementedError

    # ------------------------------------------------------------------------ what belongs to the inner optimizer alone

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Those of the inner optimizer. They may be edited or replaced; the outer optimizer follows."""
        return self.inner.param_groups

    @param_groups.setter
    def param_groups(self, groups: list[dict[str, Any]]) -> None:
        if hasattr(self, "inner"):  # the base class sets it before there is one
            self.inner.param_groups = groups

    @property
    def state(self) -> Any:
        """That of the inner optimizer."""
        return self.inner.state

    @state.setter
    def state(self, state: Any) -> None:
        if hasattr(self, "inner"):
            self.inner.state = state

    @property
    def defaults(self) -> dict[str, Any]:
        """Those of the inner optimizer."""
        return self.inner.defaults

    @defaults.setter
    def defaults(self, defaults: dict[str, Any]) -> None:
        if hasattr(self, "inner"):
            self.inner.defaults = defaults

    # ---------------------------------------------------------------------------------- what may change at an anchor

    @property
    def rollout_length(self) -> int | None:
        """T; may be set at an anchor (an int, a sampler or None), as all that follow here but the last three.

        Another sampler of the same T may be set in the middle of a roll-out too: for a copy, which knows none.
        """
        length: int | None = self._shared["rollout_length"]
        return length

    @rollout_length.setter
    def rollout_length(self, rollout_length: int | HasRolloutLength | None) -> None:
        length = check_rollout_length(rollout_length)
        if length != self._shared.get("rollout_length"):
            self._refuse_inside("rollout_length")
        self._shared["rollout_length"] = self._length = length
        sampler = rollout_length if hasattr(rollout_length, "rollout_length") else None
        if self._position == 0:
            self._phase = Phase()
        elif sampler is not self._sampler:
            self._phase = Phase(skipped=self._phase.skipped)
        self._sampler = sampler
        self._lost_sampler = False

    @property
    def n_components(self) -> int | None:
        """How many principal directions to use at most."""
        number: int | None = self._shared["n_components"]
        return number

    @n_components.setter
    def n_components(self, n_components: int | None) -> None:
        self._refuse_inside("n_components")
        check_n_components(n_components)
        self._shared["n_components"] = n_components

    @property
    def aggregation(self) -> Aggregation:
        """What makes the outer gradient of a roll-out."""
        aggregation: Aggregation = self._shared["aggregation"]
        return aggregation

    @aggregation.setter
    def aggregation(self, aggregation: Aggregation) -> None:
        self._refuse_inside("aggregation")
        check_aggregation(aggregation)
        self._trajectory.keep(points_needed(aggregation))
        self._shared["aggregation"] = aggregation

    @property
    def trajectory_dtype(self) -> torch.dtype | None:
        """Dtype of the stored displacements."""
        return self._trajectory.dtype

    @trajectory_dtype.setter
    def trajectory_dtype(self, dtype: torch.dtype | None) -> None:
        self._refuse_inside("trajectory_dtype")
        self._trajectory.dtype = check_trajectory_dtype(dtype)
        self._trajectory.free()

    @property
    def trajectory_device(self) -> torch.device | None:
        """Where they are stored."""
        return self._trajectory.device

    @trajectory_device.setter
    def trajectory_device(self, device: torch.device | str | None) -> None:
        self._refuse_inside("trajectory_device")
        self._trajectory.device = check_trajectory_device(device)
        self._trajectory.free()

    # ------------------------------------------------------------------------------------ what may change at any time

    @property
    def outer_lr(self) -> Any:
        """Learning rate of the outer optimizer, of its first group; it may be set, for all groups, at any time."""
        return self.outer.param_groups[0].get("lr")

    @outer_lr.setter
    def outer_lr(self, lr: float | Tensor) -> None:
        check_lr("outer_lr", lr)
        for group in self.outer.param_groups:
            group["lr"] = lr

    @property
    def check_ranks(self) -> bool | None:
        """Whether ranks are compared at every outer step; may be set at any time, the same on all ranks."""
        check: bool | None = self._shared["check_ranks"]
        return check

    @check_ranks.setter
    def check_ranks(self, check_ranks: bool | None) -> None:
        if not (check_ranks is None or isinstance(check_ranks, bool)):
            raise ValueError(f"check_ranks must be True, False or None, got {check_ranks!r}")
        self._shared["check_ranks"] = check_ranks

    @property
    def nonfinite(self) -> str:
        """What to do after a roll-out that diverged; may be set at any time."""
        return str(self._shared["nonfinite"])

    @nonfinite.setter
    def nonfinite(self, nonfinite: str) -> None:
        if nonfinite not in ("restore", "raise"):
            raise ValueError(f'nonfinite must be "restore" or "raise", got {nonfinite!r}')
        self._shared["nonfinite"] = nonfinite

    def _refuse_inside(self, name: str) -> None:
        if self._position > 0:
            self._follow()
        if self._position > 0:
            raise RuntimeError(
                f"{name} may change at an anchor only, but {self._position} steps of a roll-out are done: call "
                "finish_rollout() or discard_rollout() first"
            )
