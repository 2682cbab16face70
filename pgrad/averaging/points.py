"""Points of training by parameter name, and their means: what averages compute with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from pgrad._engine import sharding

__all__ = ["RunningMean", "check_same", "check_shapes", "follow_towards", "wide"]


class RunningMean:
    """The mean of points, each parameter over those that it took part in.

    Attributes:
        mean: by name, in float32 at least.
        counts: by name, how many points.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self.device = device
        self.mean: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Tensor], counts: Mapping[str, int]) -> None:
        """Take in the mean of other points: ``values`` over ``counts`` of them."""
        shares: dict[float, list[str]] = {}
        for name, value in values.items():
            if name not in self.mean:
                self.mean[name], self.counts[name] = wide(value, self.device), 0
            self.counts[name] += counts[name]
            shares.setdefault(counts[name] / self.counts[name], []).append(name)
        for share, names in shares.items():  # one, unless parameters came at different times
            follow_towards([self.mean[name] for name in names], [values[name] for name in names], share)

    def pack(self) -> dict[str, Any]:
        """Ready for `torch.save`."""
        return {"mean": dict(self.mean), "counts": dict(self.counts)}

    @classmethod
    def unpacked(
        cls, state: Mapping[str, Any], parameters: Mapping[str, Tensor], device: torch.device | None
    ) -> RunningMean:
        """What `pack` gave, copied."""
        check_shapes("state_dict", state["mean"], parameters)
        new = cls(device)
        for name, mean in state["mean"].items():
            new.mean[name] = wide(parameters[name], device)
            sharding.local(new.mean[name]).copy_(sharding.local_part(mean, parameters[name]))
        new.counts = dict(state["counts"])
        return new


def wide(value: Tensor, device: torch.device | None) -> Tensor:
    """A copy in float32 at least."""
    dtype = torch.promote_types(value.dtype, torch.float32)
    return value.detach().to(device=device or value.device, dtype=dtype, copy=True)


def follow_towards(means: list[Tensor], values: list[Tensor], share: float) -> None:
    """mean <- mean + share (value - mean)."""
    parts = [sharding.local(mean) for mean in means]
    others = [sharding.local(v).to(m.device, m.dtype) for m, v in zip(parts, values, strict=True)]
    if parts:
        torch._foreach_lerp_(parts, others, share)


def check_shapes(what: str, found: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> None:
    """Refuse averages of parameters that are gone, or had another shape."""
    shapes = {name: tuple(p.shape) for name, p in parameters.items()}
    wrong = [f"{name!r} {tuple(v.shape)}" for name, v in found.items() if shapes.get(name) != tuple(v.shape)]
    if wrong:
        raise ValueError(
            f"{what} has averages of parameters that the model has not, or in another shape: {', '.join(wrong)}; make "
            "a new average for a model that has changed"
        )


def check_same(what: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse other parameters than those expected."""
    different = sorted(_differences(found, expected))
    if different:
        raise ValueError(f"{what} must have the same parameters, but these differ in name or shape: {different}")


def _differences(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> Iterable[str]:
    for name in one.keys() | other.keys():
        if name not in one or name not in other or one[name].shape != other[name].shape:
            yield name
