"""Whether parameters still are as they were left: without a second copy of them, and nearly for free.

Torch counts the writes to a tensor (``_version``), and a tensor that got other memory has another address. What is
written through ``.data`` is not counted: some values of every parameter are compared, bit for bit, of small models all.
On an accelerator nothing waits for that: what was found is kept there until somebody asks. Of parameters that are
spread over ranks no values are compared, since all ranks must come to the same answer and each has others.

A write that put back what was there before, such as the end of `pgrad.averaging` 's ``applied``, says so by `restored`.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from pgrad._engine import sharding
from pgrad._engine.forms import flat

__all__ = ["Fingerprint", "are_same", "restored", "samples"]

_VALUES = 1024  # to compare, of all parameters together; at least one of each
_FEW = 8  # tensors that are copied and compared one by one sooner than they are joined
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_version = operator.attrgetter("_version")
_ALIVE: weakref.WeakSet[Fingerprint] = weakref.WeakSet()


class Fingerprint:
    """Of some parameters at one moment: `take` it, then ask whether they `differ`."""

    def __init__(self) -> None:
        self._is_taken = False
        self._params: list[Tensor] = []
        self._versions: list[int] = []
        self._addresses: list[int] = []
        self._views: list[list[Tensor]] = []  # by kind, so that those of a kind can be joined
        self._values: list[Tensor] = []  # of each kind, joined
        self._places: list[list[Tensor]] = []  # the same, taken apart
        self._sums: list[int] | None = None  # of all bits of each parameter, if they are wanted
        self._wants_sums = False
        self._is_copy = False  # of a fingerprint of other parameters, which had these values
        self._seen: list[Tensor] = []  # whether comparisons that nobody waited for found a difference
        _ALIVE.add(self)

    def clear(self) -> None:
        """Know nothing: no difference, until it is taken again."""
        self._is_taken, self._sums, self._is_copy, self._seen = False, None, False, []

    def take(self, params: Sequence[Tensor]) -> None:
        """How the parameters are now."""
        addresses = _addresses(params)
        if addresses != self._addresses or not are_same(params, self._params):
            self._params, self._addresses = list(params), addresses
            self._views = _views(self._params)
            self._values = [torch.cat(views) for views in self._views]
            self._places = list(map(_apart, self._values, self._views))
        else:
            for views, values, places in zip(self._views, self._values, self._places, strict=True):
                if len(views) <= _FEW:
                    torch._foreach_copy_(places, views)
                else:
                    torch.cat(views, out=values)
        self._versions = list(map(_version, self._params))
        self._sums = _sums(self._params) if self._wants_sums else None
        self._is_taken, self._is_copy = True, False

    def differs(self, wait: bool = True) -> bool:
        """Whether a parameter was written to, or may have been, since `take`.

        Args:
            wait: whether to wait for an accelerator, where the values are there; without that, what their comparison
                finds is remembered for `differed`.
        """
        if not self._is_taken or self._is_copy:
            return self._is_copy
        if self._versions != list(map(_version, self._params)) or self._addresses != _addresses(self._params):
            return True
        for views, values, places in zip(self._views, self._values, self._places, strict=True):
            if values.device.type == "cpu" and len(views) <= _FEW:
                if not all(map(torch.equal, views, places)):
                    return True
            elif wait or values.device.type == "cpu":
                if not torch.equal(torch.cat(views), values):
                    return True
            else:
                self._seen.append((torch.cat(views) != values).any())
        return False

    def has_same_values(self) -> bool:
        """Whether the parameters, though they were written to, hold what they held: as far as it is known.

        The first time that is asked, some values are compared; since somebody writes to these parameters, all of their
        bits are summed up from then on.
        """
        self._wants_sums = True
        now = [torch.cat(views) for views in _views(self._params)]
        if len(now) != len(self._values) or not all(map(torch.equal, now, self._values)):
            return False
        return self._sums is None or self._sums == _sums(self._params)

    def remember(self) -> None:
        """A difference was seen, for `differed` to tell."""
        self._seen.append(torch.tensor(True, device="cpu"))

    def differed(self) -> bool:
        """What calls of `differs` that did not wait have found since the last `clear`."""
        if self._seen:
            self._seen = [torch.tensor(any(map(bool, self._seen)), device="cpu")]
        return bool(self._seen) and bool(self._seen[0])

    def excuse(self, moved: dict[Tensor, int]) -> None:
        """Parameters were written to so many times, and hold the same again."""
        if self._is_taken and not self._is_copy:
            self._versions = [v + moved.get(p, 0) for v, p in zip(self._versions, self._params, strict=True)]

    def __getstate__(self) -> dict[str, Any]:
        params, values = (self._params, self._values) if self._is_taken else ([], [])
        known = {"params": params, "values": values, "sums": self._sums, "wants_sums": self._wants_sums}
        return {**known, "differed": self.differed()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]
        self._params, self._values, self._sums = state["params"], state["values"], state["sums"]
        self._wants_sums, self._is_copy = state["wants_sums"], bool(state["values"])
        if not self._is_copy:  # nothing to compare
            self.clear()
        if state["differed"]:
            self.remember()


@contextmanager
def restored(params: Iterable[Tensor]) -> Iterator[None]:
    """What is written to the parameters inside is taken back inside: to a fingerprint they are the same afterwards."""
    before = {p: p._version for p in params}
    try:
        yield
    finally:
        moved = {p: p._version - version for p, version in before.items()}
        for fingerprint in list(_ALIVE):
            fingerprint.excuse(moved)


def samples(params: Iterable[Tensor], count: int = 4) -> list[list[float] | None]:
    """A few values of each parameter, to be compared by `pgrad._engine.checkpoint` in another process.

    None for a parameter that is cut into shards: which values are here depends on the number of ranks.
    """
    found: list[Any] = [None if sharding.is_sharded(p) else _strided(p, count) for p in params]
    on: dict[torch.device, list[int]] = {}
    for n, values in enumerate(found):
        if values is not None:
            on.setdefault(values.device, []).append(n)
    for device, indices in on.items():  # one transfer from each device
        exact = torch.float32 if device.type == "mps" else torch.float64  # there is no float64 on MPS
        numbers = torch.cat([found[n].to(exact) for n in indices]).tolist()
        for n in indices:
            size = len(found[n])
            found[n], numbers = numbers[:size], numbers[size:]
    return found


def _views(params: list[Tensor]) -> list[list[Tensor]]:
    """Some values of every parameter, as bits in their own memory; by dtype and device."""
    kinds: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    if any(sharding.is_sharded(p) for p in params):
        return []
    count = max(_VALUES // max(len(params), 1), 1)
    for p in params:
        line = _line(p)
        if line.numel():
            step = -(-line.numel() // count) | 1  # odd: not always the same column of a matrix
            view = line[::step].view(_BITS[line.dtype.itemsize])
            kinds.setdefault((view.dtype, view.device), []).append(view)
    return list(kinds.values())


def are_same(some: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    """Whether these are the same tensors, not only equal ones, in the same order."""
    return len(some) == len(others) and all(map(operator.is_, some, others))


def _apart(values: Tensor, views: list[Tensor]) -> list[Tensor]:
    """The parts of ``values`` that belong to the views."""
    return list(values.split(list(map(len, views))))


def _line(param: Tensor) -> Tensor:
    """[n], a view: the elements in memory order; of a parameter with gaps in its memory those of one line of it."""
    line = flat(param)
    if line.numel() == 0 or line.data_ptr() == param.data_ptr():
        return line
    line = torch.view_as_real(param.detach()) if param.is_complex() else param.detach()
    while line.dim() > 1:
        line = line.select(min(range(line.dim()), key=lambda d: line.shape[d]), 0)
    return line


def _sums(params: list[Tensor]) -> list[int]:
    """Of all bits of each parameter, taken for integers."""
    parts = [flat(p) for p in params]
    return [int(part.view(_BITS[part.dtype.itemsize]).sum(dtype=torch.int64)) for part in parts]


def _strided(param: Tensor, count: int) -> Tensor:
    """[<= count], real."""
    values = param.detach().reshape(-1)
    values = torch.view_as_real(values).reshape(-1) if values.is_complex() else values
    return values[:: max(1, -(-len(values) // count))]


def _addresses(params: Sequence[Tensor]) -> list[int]:
    return [p.data_ptr() for p in sharding.locals_of(params)]
