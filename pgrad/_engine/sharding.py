"""Parameters that are spread over ranks: their local part, and one Gram matrix for all ranks.

A `torch.distributed.tensor.DTensor` (FSDP2, HSDP, tensor parallelism) is cut along the mesh dimensions where its
placement is a shard, and repeated along those where it is replicated. Whatever the cut, every element is in exactly
one of its shards, so that the Gram matrix of the whole parameter is the sum of those of its shards. Each rank gives its
local Gram matrix divided by the number of ranks that hold the same shard, and one all-reduce of [T, T] float64 sums
them: nothing counts twice, and every rank goes on with the same bits. Plain parameters of a sharded model are
replicated on every rank. A model without a DTensor (DDP) needs no communication, and has only that of `check_ranks`.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor
    from typing_extensions import TypeIs

__all__ = [
    "Layout",
    "agreed",
    "check_param",
    "combine",
    "forget_copies",
    "is_checking",
    "is_sharded",
    "is_zero",
    "layout_of",
    "like",
    "local",
    "local_part",
    "locals_of",
    "named_parameters",
]


class Layout(NamedTuple):
    """Where the elements of a parameter are; parameters of one layout share a sum."""

    mesh: Any  # torch.distributed.device_mesh.DeviceMesh, None for a plain tensor
    placements: tuple[Any, ...]

    @property
    def shards(self) -> int:
        """Into how many parts it is cut."""
        sizes = (self.mesh.size(dim) for dim, placement in enumerate(self.placements) if not placement.is_replicate())
        return _product(sizes)

    @property
    def shard(self) -> tuple[int, ...]:
        """Which of these parts this rank holds."""
        if self.mesh is None:
            return ()
        coordinate = self.mesh.get_coordinate() or [-1] * self.mesh.ndim
        return tuple(coordinate[dim] for dim, p in enumerate(self.placements) if not p.is_replicate())

    @property
    def name(self) -> str:
        """The same on every rank that takes part, whichever part of the mesh it is in."""
        if self.mesh is None:
            return "plain parameters"
        return f"parameters {self.placements} on a mesh {self.mesh.mesh_dim_names or ''}{tuple(self.mesh.mesh.shape)}"


def layout_of(tensor: Tensor) -> Layout:
    """The layout of a parameter."""
    return Layout(tensor.device_mesh, tuple(tensor.placements)) if _is_dtensor(tensor) else Layout(None, ())


def is_sharded(tensor: Tensor) -> bool:
    """Whether it is a DTensor, a part of which is on this rank."""
    return _is_dtensor(tensor)


def local(tensor: Tensor) -> Tensor:
    """What this rank holds of a tensor: the shard of a DTensor, sharing its memory, or the tensor itself."""
    if not _is_dtensor(tensor):
        return tensor
    with torch.no_grad():
        return tensor.to_local()


def locals_of(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """`local` of each, nearly for free where there is no DTensor."""
    dtensor = _dtensor()
    return tensors if dtensor is None else [local(t) if isinstance(t, dtensor) else t for t in tensors]


def like(part: Tensor, param: Tensor) -> Tensor:
    """The tensor of which ``part``, [*lead, *local shape], is the local part, laid out as ``param``."""
    if not _is_dtensor(param):
        return part
    lead = part.ndim - param.ndim
    shape = (*part.shape[:lead], *param.shape)
    stride = (*(step * param.numel() for step in _contiguous_stride(part.shape[:lead])), *param.stride())
    placements = [_shifted(placement, lead) for placement in param.placements]
    if part.storage_offset() > 0:  # a DTensor of such a part cannot be deep-copied
        part = torch.from_dlpack(part)  # type: ignore[attr-defined]
    whole: Tensor = _dtensor().from_local(
        part, param.device_mesh, placements, run_check=False, shape=torch.Size(shape), stride=stride
    )
    return whole


def local_part(value: Tensor, param: Tensor) -> Tensor:
    """The local part, [*lead, *local shape], of ``value``, [*lead, *shape], a DTensor if ``param`` is one."""
    if not _is_dtensor(param):
        return value.full_tensor() if _is_dtensor(value) else value
    lead = value.ndim - param.ndim
    placements = [_shifted(placement, lead) for placement in param.placements]
    return local(value.redistribute(param.device_mesh, placements))  # type: ignore[attr-defined]


def forget_copies(params: Iterable[Tensor]) -> None:
    """Make autocast cast anew and FSDP2 gather anew, before parameters change.

    Inside autocast the next forward pass would use the weights that were cast for the one before. After a forward pass
    without a backward pass (an evaluation) FSDP2 keeps the gathered parameters of the root module and would use them in
    the next one, whatever has become of the shards.
    """
    torch.clear_autocast_cache()
    if any(_is_dtensor(p) for p in params):
        _reshard()


def named_parameters(model: nn.Module) -> dict[str, Tensor]:
    """The parameters by name; of FSDP2 the shards, also where what it has gathered stands in their place."""
    _reshard()
    return dict(model.named_parameters())


def _reshard() -> None:
    states = sys.modules.get("torch.distributed._composable_state")
    for module in list(getattr(states, "_module_state_mapping", ())):  # weak: every module that FSDP2 has wrapped
        if hasattr(module, "reshard"):
            module.reshard()


def is_zero(gradient: Tensor) -> bool:
    """Whether it is zero on all ranks."""
    total = gradient.detach().abs().sum()
    return not (total.full_tensor() if _is_dtensor(total) else total)


def check_param(param: Tensor) -> None:
    """Refuse a parameter whose elements are not in exactly one place.

    Raises:
        ValueError: for a DTensor with a Partial placement, and for the flat parameters of FSDP1.
    """
    if getattr(param, "_fsdp_flattened", False):
        raise ValueError(
            "parameters of torch.distributed.fsdp.FullyShardedDataParallel are flattened: their shards cannot be told "
            "from replicas; use torch.distributed.fsdp.fully_shard (FSDP2) instead"
        )
    if _is_dtensor(param) and any(placement.is_partial() for placement in param.placements):
        raise ValueError(
            f"a parameter of shape {tuple(param.shape)} has the placements {tuple(param.placements)}: a Partial tensor "
            "has no values until it is reduced; redistribute it to Shard or Replicate"
        )


def combine(parts: dict[Layout, Tensor], steps: int, check_ranks: bool | None = None) -> Tensor:
    """The Gram matrix of all parameters on all ranks, the same bits on each of them.

    Args:
        parts: [steps, steps] float64, the sum of the local Gram matrices of the parameters of each layout, of which
            the upper half counts.
        steps: inner steps done; only `check_ranks` needs it.
        check_ranks: whether to compare what must be equal on several ranks, first; None for whether
            TORCH_DISTRIBUTED_DEBUG is DETAIL. Every rank must give the same.

    Raises:
        RuntimeError: on every rank, if replicas differ.
        ValueError: if the meshes of the parameters do not fit together.
    """
    mesh = _widest_mesh(parts)
    if is_checking(check_ranks):
        _compare(parts, steps, _one_group(mesh))
    if mesh is None and len(parts) == 1:
        return next(iter(parts.values()))
    total = torch.zeros(steps, steps, dtype=torch.float64, device="cpu")
    if mesh is None:
        return sum(parts.values(), start=total)
    for layout, part in parts.items():
        total += part / (mesh.size() // layout.shards)
    total = total.to(mesh.device_type)
    for group in _groups(mesh):
        dist.all_reduce(total, group=group)
    return total.cpu()


def is_checking(check_ranks: bool | None) -> bool:
    """Whether ranks are to be compared; None for whether TORCH_DISTRIBUTED_DEBUG is DETAIL."""
    return _running() and (_is_debugging() if check_ranks is None else check_ranks)


def agreed(what: str, value: bool, params: Iterable[Tensor], check_ranks: bool | None) -> bool:
    """The value, if all ranks have the same, or are not to be compared.

    Raises:
        RuntimeError: on every rank, if they differ.
    """
    if is_checking(check_ranks):
        group = _one_group(_widest_mesh(layout_of(p) for p in params))
        reports: list[Any] = [None] * dist.get_world_size(group)
        dist.all_gather_object(reports, (dist.get_rank(), value), group=group)
        _refuse_faults({what: _others(dict(reports))})
    return value


def _compare(parts: dict[Layout, Tensor], steps: int, group: Any) -> None:
    """Whether all ranks that hold the same shard have the same Gram matrix of it, bit for bit."""
    own = {(layout.name, layout.shard): _finite(part).numpy().tobytes() for layout, part in parts.items()}
    reports: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(reports, (dist.get_rank(), steps, own), group=group)
    names = {rank: frozenset(name for name, _ in its_parts) for rank, _, its_parts in reports}
    faults = {
        "the number of inner steps": _others({rank: its_steps for rank, its_steps, _ in reports}),
        "which parameters have gradients": _others(names),
    }
    for key in dict.fromkeys(key for _, _, its_parts in reports for key in its_parts):
        found = faults.setdefault(f"the displacements of {key[0]}", [])
        found += _others({rank: p[key] for rank, _, p in reports if key in p})
    _refuse_faults(faults)


def _others(values: dict[int, Any]) -> list[int]:
    """The ranks whose value is not the usual one."""
    usual = Counter(values.values()).most_common(1)[0][0]  # the first of the most frequent: rank 0 in doubt
    return [rank for rank, value in values.items() if value != usual]


def _refuse_faults(faults: dict[str, list[int]]) -> None:
    found = "; ".join(f"{what}: ranks {ranks} differ from the others" for what, ranks in faults.items() if ranks)
    if found:
        raise RuntimeError(
            f"ranks that must agree do not, so the parameters went back to the anchor without an outer step: {found}. "
            "See that all ranks start from the same parameters and average all gradients, or resume from a checkpoint"
        )


def _finite(part: Tensor) -> Tensor:
    return torch.where(part.isfinite(), part, torch.inf)  # nan has many bit patterns


def _widest_mesh(parts: Iterable[Layout]) -> Any:
    parts = list(parts)
    meshes = {layout.mesh for layout in parts if layout.mesh is not None}
    widest: Any = max(meshes, key=lambda mesh: mesh.size(), default=None)
    for mesh in meshes:
        if not set(mesh.mesh.flatten().tolist()) <= set(widest.mesh.flatten().tolist()):
            raise ValueError(
                f"the parameters must lie on one device mesh or on parts of one, got the ranks "
                f"{mesh.mesh.tolist()} and {widest.mesh.tolist()}"
            )
    for layout in parts:
        if widest is not None and widest.size() % layout.shards:
            raise ValueError(f"{layout.name} do not fit {widest.size()} times on the mesh {widest.mesh.tolist()}")
    return widest


def _groups(mesh: Any) -> list[Any]:
    """The process groups whose all-reduces, one after the other, sum over the whole mesh: one where there is one."""
    if mesh.size() == dist.get_world_size():
        return [None]
    return [mesh.get_group(dim) for dim in range(mesh.ndim)]


def _one_group(mesh: Any) -> Any:
    groups = [None] if mesh is None else _groups(mesh)
    if len(groups) > 1:
        raise ValueError(f"check_ranks needs a mesh over all ranks or of one dimension, got {mesh.mesh.tolist()}")
    return groups[0]


def _running() -> bool:
    return dist.is_available() and dist.is_initialized()


def _is_debugging() -> bool:
    return dist.get_debug_level() == dist.DebugLevel.DETAIL  # type: ignore[attr-defined]


def _dtensor() -> Any:
    """The class DTensor, or None where its module was never imported, so that no DTensor can exist."""
    module = sys.modules.get("torch.distributed.tensor")
    return getattr(module, "DTensor", None)


def _is_dtensor(tensor: Tensor) -> TypeIs[DTensor]:
    dtensor = _dtensor()
    return dtensor is not None and isinstance(tensor, dtensor)


def _shifted(placement: Any, lead: int) -> Any:
    """The placement of a tensor with ``lead`` more dimensions in front, which are not cut."""
    if lead == 0 or placement.is_replicate():
        return placement
    options = {"split_factor": placement.split_factor} if hasattr(placement, "split_factor") else {}
    return type(placement)(placement.dim + lead, **options)


def _contiguous_stride(shape: torch.Size) -> list[int]:
    return [_product(shape[dim + 1 :]) for dim in range(len(shape))]


def _product(numbers: Any) -> int:
    product = 1
    for number in numbers:
        product *= number
    return product
