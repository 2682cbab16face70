"""The state dict of PGrad: one torch.optim layout that holds the inner and the outer optimizer and the roll-out.

`torch.optim` knows ``{"state": {i: entry}, "param_groups": [group]}``, with i the position of a parameter, and so do
the tools around it (torch.distributed.checkpoint renames i, and drops every other key). Hence nothing is put beside
these two: what belongs to a parameter is in its entry, and what belongs to the optimizer in every group, under "pgrad".
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.optim import Optimizer

from pgrad._engine import sharding as _sharding

if TYPE_CHECKING:
    from pgrad.optimizer import PGrad

__all__ = ["pack", "unpack"]

_KEY = "pgrad"


def pack(optimizer: PGrad) -> dict[str, Any]:
    """State dict of the inner optimizer with all the rest folded in."""
    inner, outer = optimizer.inner.state_dict(), optimizer.outer.state_dict()
    position, trajectory = optimizer._position, optimizer._trajectory
    state = dict(inner["state"])
    for i, p in enumerate(_parameters(optimizer)):
        entry: dict[str, Any] = {}
        if i in outer["state"]:
            entry["outer"] = outer["state"][i]
        if position > 0 and p in trajectory:
            entry |= trajectory.state_of(p, position)
        if entry:
            state[i] = {**state.get(i, {}), _KEY: entry}
    groups = []
    for own, inner_group, outer_group in zip(
        optimizer.param_groups, inner["param_groups"], outer["param_groups"], strict=True
    ):
        options = {k: v for k, v in outer_group.items() if k != "params"}
        description = {**_describe(optimizer, own), **_progress(optimizer), "outer": options}
        description["entries"] = [_entries(state, i) for i in inner_group["params"]]
        groups.append({**inner_group, _KEY: description})
    return {**inner, "state": state, "param_groups": groups}


def unpack(optimizer: PGrad, state_dict: dict[str, Any]) -> None:
    """Check everything, then load everything."""
    _check(optimizer, state_dict)
    groups, state = state_dict["param_groups"], state_dict["state"]
    progress = groups[0][_KEY]
    extras = {i: entry[_KEY] for i, entry in state.items() if _KEY in entry}
    inner_state = {i: {k: v for k, v in entry.items() if k != _KEY} for i, entry in state.items()}
    inner = {
        "state": {i: entry for i, entry in inner_state.items() if entry},
        "param_groups": [{k: v for k, v in group.items() if k != _KEY} for group in groups],
    }
    outer = {
        "state": {i: extra["outer"] for i, extra in extras.items() if "outer" in extra},
        "param_groups": [{"params": group["params"], **group[_KEY]["outer"]} for group in groups],
    }
    points = {p: extras[i] for p, i in zip(_parameters(optimizer), _indices(groups), strict=True) if _walks(extras, i)}
    length = optimizer.rollout_length or 1
    optimizer.inner.load_state_dict({**state_dict, **inner})
    optimizer.outer.load_state_dict(outer)
    optimizer._link()
    optimizer._trajectory.load(points, length, progress["position"], progress["table"])
    optimizer._position = progress["position"]
    optimizer.nonfinite_rollouts = progress["nonfinite_rollouts"]


def _describe(optimizer: PGrad, group: dict[str, Any]) -> dict[str, Any]:
    """What must be the same where a state dict is loaded."""
    return {
        "inner_type": type(optimizer.inner).__name__,
        "outer_type": type(optimizer.outer).__name__,
        "rollout_length": optimizer.rollout_length,
        "n_components": optimizer.n_components,
        "aggregation": _name_of(optimizer.aggregation),
        "sketch_size": optimizer._trajectory.sketch_size,
        "shapes": [list(p.shape) for p in group["params"]],
    }


def _name_of(function: Any) -> str:
    """The name of a function, also inside a functools.partial; of another callable that of its class."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__qualname__", type(function).__qualname__)


def _progress(optimizer: PGrad) -> dict[str, Any]:
    position = optimizer._position
    table = optimizer._trajectory.table_of(position) if position > 0 else None
    return {"position": position, "nonfinite_rollouts": optimizer.nonfinite_rollouts, "table": table}


def _check(optimizer: PGrad, state_dict: dict[str, Any]) -> None:
    missing = {"state", "param_groups"} - state_dict.keys()
    if missing:
        raise ValueError(f"state_dict lacks {sorted(missing)}: it is not that of an optimizer")
    groups = state_dict["param_groups"]
    if len(groups) != len(optimizer.param_groups):
        raise ValueError(f"state_dict has {len(groups)} parameter groups, this optimizer {len(optimizer.param_groups)}")
    for n, (group, own) in enumerate(zip(groups, optimizer.param_groups, strict=True)):
        _check_group(n, group, len(own["params"]), _describe(optimizer, own))
        _check_complete(group, state_dict["state"])
    position, length = groups[0][_KEY]["position"], optimizer.rollout_length
    if not 0 <= position < (length or 1):
        raise ValueError(f"state_dict has the roll-out position {position}, allowed is 0 .. {(length or 1) - 1}")
    parameters = dict(zip(_indices(groups), _parameters(optimizer), strict=True))
    for i, entry in state_dict["state"].items():
        if _KEY in entry and "anchor" in entry[_KEY]:
            _check_points(i, parameters[i], entry[_KEY], _rows(groups[0][_KEY]))


def _check_group(n: int, group: dict[str, Any], size: int, expected: dict[str, Any]) -> None:
    if _KEY not in group:
        raise ValueError("state_dict is not that of a pgrad.PGrad: its parameter groups have no 'pgrad' entry")
    if len(group["params"]) != size:
        raise ValueError(f"state_dict has {len(group['params'])} parameters in group {n}, this optimizer {size}")
    for name, value in expected.items():
        found = group[_KEY].get(name)
        if found != value:
            raise ValueError(
                f"state_dict was saved with {name}={found!r}, this optimizer has {name}={value!r} (group {n}); "
                "load it into an optimizer made with the same arguments"
            )


def _check_complete(group: dict[str, Any], state: dict[Any, Any]) -> None:
    """Nothing may be lost on the way, as by tools that load only what the receiving optimizer has already."""
    for i, saved in zip(group["params"], group[_KEY]["entries"], strict=True):
        lost = sorted({*saved} - {*_entries(state, i)})
        if lost:
            raise ValueError(
                f"state_dict was saved at roll-out position {group[_KEY]['position']} with {lost} of parameter {i}, "
                "which got lost before it came here; with torch.distributed.checkpoint, load into what "
                "pgrad.integrations.distributed.optimizer_template gives"
            )


def _entries(state: dict[Any, Any], index: Any) -> list[str]:
    """Names of what this optimizer adds to the entry of a parameter."""
    entry = state.get(index, {}).get(_KEY, {})
    return [*(k for k in entry if k != "outer"), *(f"outer.{k}" for k in entry.get("outer", {}))]


def _rows(progress: dict[str, Any]) -> int:
    """How many displacements there are: one for each inner step but the last, or what a sketch has kept of them."""
    table = progress["table"]
    return max(progress["position"], 1) - 1 if table is None else len(table[0])


def _check_points(index: int, param: Tensor, entry: dict[str, Tensor], rows: int) -> None:
    expected = {"anchor": tuple(param.shape), "displacements": (rows, *param.shape)}
    for name, shape in expected.items():
        found = tuple(entry[name].shape)
        if found != shape:
            raise ValueError(f"state_dict has {name} of shape {found} for parameter {index}, expected {shape}")
        if _sharding.layout_of(param).mesh is not None and _sharding.layout_of(entry[name]).mesh is None:
            raise ValueError(  # torch gathers and cuts only what a fresh optimizer has, and may leave it on one rank
                f"state_dict has {name} of parameter {index} in one piece, but the parameter is sharded; save and load "
                "a roll-out with torch.distributed.checkpoint, or save a full state dict at rollout_position 0"
            )


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _indices(groups: list[dict[str, Any]]) -> list[Any]:
    return [i for group in groups for i in group["params"]]


def _walks(extras: dict[Any, dict[str, Any]], index: Any) -> bool:
    return "anchor" in extras.get(index, {})
