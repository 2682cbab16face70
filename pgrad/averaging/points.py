"""Points of training by parameter name, and their means: what averages compute with."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pgrad._engine import sharding

__all__ = [
    "RunningMean",
    "blank",
    "check_known",
    "check_same",
    "copy_into",
    "follow_towards",
    "parameters_of",
    "shapes_of",
    "taken_up",
    "whole_number",
    "wide",
]


def parameters_of(model: nn.Module) -> dict[str, Tensor]:
    """What is averaged of a model: its parameters by name, floating-point or complex, shared ones once.

    Of a model under FSDP2 these are the shards.
    """
    found = sharding.named_parameters(model)
    return {name: p for name, p in found.items() if p.is_floating_point() or p.is_complex()}


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

    def pack(self, parameters: Mapping[str, Tensor]) -> dict[str, Any]:
        """Ready for `torch.save`; if there is no point yet, zeros that a checkpoint can be loaded into."""
        mean = dict(self.mean) or blank(parameters, self.device)
        return {"mean": mean, "counts": dict(self.counts) or dict.fromkeys(mean, 0)}

    @classmethod
    def unpacked(
        cls, state: Mapping[str, Any], parameters: Mapping[str, Tensor], device: torch.device | None
    ) -> RunningMean:
        """What `pack` gave, copied.

        Raises:
            ValueError: if it does not fit the parameters, or its counts do not fit its means.
        """
        mean, counts = state.get("mean"), state.get("counts")
        if not isinstance(mean, Mapping) or not isinstance(counts, Mapping) or mean.keys() != counts.keys():
            raise ValueError("state_dict must have a mean and a count for each parameter; it was changed or cut")
        new = cls(device)
        new.counts = {name: whole_number(f"counts[{name!r}]", count) for name, count in counts.items() if count}
        new.mean = taken_up({name: mean[name] for name in new.counts}, parameters, device)
        return new


def wide(value: Tensor, device: torch.device | None) -> Tensor:
    """A copy in float32 at least."""
    dtype = torch.promote_types(value.dtype, torch.float32)
    with torch.inference_mode(False):  # the copy must be one that later points can change
        return value.detach().to(device=device or value.device, dtype=dtype, copy=True)


def blank(parameters: Mapping[str, Tensor], device: torch.device | None) -> dict[str, Tensor]:
    """Zeros for averages of these parameters."""
    return {name: torch.zeros_like(wide(p, device)) for name, p in parameters.items()}


def taken_up(
    saved: Mapping[str, Tensor], parameters: Mapping[str, Tensor], device: torch.device | None
) -> dict[str, Tensor]:
    """Saved averages, copied and laid out over the ranks as the parameters are now."""
    check_known("state_dict", saved, parameters)
    new = {name: wide(parameters[name], device) for name in saved}
    for name, value in saved.items():
        target: Any = parameters[name]
        if hasattr(target, "device_mesh") and not hasattr(value, "device_mesh"):  # saved by one process, whole
            distribute = sys.modules["torch.distributed.tensor"].distribute_tensor
            value = distribute(value, target.device_mesh, target.placements)
        sharding.local(new[name]).copy_(sharding.local_part(value, target))
    return new


def follow_towards(means: list[Tensor], values: list[Tensor], share: float) -> None:
    """mean <- mean + share (value - mean)."""
    parts = [sharding.local(mean) for mean in means]
    others = [sharding.local(v).to(m.device, m.dtype) for m, v in zip(parts, values, strict=True)]
    if parts:
        torch._foreach_lerp_(parts, others, share)


@torch.no_grad()
def copy_into(parameters: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """The parameters become these values, in their own dtype; parameters without a value stay."""
    targets = [parameters[name] for name in values]
    sharding.forget_copies(targets)
    for target, value in zip(targets, values.values(), strict=True):
        sharding.local(target).copy_(sharding.local(value))


def shapes_of(parameters: Mapping[str, Tensor]) -> dict[str, list[int]]:
    """By name, ready for `torch.save`."""
    return {name: list(p.shape) for name, p in parameters.items()}


def check_known(what: str, averages: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> None:
    """Refuse averages of parameters that are gone or have another shape.

    Raises:
        ValueError: with their names and shapes.
    """
    wrong = []
    for name, value in averages.items():
        found = tuple(parameters[name].shape) if name in parameters else "none"
        if found != tuple(value.shape):
            wrong.append(f"{name!r} of shape {tuple(value.shape)} (got {found})")
    if wrong:
        raise ValueError(f"{what} needs parameters that the model has no more: {', '.join(wrong)}; start a new average")


def check_same(what: str, found: Mapping[str, Sequence[int]], expected: Mapping[str, Sequence[int]]) -> None:
    """Refuse other names or shapes than those expected.

    Raises:
        ValueError: with the names.
    """
    names = found.keys() | expected.keys()
    different = sorted(n for n in names if n not in found or n not in expected or [*found[n]] != [*expected[n]])
    if different:
        raise ValueError(f"{what} must have the same parameters, but these differ in name or shape: {different}")


def whole_number(name: str, value: Any) -> int:
    """A count out of a state.

    Raises:
        ValueError: if it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"state_dict must have a count of points as {name}, got {value!r}")
    return value
