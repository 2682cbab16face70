"""The state dict of PGrad: one torch.optim layout that holds the inner and the outer optimizer and the roll-out.

`torch.optim` knows ``{"state": {i: entry}, "param_groups": [group]}``, with i the position of a parameter, and so do
the tools around it (torch.distributed.checkpoint renames i, and drops every other key). Hence nothing is put beside
these two: what belongs to a parameter is in its entry, and what belongs to the whole in every group, under "pgrad".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from pgrad._engine import sharding
from pgrad._engine.fingerprint import samples
from pgrad._engine.trajectory import Trajectory

__all__ = ["Parts", "Progress", "pack", "unpack"]

_KEY = "pgrad"


@dataclass(frozen=True)
class Progress:
    """How far a roll-out is.

    Attributes:
        position: inner steps done since the anchor.
        nonfinite_rollouts: how many have been dropped so far.
        domains: that of each inner step so far; None where it was not named.
        skipped: steps of the sampler's roll-out that were gone when this one began.
        weights: a few values of each parameter, where it was saved; filled by `unpack`. For `pack` those that it shall
            write, if they are not the parameters' own.
        changed: settings that had another value where it was saved, at an anchor: that value; filled by `unpack`.
    """

    position: int
    nonfinite_rollouts: int
    domains: tuple[int | str | None, ...] = ()
    skipped: int = 0
    weights: Mapping[Tensor, list[float]] = field(default_factory=dict)
    changed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Parts:
    """What a state dict is packed from and unpacked into.

    Attributes:
        inner, outer: the two optimizers, with the same parameters in the same groups.
        trajectory: the stored displacements.
        settings: by name what must be the same where a roll-out goes on, ``rollout_length`` among it.
    """

    inner: Optimizer
    outer: Optimizer
    trajectory: Trajectory
    settings: Mapping[str, Any]


def pack(parts: Parts, progress: Progress) -> dict[str, Any]:
    """State dict of the inner optimizer with all the rest folded in."""
    inner, outer = parts.inner.state_dict(), parts.outer.state_dict()
    state = dict(inner["state"])
    for i, p in enumerate(_parameters(parts.inner)):
        entry: dict[str, Any] = {}
        if i in outer["state"]:
            entry["outer"] = outer["state"][i]
        if progress.position > 0 and p in parts.trajectory:
            entry |= parts.trajectory.state_of(p, progress.position)
        if entry:
            state[i] = {**state.get(i, {}), _KEY: entry}
    there = {
        "position": progress.position,
        "nonfinite_rollouts": progress.nonfinite_rollouts,
        "domains": list(progress.domains),
        "skipped": progress.skipped,
    }
    groups = []
    for own, inner_group, outer_group in zip(
        parts.inner.param_groups, inner["param_groups"], outer["param_groups"], strict=True
    ):
        options = {k: v for k, v in outer_group.items() if k != "params"}
        description = {**_describe(parts, own), **there, "outer": options}
        description["entries"] = [_entries(state, i) for i in inner_group["params"]]
        given = [progress.weights.get(p) for p in own["params"]]
        description["weights"] = given if progress.weights else samples(own["params"])
        groups.append({**inner_group, _KEY: description})
    return {**inner, "state": state, "param_groups": groups}


def unpack(parts: Parts, state_dict: dict[str, Any]) -> Progress:
    """Check everything, then load everything.

    Raises:
        ValueError: if the state dict belongs to something else. Nothing has changed then.
    """
    state_dict = _check(parts, state_dict)
    groups, state = state_dict["param_groups"], state_dict["state"]
    progress = _progress(parts, groups)
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
    moving = {
        p: extras[i]
        for p, i in zip(_parameters(parts.inner), _indices(groups), strict=True)
        if "anchor" in extras.get(i, {})
    }
    parts.inner.load_state_dict({**state_dict, **inner})
    parts.outer.load_state_dict(outer)
    parts.trajectory.load(moving, parts.settings["rollout_length"] or 1, progress.position)
    return progress


def _progress(parts: Parts, groups: list[dict[str, Any]]) -> Progress:
    found = groups[0][_KEY]
    values = [value for group in groups for value in group[_KEY].get("weights", [None] * len(group["params"]))]
    weights = {p: value for p, value in zip(_parameters(parts.inner), values, strict=True) if value is not None}
    changed = {name: found[name] for name, value in parts.settings.items() if found[name] != value}
    domains = tuple(found.get("domains", ()))
    skipped = found.get("skipped", 0)  # version 0.1 knew nothing of it
    return Progress(found["position"], found["nonfinite_rollouts"], domains, skipped, weights, changed)


def _describe(parts: Parts, group: dict[str, Any]) -> dict[str, Any]:
    """What a state dict was saved with."""
    return {
        "inner_type": type(parts.inner).__name__,
        "outer_type": type(parts.outer).__name__,
        **parts.settings,
        "shapes": [list(p.shape) for p in group["params"]],
    }


def _check(parts: Parts, state_dict: dict[str, Any]) -> dict[str, Any]:
    missing = {"state", "param_groups"} - state_dict.keys()
    if missing:
        raise ValueError(f"state_dict lacks {sorted(missing)}: it is not that of an optimizer")
    own_groups = parts.inner.param_groups
    if len(state_dict["param_groups"]) != len(own_groups):
        raise ValueError(
            f"state_dict has {len(state_dict['param_groups'])} parameter groups, this optimizer {len(own_groups)}"
        )
    state_dict = {**state_dict, "param_groups": [_present(group) for group in state_dict["param_groups"]]}
    groups = state_dict["param_groups"]
    for n, (group, own) in enumerate(zip(groups, own_groups, strict=True)):
        _check_group(n, group, own, _describe(parts, own), parts.settings)
        groups[n] = group = _by_name(n, group, own)
        _check_shapes(n, group, own)
        _check_complete(group, state_dict["state"])
    position, length = groups[0][_KEY]["position"], parts.settings["rollout_length"]
    position += groups[0][_KEY].get("skipped", 0) if position else 0
    if not 0 <= position < (length or 1):
        raise ValueError(f"state_dict has the roll-out position {position}, allowed is 0 .. {(length or 1) - 1}")
    parameters = dict(zip(_indices(groups), _parameters(parts.inner), strict=True))
    for i, entry in state_dict["state"].items():
        if _KEY in entry and "anchor" in entry[_KEY]:
            _check_points(i, parameters[i], entry[_KEY], parts.trajectory.rows_at(position - 1))
    return state_dict


def _present(group: dict[str, Any]) -> dict[str, Any]:
    """A group as it is saved today: version 0.1 called its aggregation otherwise, and could keep fewer vectors."""
    if _KEY not in group or "sketch_size" not in group[_KEY]:
        return group
    old = dict(group[_KEY])
    gone = ("above_null", "cross_domain", "increments")
    if old["aggregation"] in gone:
        raise ValueError(
            f"state_dict was saved by pgrad 0.1 with the aggregation {old['aggregation']!r}, which is gone; go on with "
            "version 0.1, or pass only its model on"
        )
    if old.pop("sketch_size") is not None and old["position"] > 0:
        raise ValueError(
            f"state_dict was saved by pgrad 0.1 with a sketch_size, at roll-out position {old['position']}: sketches "
            "are gone; save it at position 0 with version 0.1"
        )
    old.pop("table", None)
    names = {"principal_weights": "principal"}
    return {**group, _KEY: {**old, "aggregation": names.get(old["aggregation"], old["aggregation"])}}


def _check_group(
    n: int, group: dict[str, Any], own: dict[str, Any], expected: dict[str, Any], settings: Mapping[str, Any]
) -> None:
    if _KEY not in group:
        raise ValueError("state_dict is not that of a pgrad.PGrad: its parameter groups have no 'pgrad' entry")
    if len(group["params"]) != len(own["params"]):
        raise ValueError(
            f"state_dict has {len(group['params'])} parameters in group {n}, this optimizer {len(own['params'])}"
        )
    inside = group[_KEY]["position"] > 0
    for name, value in expected.items():
        found = group[_KEY].get(name)
        if name == "shapes" or found == value or (name in settings and not inside):
            continue
        where = f" in the middle of a roll-out (position {group[_KEY]['position']})" if name in settings else ""
        raise ValueError(
            f"state_dict was saved{where} with {name}={found!r}, this optimizer has {name}={value!r} (group {n}); "
            "load it into an optimizer made with the same arguments"
        )


def _by_name(n: int, group: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """The group with its parameters in the order of this optimizer, where both know their names."""
    saved, here = group.get("param_names"), own.get("param_names")
    if saved is None or here is None or list(saved) == list(here):
        return group
    theirs, ours = list(saved), list(here)
    if sorted(theirs) != sorted(ours):
        theirs, ours = [_inside_wrappers(name) for name in theirs], [_inside_wrappers(name) for name in ours]
    if sorted(theirs) != sorted(ours) or len({*ours}) < len(ours):
        lost, new = sorted({*saved} - {*here}), sorted({*here} - {*saved})
        raise ValueError(
            f"state_dict names other parameters in group {n}: this optimizer lacks {lost} and has {new} instead; give "
            "both the same groups and names (those of the module inside DDP or torch.compile, say), or load parameters "
            "without names, which are taken in their order"
        )
    order = [theirs.index(name) for name in ours]

    def ordered(values: Any) -> list[Any]:
        return [values[k] for k in order]

    details = {name: ordered(group[_KEY][name]) for name in ("shapes", "entries", "weights") if name in group[_KEY]}
    return {**group, "params": ordered(group["params"]), "param_names": list(here), _KEY: {**group[_KEY], **details}}


def _inside_wrappers(name: str) -> str:
    """A parameter's name without what DDP, torch.compile, FSDP and activation checkpoints put before it."""
    for wrapper in ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."):
        name = name.replace(wrapper, "")
    while name.startswith("module."):
        name = name.removeprefix("module.")
    return name


def _check_shapes(n: int, group: dict[str, Any], own: dict[str, Any]) -> None:
    for k, (found, p) in enumerate(zip(group[_KEY]["shapes"], own["params"], strict=True)):
        if list(found) != list(p.shape):
            named = f" ({own['param_names'][k]})" if "param_names" in own else ""
            raise ValueError(
                f"state_dict has shapes of other parameters: {list(found)} at {k} of group {n}, this optimizer "
                f"{list(p.shape)}{named}; load it into an optimizer of the same model"
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


def _check_points(index: int, param: Tensor, entry: dict[str, Tensor], rows: int) -> None:
    expected = {"anchor": tuple(param.shape), "displacements": (rows, *param.shape)}
    for name, shape in expected.items():
        found = tuple(entry[name].shape)
        if found != shape:
            raise ValueError(f"state_dict has {name} of shape {found} for parameter {index}, expected {shape}")
        if sharding.layout_of(param).mesh is not None and sharding.layout_of(entry[name]).mesh is None:
            raise ValueError(  # torch gathers and cuts only what a fresh optimizer has, and may leave it on one rank
                f"state_dict has {name} of parameter {index} in one piece, but the parameter is sharded; save and load "
                "a roll-out with torch.distributed.checkpoint, or save a full state dict at rollout_position 0"
            )


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _indices(groups: list[dict[str, Any]]) -> list[Any]:
    return [i for group in groups for i in group["params"]]
