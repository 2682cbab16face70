"""The stored displacements of a roll-out: record, Gram, weighted sum. Knows devices, dtypes, shards, no optimizer.

Internal format: for every parameter a matrix of shape [T, n], one displacement x_i = theta_i - theta_0 a row, its n
elements in the memory order of the parameter (real and imaginary parts side by side). While the model walks, row i
(1 <= i < T) is filled before inner step i + 1; the last displacement is never stored beside the parameter, since it
is the parameter. Closing the roll-out exchanges the two: the parameter becomes the anchor again, by copy, and the
place where the anchor was becomes x_T. So T values per parameter are all that is ever held, the anchor included.
Of a DTensor all this is about the part on this rank; `pgrad._sharding` knows how the parts make a whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pgrad import _sharding

__all__ = ["Trajectory"]

_CHUNK = 1 << 18  # elements of a row worked on at a time: bounds every temporary, and stays in the cache
_BLOCK = 512  # products added up in the working dtype before the sum goes on in float64


@dataclass
class _Track:
    """One parameter in the current roll-out: its anchor [n] and its displacements [T, n], flat and real."""

    param: Tensor
    anchor: Tensor
    rows: Tensor

    def live(self) -> Tensor:
        """The parameter as it is now, flat and real: a view where the memory allows it, else a copy."""
        return _flat(self.param)

    def store(self, live: Tensor) -> None:
        """Write back what `live` gave, where that was a copy."""
        if not _is_dense(self.param):
            _sharding.local(self.param).copy_(_shaped(live, self.param))


class Trajectory:
    """The displacements of the parameters that take part in a roll-out.

    A parameter takes part from the first inner step at which it has a gradient: until then it has not moved, and its
    earlier displacements are zero. Storage is kept from one roll-out to the next.

    Args:
        dtype: of the stored displacements; None for the parameter's own, and float32 for half precision.
        device: of the stored displacements; None for the parameter's own.
    """

    def __init__(self, dtype: torch.dtype | None = None, device: torch.device | None = None) -> None:
        self.dtype = dtype
        self.device = device
        self._storage: dict[Tensor, _Track] = {}
        self._active: dict[Tensor, _Track] = {}

    def __contains__(self, param: Tensor) -> bool:
        return param in self._active

    def __len__(self) -> int:
        return len(self._active)

    @property
    def eps(self) -> float:
        """Round-off of the dtype in which the Gram matrix is formed: the coarsest among the parameters."""
        dtypes = {_working(track.rows[:0]).dtype for track in self._active.values()}
        return max((torch.finfo(dtype).eps for dtype in dtypes), default=torch.finfo(torch.float64).eps)

    @torch.no_grad()
    def record(self, params: Iterable[Tensor], position: int, length: int) -> None:
        """Note where the model stands before inner step ``position + 1`` of ``length``.

        Args:
            params: those that are about to move; new ones among them join here, the others stay.
            position: inner steps done since the anchor; 0 starts a new roll-out.
            length: T, the number of inner steps for which there must be room.

        Raises:
            ValueError: if two parameters share memory, or one changed its shape or dtype in the middle.
        """
        if position == 0:
            self._active.clear()
        else:
            for track in self._active.values():
                _check_unchanged(track)
                _subtract(track.live(), track.anchor, track.rows[position])
        joining = [p for p in params if p not in self._active]
        if joining:
            self._join(joining, position, length)

    def _join(self, params: list[Tensor], position: int, length: int) -> None:
        _refuse_shared_memory([*self._active, *params])
        for p in params:
            track = self._storage.get(p)
            if track is None or not _fits(track, p, length):
                track = self._storage[p] = self._allocate(p, length)
            track.anchor.copy_(track.live())
            track.rows[1 : position + 1] = 0
            self._active[p] = track

    def _allocate(self, param: Tensor, length: int) -> _Track:
        flat = _flat(param)
        dtype = self.dtype or (torch.float32 if flat.dtype.itemsize < 4 else flat.dtype)
        device = self.device or flat.device
        pinned = device.type == "cpu" and flat.device.type == "cuda"
        rows = torch.empty(length, len(flat), dtype=dtype, device=device, pin_memory=pinned)
        same = dtype == flat.dtype and device == flat.device
        return _Track(param, rows[0] if same else torch.empty_like(flat), rows)

    @torch.no_grad()
    def restore(self) -> None:
        """Put the anchor back into the parameters, by copy."""
        _sharding.forget_gathered(self._active)
        for track in self._active.values():
            live = track.live()
            live.copy_(track.anchor)
            track.store(live)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the parameters and the anchor, by copy; twice gives the same bits again."""
        _sharding.forget_gathered(self._active)
        for track in self._active.values():
            live = track.live()
            for part in _chunks(len(live)):
                kept = live[part].clone()
                live[part].copy_(track.anchor[part])
                track.anchor[part].copy_(kept)
            track.store(live)

    @torch.no_grad()
    def close(self, steps: int, check_ranks: bool | None = None) -> Tensor:
        """End the walk after ``steps`` inner steps: the parameters hold the anchor again.

        Args:
            steps: inner steps done.
            check_ranks: whether to compare replicas between ranks, see `pgrad._sharding.combine`.

        Returns:
            [steps+1, steps+1] float64 on the CPU, the Gram matrix X X' of the displacements x_0 = 0, x_1 .. x_steps.
        """
        _sharding.forget_gathered(self._active)
        grams: dict[_sharding.Layout, Tensor] = {}
        for track in self._active.values():
            _check_unchanged(track)
            live = track.live()
            for part in _chunks(len(live)):
                last = torch.empty(len(live[part]), dtype=track.rows.dtype, device=live.device)
                _subtract(live[part], track.anchor[part], last)
                live[part].copy_(track.anchor[part])
                track.rows[0, part].copy_(last)
            track.store(live)
            layout = _sharding.layout_of(track.param)
            grams[layout] = grams.get(layout, 0) + _gram(track.rows[:steps]).cpu()
        gram = _sharding.combine(grams, steps, check_ranks)
        order = torch.tensor([*range(1, steps), 0])  # row 0 holds the last displacement
        padded = torch.zeros(steps + 1, steps + 1, dtype=torch.float64)
        padded[1:, 1:] = gram[order][:, order]
        return padded

    @torch.no_grad()
    def weighted_sum(self, weights: Tensor) -> dict[Tensor, Tensor]:
        """The principal gradient g = X' w of a closed roll-out, in the place where its anchor was.

        Args:
            weights: [steps+1], one weight for each point.

        Returns:
            For every parameter that took part a tensor like it. It is overwritten by the next roll-out.
        """
        steps = len(weights) - 1
        by_row = torch.cat([weights[-1:], weights[1:-1]])  # row 0 holds the last displacement
        gradients = {}
        for p, track in self._active.items():
            rows = track.rows[:steps]
            with _full_precision(rows.device):
                for part in _chunks(rows.shape[1]):
                    chunk = _working(rows[:, part])
                    track.anchor[part].copy_(by_row.to(chunk.device, chunk.dtype) @ chunk)
            gradients[p] = _sharding.like(_shaped(track.anchor, p), p)
        return gradients

    def state_of(self, param: Tensor, position: int) -> dict[str, Tensor]:
        """What a parameter needs to go on in the middle of a roll-out: anchor, and displacements [position-1, ...]."""
        track = self._active[param]
        return {
            "anchor": _sharding.like(_shaped(track.anchor, param), param),
            "displacements": _sharding.like(_shaped(track.rows[1 : max(position, 1)], param), param),
        }

    @torch.no_grad()
    def load(self, states: dict[Tensor, dict[str, Tensor]], length: int) -> None:
        """Take up what `state_of` gave for every parameter that takes part; all others are dropped."""
        self._active.clear()
        for p, state in states.items():
            track = self._storage[p] = self._allocate(p, length)
            _shaped(track.anchor, p).copy_(_sharding.local_part(state["anchor"], p))
            displacements = _sharding.local_part(state["displacements"], p)
            _shaped(track.rows[1 : 1 + len(displacements)], p).copy_(displacements)
            self._active[p] = track


def _chunks(n: int) -> Iterator[slice]:
    return (slice(start, min(start + _CHUNK, n)) for start in range(0, n, _CHUNK))


def _subtract(live: Tensor, anchor: Tensor, out: Tensor) -> None:
    """out = live - anchor, rounded once, to the dtype of ``out``."""
    if out.device != live.device:
        out.copy_((live.to(torch.promote_types(live.dtype, out.dtype)) - anchor), non_blocking=True)
    elif out.dtype.itemsize > live.dtype.itemsize:
        out.copy_(live).sub_(anchor)
    else:
        torch.sub(live, anchor, out=out)


def _gram(rows: Tensor) -> Tensor:
    """rows @ rows.T in float64 from [T, n]: float products in blocks of `_BLOCK`, the block sums in float64."""
    steps, n = rows.shape
    total = torch.zeros(steps, steps, dtype=torch.float64, device=rows.device)
    with _full_precision(rows.device):
        for part in _chunks(n):
            chunk = _working(rows[:, part])
            even = chunk.shape[1] // _BLOCK * _BLOCK
            blocks = chunk[:, :even].view(steps, -1, _BLOCK).transpose(0, 1)
            total += torch.bmm(blocks, blocks.mT).sum(0, dtype=torch.float64)
            rest = chunk[:, even:].double()
            total += rest @ rest.mT
    return total


def _working(chunk: Tensor) -> Tensor:
    """The dtype in which sums are formed: float32 at least."""
    return chunk.float() if chunk.dtype.itemsize < 4 else chunk


@contextlib.contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Matrix products in the dtype of their arguments: no autocast, no TensorFloat-32, no bfloat16 passes."""
    precision = torch.get_float32_matmul_precision()
    if precision != "highest":
        torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        if precision != "highest":
            torch.set_float32_matmul_precision(precision)


def _is_dense(tensor: Tensor) -> bool:
    """Whether the elements fill a piece of memory, in any order, each once: then `empty_like` keeps the strides."""
    tensor = _sharding.local(tensor)
    return torch.empty_like(tensor, device="meta").stride() == tensor.stride()


def _flat(tensor: Tensor) -> Tensor:
    """[n], real: the elements in memory order, as a view where the tensor is dense, else as a copy."""
    tensor = _sharding.local(tensor).detach()
    flat = tensor.as_strided((tensor.numel(),), (1,)) if _is_dense(tensor) else tensor.reshape(-1)
    return torch.view_as_real(flat).view(-1) if flat.is_complex() else flat


def _shaped(flat: Tensor, like: Tensor) -> Tensor:
    """View [..., n] of `_flat`'s layout with the shape (and memory order) of the local part of ``like``."""
    like = _sharding.local(like)
    if like.is_complex():
        flat = torch.view_as_complex(flat.view(*flat.shape[:-1], -1, 2))
    lead = flat.shape[:-1]
    if not _is_dense(like):
        return flat.view(*lead, *like.shape)
    return flat.as_strided((*lead, *like.shape), (*flat.stride()[:-1], *like.stride()))


def _fits(track: _Track, param: Tensor, length: int) -> bool:
    flat = _flat(param)
    anchor = track.anchor
    return len(track.rows) >= length and (len(anchor), anchor.dtype, anchor.device) == (
        len(flat),
        flat.dtype,
        flat.device,
    )


def _check_unchanged(track: _Track) -> None:
    if not _fits(track, track.param, 1):
        raise ValueError(
            f"a parameter changed in the middle of a roll-out: it is now a {track.param.dtype} tensor of shape "
            f"{tuple(track.param.shape)} on {track.param.device}, but the anchor holds {len(track.anchor)} elements of "
            f"{track.anchor.dtype} on {track.anchor.device}; call discard_rollout() before converting the model"
        )


def _refuse_shared_memory(params: list[Tensor]) -> None:
    seen: dict[tuple[str, int], Tensor] = {}
    for p in params:
        part = _sharding.local(p)
        if part.numel() == 0:
            continue
        other = seen.setdefault((str(part.device), part.data_ptr()), p)
        if other is not p:
            raise ValueError(
                f"two parameters of shapes {tuple(other.shape)} and {tuple(p.shape)} share memory, so that their "
                "displacements would count twice; use one torch.nn.Parameter in both places"
            )
