"""Whether parameters still are as they were left: without a second copy of them, and nearly for free.

Torch counts the writes to a tensor (``_version``), and a tensor that got other memory has another address. What is
written through ``.data`` is not counted: a few values of the largest parameters are compared, bit for bit. On an
accelerator nothing waits for that: what was found is kept there until somebody asks. Of parameters that are spread over
ranks no values are compared, since all ranks must come to the same answer and each has others.

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

__all__ = ["Fingerprint", "restored", "samples"]

_LARGEST = 4  # parameters of which values are compared
_VALUES = 16  # of each
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_version = operator.attrgetter("_version")
_ALIVE: weakref.WeakSet[Fingerprint] = weakref.WeakSet()


class Fingerprint:
    """Of some parameters at one moment: `take` it, then ask whether they `differ`."""

    def __init__(self) -> None:
        self._params: list[Tensor] = []
        self._versions: list[int] = []
        self._addresses: list[int] = []
        self._views: list[Tensor] = []
        self._values: Tensor | None = None
        self._seen: Tensor | None = None  # on an accelerator: whether any comparison found a difference
        _ALIVE.add(self)

    def clear(self) -> None:
        """Know nothing: no difference, until it is taken again."""
        self._params, self._versions, self._addresses, self._views = [], [], [], []
        self._values = self._seen = None

    def take(self, params: Sequence[Tensor]) -> None:
        """How the parameters are now."""
        addresses = _addresses(params)
        if len(params) != len(self._params) or addresses != self._addresses:
            self._params, self._addresses = list(params), addresses
            self._views = _views(self._params)
        self._versions = list(map(_version, self._params))
        self._values = torch.cat(self._views) if self._views else None

    def differs(self, wait: bool = True) -> bool:
        """Whether a parameter was written to, or may have been, since `take`.

        Args:
            wait: whether to wait for an accelerator, where the values are there; without that, what their comparison
                finds is remembered for `differed`.
        """
        if self._versions != list(map(_version, self._params)) or self._addresses != _addresses(self._params):
            return True
        if self._values is None:
            return False
        if wait or self._values.device.type == "cpu":
            return not torch.equal(torch.cat(self._views), self._values)
        seen = (torch.cat(self._views) != self._values).any()
        self._seen = seen if self._seen is None else self._seen | seen
        return False

    def remember(self) -> None:
        """A difference was seen, for `differed` to tell."""
        self._seen = torch.tensor(True)

    def differed(self) -> bool:
        """What calls of `differs` that did not wait have found since the last answer."""
        seen, self._seen = self._seen, None
        return seen is not None and bool(seen)

    def excuse(self, moved: dict[Tensor, int]) -> None:
        """Parameters were written to so many times, and hold the same again."""
        self._versions = [v + moved.get(p, 0) for v, p in zip(self._versions, self._params, strict=True)]

    def __getstate__(self) -> dict[str, Any]:
        return {}  # a copy is of other parameters

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]


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
    for indices in on.values():  # one transfer from each device
        numbers = torch.cat([found[n].double() for n in indices]).tolist()
        for n in indices:
            size = len(found[n])
            found[n], numbers = numbers[:size], numbers[size:]
    return found


def _views(params: list[Tensor]) -> list[Tensor]:
    """Some values of the largest parameters, as bits in their own memory; of one kind, so that they can be joined."""
    views: list[Tensor] = []
    if any(sharding.is_sharded(p) for p in params):
        return []
    for p in sorted(params, key=lambda p: -p.numel())[:_LARGEST]:
        real = p.detach()
        real = torch.view_as_real(real) if real.is_complex() else real
        if real.numel() == 0 or not real.is_contiguous():
            continue
        step = -(-real.numel() // _VALUES)
        view = real.view(-1)[::step].view(_BITS[real.dtype.itemsize])
        if not views or (view.dtype, view.device) == (views[0].dtype, views[0].device):
            views.append(view)
    return views


def _strided(param: Tensor, count: int) -> Tensor:
    """[<= count], real."""
    values = param.detach().reshape(-1)
    values = torch.view_as_real(values).reshape(-1) if values.is_complex() else values
    return values[:: max(1, -(-len(values) // count))]


def _addresses(params: Sequence[Tensor]) -> list[int]:
    return [p.data_ptr() for p in sharding.locals_of(params)]
