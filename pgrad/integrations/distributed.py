"""torch.distributed.checkpoint in the middle of a roll-out.

Saving needs nothing special: ``get_optimizer_state_dict`` and ``torch.distributed.checkpoint.save`` take all that is in
the state dict of a `pgrad.PGrad`, the roll-out in progress included. But ``load`` reads only the keys that its argument
has, and drops the rest in silence, so that it needs a template with the very keys and shapes of the checkpoint.
"""

from __future__ import annotations

import itertools
import os
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict
from torch.distributed.checkpoint.storage import StorageReader

from pgrad import PGrad
from pgrad._engine import sharding

__all__ = ["optimizer_template"]


def optimizer_template(
    model: nn.Module, optimizer: PGrad, checkpoint: str | os.PathLike[str] | StorageReader, key: str = "optimizer"
) -> dict[str, Any]:
    """What `torch.distributed.checkpoint.load` has to fill, made from the checkpoint's own list of contents.

    It has the layout of `get_optimizer_state_dict`, laid out over the ranks as the parameters are now, which need not
    be how they were when it was saved. Nothing in the checkpoint is left out. Its values are undefined until ``load``
    has filled it; then `set_optimizer_state_dict` takes it. ``model`` and ``optimizer`` stay as they are, except that
    an optimizer without any state gets one of zeros.

    Args:
        model: the model, wrapped (DDP, FSDP2, ...) as it is trained now. All ranks must call this.
        optimizer: of its parameters.
        checkpoint: the folder, or what reads it.
        key: under which the state dict of the optimizer was saved.

    Returns:
        A new state dict: ``{"state": {name: entry}, "param_groups": [group]}``.

    Raises:
        KeyError: if nothing was saved under ``key``.
        ValueError: if ``model`` lacks a parameter that has a state in the checkpoint.

    Example:
        >>> import tempfile, warnings, torch.distributed.checkpoint as dcp
        >>> from torch.distributed.checkpoint.state_dict import set_optimizer_state_dict
        >>> model, again = nn.Linear(2, 1), nn.Linear(2, 1)
        >>> saved, fresh = (PGrad(net.parameters(), rollout_length=3) for net in (model, again))
        >>> model(torch.ones(2)).backward()
        >>> _ = saved.step()
        >>> warnings.simplefilter("ignore")  # that this is only one process
        >>> folder = tempfile.TemporaryDirectory()
        >>> _ = dcp.save({"optimizer": get_optimizer_state_dict(model, saved)}, checkpoint_id=folder.name)
        >>> state = optimizer_template(again, fresh, folder.name)
        >>> dcp.load({"optimizer": state}, checkpoint_id=folder.name)
        >>> set_optimizer_state_dict(again, fresh, state)
        >>> fresh.rollout_position
        1
    """
    reader = checkpoint if isinstance(checkpoint, StorageReader) else FileSystemReader(checkpoint)
    metadata = reader.read_metadata()
    contents = {path: name for name, path in (metadata.planner_data or {}).items() if path[0] == key}
    if not contents:
        found = sorted({str(path[0]) for path in (metadata.planner_data or {}).values()})
        raise KeyError(f"key must be one under which a state dict was saved, got {key!r}; the checkpoint has {found}")
    own = get_optimizer_state_dict(model, optimizer)
    parameters = _by_name(optimizer, own)
    template: dict[str, Any] = {"state": {}}
    for path, name in contents.items():
        stored = metadata.state_dict_metadata[name]
        value = _value(stored, path[1:], own, parameters) if isinstance(stored, TensorStorageMetadata) else None
        _put(template, path[1:], value)
    return template


def _by_name(optimizer: PGrad, own: Any) -> dict[str, Tensor]:
    names = [name for group in own["param_groups"] for name in group["params"]]
    return dict(zip(names, (p for group in optimizer.param_groups for p in group["params"]), strict=True))


def _value(
    stored: TensorStorageMetadata, path: tuple[str | int, ...], own: Any, parameters: dict[str, Tensor]
) -> Tensor:
    """An empty tensor for what was stored: laid out as what the optimizer has there, else as the parameter."""
    there = own
    for step in path:
        there = there.get(step) if isinstance(there, dict) else None
    if isinstance(there, Tensor) and there.shape == stored.size:
        return torch.empty_like(there, dtype=stored.properties.dtype)
    if path[0] != "state":
        return torch.empty(stored.size, dtype=stored.properties.dtype, device="cpu")
    if path[1] not in parameters:
        raise ValueError(f"model must have the parameter {path[1]!r}, which has a state in the checkpoint")
    param = parameters[path[1]]
    lead = len(stored.size) - param.ndim
    if lead < 0 or stored.size[lead:] != param.shape:
        return torch.empty(stored.size, dtype=stored.properties.dtype, device="cpu")
    part = sharding.local(param)
    return sharding.like(part.new_empty((*stored.size[:lead], *part.shape), dtype=stored.properties.dtype), param)


def _put(template: Any, path: tuple[str | int, ...], value: Any) -> None:
    """Set ``template[path[0]][path[1]]...``, making dicts and lists on the way as the keys are strings or numbers."""
    for step, following in itertools.pairwise(path):
        _make_room(template, step)
        if template[step] is None:
            template[step] = {} if isinstance(following, str) else []
        template = template[step]
    _make_room(template, path[-1])
    template[path[-1]] = value


def _make_room(container: Any, key: str | int) -> None:
    if isinstance(container, dict):
        container.setdefault(key, None)
    else:
        container.extend([None] * (cast(int, key) + 1 - len(container)))
