"""Flat memory for the displacements of many parameters at once, and the passes over it. Knows no roll-out.

A buffer holds parameters of one dtype, device and `sharding.Layout`, side by side in one matrix whose columns are their
elements, in the memory order of each parameter (real and imaginary parts side by side), each parameter from a multiple
of 16 on. Its rows are the *anchor row* [N] and ``vectors - 1`` displacements [N]. The anchor row holds the anchor
during the inner steps, then the way back from the last point to it, anchor - parameter, then the outer gradient, so
that nothing of size N is ever needed beside these ``vectors`` rows. Where the displacements have its dtype and device,
all of them are one allocation.

The anchor row is at least as precise as the parameters and as the displacements. A displacement is parameter - anchor,
rounded once.
"""

from __future__ import annotations

import itertools
import operator
from typing import Any

import torch
from torch import Tensor

from pgrad._engine import sharding
from pgrad._engine.batching import batches, runs
from pgrad._engine.forms import cut, flat, in_words, is_dense, kinds_of, real_part, same_bits, shaped
from pgrad._engine.kernels import full_precision, products, subtract

__all__ = ["FlatBuffer"]

# The work goes in parts which bound every temporary. On a CPU they stay in the cache, on an accelerator they are large
# enough to hide the launches: numbers in a part of a parameter, and numbers in a part of the matrix.
_PIECE = {"cpu": 1 << 17, "cuda": 1 << 23}
_AREA = {"cpu": 1 << 23, "cuda": 1 << 26}
_STEP = 512  # columns: parts of the matrix begin at multiples
_ALIGN = 16  # numbers


class FlatBuffer:
    """Parameters of one kind, and room for ``vectors`` vectors of them.

    Args:
        params: of one dtype, device and layout. All have room; those that are added take part.
        vectors: the anchor row and ``vectors - 1`` displacements.
        dtype: of the displacements; None for that of the parameters, and float32 for half precision.
        device: of the displacements; None for that of the parameters.
    """

    def __init__(
        self, params: list[Tensor], vectors: int, dtype: torch.dtype | None = None, device: torch.device | None = None
    ) -> None:
        first = flat(params[0])
        self.params = params
        self.active: set[int] = set()
        self._kinds = list(kinds_of(params))
        self._real = first.dtype
        sizes = [flat(p).numel() for p in params]
        self._starts = [0, *itertools.accumulate(-(-size // _ALIGN) * _ALIGN for size in sizes)]
        if self._starts[-1] > 32 * _STEP:  # a part that is no whole step costs the Gram matrix calls of its own
            self._starts[-1] += -self._starts[-1] % _STEP
        self._spans = [slice(start, start + size) for start, size in zip(self._starts, sizes, strict=False)]
        columns = self._starts[-1]
        dtype = dtype or (torch.float32 if first.dtype.itemsize < 4 else first.dtype)
        device = device or first.device
        wide = torch.promote_types(first.dtype, dtype)
        if (wide, first.device) == (dtype, device):
            self._memory = [torch.empty(vectors, columns, dtype=dtype, device=device)]
        else:
            pinned = device.type == "cpu" and first.device.type == "cuda"
            rows = torch.empty(vectors - 1, columns, dtype=dtype, device=device, pin_memory=pinned)
            self._memory = [torch.empty(columns, dtype=wide, device=first.device), rows]
        for memory in self._memory:
            self._clear_gaps(memory)
        self._saved: tuple[int, Tensor] | None = None  # so many displacements as they are saved
        self._square: Tensor | None = None  # of the way back, where it is all that there is
        self._planned: set[int] | None = None  # who takes part in what follows
        self._batches: list[tuple[list[tuple[int, slice | None]], slice]] = []  # pieces of parameters, and columns
        self._present: list[Tensor] = []
        self._present_kinds: list[Any] = []
        self._current: list[list[Tensor]] | None = None  # the values, if the parameters themselves are all of them
        self._cache: dict[int | None, list[tuple[list[Tensor], Tensor]]] = {}
        self._cuts: dict[int, list[slice]] = {}
        self._gradients: dict[Tensor, Tensor] = {}

    @property
    def layout(self) -> sharding.Layout:
        """That of its parameters."""
        return sharding.layout_of(self.params[0])

    @property
    def anchor_row(self) -> Tensor:
        """[N]."""
        return self._memory[0] if len(self._memory) == 2 else self._memory[0][0]

    @property
    def rows(self) -> Tensor:
        """[vectors-1, N], the displacements."""
        return self._memory[1] if len(self._memory) == 2 else self._memory[0][1:]

    def fits(self, index: int, vectors: int) -> bool:
        """Whether there is room for ``vectors`` vectors of the parameter as it is now."""
        return self.has_room(vectors) and self.is_unchanged(index)

    def has_room(self, vectors: int) -> bool:
        """Whether there is room for ``vectors`` vectors."""
        return len(self.rows) + 1 >= vectors

    def is_unchanged(self, index: int) -> bool:
        """Whether a parameter has the form that it had when the buffer was made."""
        return [*kinds_of([self.params[index]])] == [self._kinds[index]]

    def changed(self) -> int | None:
        """A parameter that takes part and has another form than when the buffer was made; None if none has."""
        if self._planned is not self.active:
            self._plan()
        if all(map(operator.eq, kinds_of(self._present), self._present_kinds)):
            return None
        return next((i for i in self.active if not self.is_unchanged(i)), None)

    def describe(self, index: int) -> str:
        """The form that a parameter had."""
        return in_words(self._kinds[index])

    # ---------------------------------------------------------------------------------------- passes over the elements

    def reset(self) -> None:
        """No parameter takes part."""
        self.active = set()
        self._clear_gradient()

    def begin(self) -> None:
        """All that take part begin anew: their anchor is where they are."""
        self._clear_gradient()
        self._take_anchor()

    def _clear_gradient(self) -> None:
        if self.anchor_row.dtype != self._real:  # a gradient has been there, narrower, across the gaps
            self._clear_gaps(self.anchor_row)

    def add(self, indices: list[int], used: int) -> None:
        """Parameters take part: their anchor is where they are, and their first ``used`` displacements are zero."""
        self.active = {*self.active, *indices}
        if len(self.active) == len(indices):
            self._take_anchor()
        else:
            for i in indices:
                shaped(self.anchor_row[self._spans[i]], self.params[i]).copy_(real_part(self.params[i]))
        if used:
            self._wait()
            for i in indices:
                self.rows[:used, self._spans[i]] = 0

    def _take_anchor(self) -> None:
        for (anchors, _), values in zip(self._views(None), self._values(), strict=True):
            torch._foreach_copy_(anchors, values)

    def store(self, row: int) -> None:
        """rows[row] = parameter - anchor."""
        for values, anchors, out in zip(self._values(), self._views(None), self._views(row), strict=True):
            subtract(values, anchors, out)

    def is_at(self, row: int, swapped: bool = False) -> bool:
        """Whether rows[row] == parameter - anchor, bit for bit; with the two the other way round after a `swap`."""
        self._wait()
        for values, (anchors, _), (rows, _) in zip(self._values(), self._views(None), self._views(row), strict=True):
            for value, anchor, stored in zip(values, anchors, rows, strict=True):
                way = anchor - value if swapped else value - anchor
                if not same_bits(way.to(stored.device, stored.dtype), stored):
                    return False
        return True

    def restore(self) -> None:
        """parameter = anchor."""
        for values, (anchors, _) in zip(self._values(), self._views(None), strict=True):
            torch._foreach_copy_(values, anchors)

    def swap(self) -> None:
        """parameter, anchor = anchor, parameter; the anchor row holds every value of the parameters exactly."""
        for values, (anchors, _) in zip(self._values(), self._views(None), strict=True):
            kept = [value.clone() for value in values]
            torch._foreach_copy_(values, anchors)
            torch._foreach_copy_(anchors, kept)

    def exchange(self) -> None:
        """parameter, anchor row = anchor, anchor - parameter."""
        squares = []
        for values, (anchors, row) in zip(self._values(), self._views(None), strict=True):
            back = torch._foreach_sub(anchors, values)
            torch._foreach_copy_(values, anchors)
            torch._foreach_copy_(anchors, back)
            if not len(self.rows):  # the one product that will be asked for, while its numbers are in the cache
                squares.append(products(row.float()[None] if row.dtype.itemsize < 4 else row[None]))
        self._square = sum(squares[1:], start=squares[0]) if squares else None

    # ------------------------------------------------------------------------------------------ passes over the matrix

    def gram(self, used: int, index: int | None = None) -> Tensor:
        """Products of the anchor row and the first ``used`` displacements with each other.

        [1+used, 1+used] float64, CPU; the upper half counts. Of all parameters that take part, or of one of them alone.
        """
        if self._square is not None and index is None:
            return self._square.cpu()
        self._wait()
        limit = _PIECE.get(self.anchor_row.device.type, _PIECE["cuda"])
        parts = self._parts(1 + used) if index is None else cut(self._spans[index], limit)
        with full_precision(self.anchor_row.device):
            first, *others = (products(self._chunk(part, used)) for part in parts)
        return sum(others, start=first).cpu()

    def combine(self, weights: list[float]) -> dict[Tensor, Tensor]:
        """The sum of the first displacements and the last with these weights (used + 1), for each parameter.

        It takes the place of the anchor row.
        """
        self._wait()
        row, real = self.anchor_row, self._real
        gradient = row if row.dtype == real else row.view(real)[: len(row)]
        weights = [-weights[-1], *weights[:-1]]  # the anchor row holds the way back
        if gradient is not row or weights != [1.0]:
            factors: Tensor | None = None
            with full_precision(row.device):
                for part in self._parts(len(weights)):
                    chunk = self._chunk(part, len(weights) - 1)
                    factors = chunk.new_tensor(weights) if factors is None else factors
                    # Where the gradient is narrower, it lies behind what is still to be read.
                    gradient[part].copy_(torch.mv(chunk.mT, factors))
        if self._planned is not self.active:
            self._plan()
        if not self._gradients:
            self._gradients = {self.params[i]: self._whole(gradient, i) for i in sorted(self.active)}
        return self._gradients

    # --------------------------------------------------------------------------------------------------- a parameter's

    def state_of(self, index: int, used: int) -> dict[str, Tensor]:
        """Anchor [*shape] and displacements [used, *shape] of one that takes part; references where possible."""
        self._wait()
        anchor, rows = self._filled(used)
        return {
            "anchor": self._whole(anchor, index).to(self.params[index].dtype),
            "displacements": self._whole(rows, index),
        }

    def _filled(self, used: int) -> tuple[Tensor, Tensor]:
        """The anchor row and the first ``used`` displacements, in a storage without what is not to be saved.

        Saving a tensor saves all of its storage: the other rows, and an anchor row that is wider than the parameters.
        """
        together = len(self._memory) == 1 and self.anchor_row.dtype == self._real
        if self._saved is None or self._saved[0] != used:
            memory, columns = self._memory[-1], len(self.anchor_row)
            first = 1 if len(self._memory) == 1 and not together else 0
            rows = used + 1 if together else used
            size = columns * memory.itemsize
            storage = memory.untyped_storage()[first * size : (first + rows) * size]
            self._saved = used, memory.new_empty(0).set_(storage, 0, (rows, columns))  # type: ignore[call-overload]
        saved = self._saved[1]
        return (saved[0], saved[1:]) if together else (self.anchor_row, saved)

    def load(self, index: int, state: dict[str, Tensor]) -> None:
        """Take up what `state_of` gave."""
        self.active = {*self.active, index}
        param, span = self.params[index], self._spans[index]
        displacements = real_part(sharding.local_part(state["displacements"], param))
        shaped(self.anchor_row[span], param).copy_(real_part(sharding.local_part(state["anchor"], param)))
        shaped(self.rows[: len(displacements), span], param).copy_(displacements)

    def _whole(self, memory: Tensor, index: int) -> Tensor:
        """[*lead, *shape] of what a parameter has in [*lead, N]."""
        param = self.params[index]
        part = shaped(memory[..., self._spans[index]], param)
        if param.is_complex():
            part = torch.view_as_complex(part.float() if part.dtype.itemsize < 4 else part)
        return sharding.like(part, param)

    # ------------------------------------------------------------------------------------------------ parts and pieces

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_planned": None, "_cache": {}, "_gradients": {}, "_saved": None}

    def _plan(self) -> None:
        """Parameters whole, large ones in pieces of their elements in memory order; batches are alike in size.

        The columns of a batch have none between them of a parameter that takes no part.
        """
        if self._planned != self.active:
            limit = _PIECE.get(self.anchor_row.device.type, _PIECE["cuda"])
            spans = {i: self._spans[i] for i in sorted(self.active)}
            dense = {i for i in spans if is_dense(real_part(self.params[i]))}
            self._batches = list(batches(spans, self._starts, dense, limit))
            self._cache, self._cuts, self._gradients = {}, {}, {}
            self._present = [self.params[i] for i in sorted(self.active)]
            self._present_kinds = [self._kinds[i] for i in sorted(self.active)]
            is_cut = any(part for pieces, _ in self._batches for _, part in pieces)
            as_they_are = not is_cut and all(real_part(p) is p for p in self._present)
            self._current = [self._values_of(pieces) for pieces, _ in self._batches] if as_they_are else None
        self._planned = self.active

    def _values(self) -> list[list[Tensor]]:
        """The parameters as they are now, in the pieces of each batch."""
        if self._planned is not self.active:
            self._plan()
        return self._current or [self._values_of(pieces) for pieces, _ in self._batches]

    def _values_of(self, pieces: list[tuple[int, slice | None]]) -> list[Tensor]:
        return [flat(self.params[i])[part] if part else real_part(self.params[i]) for i, part in pieces]

    def _views(self, row: int | None) -> list[tuple[list[Tensor], Tensor]]:
        """The same pieces of a row, or of the anchor row, and the memory of the whole batch."""
        if self._planned is not self.active:
            self._plan()
        if row not in self._cache:
            memory = self.anchor_row if row is None else self.rows[row]
            self._cache[row] = [
                (
                    [
                        memory[self._spans[i]][part] if part else shaped(memory[self._spans[i]], self.params[i])
                        for i, part in pieces
                    ],
                    memory[columns],
                )
                for pieces, columns in self._batches
            ]
        return self._cache[row]

    def _parts(self, n: int) -> list[slice]:
        """Columns of the parameters that take part, as many at a time as make up the area with ``n`` rows."""
        if self._planned is not self.active:
            self._plan()
        if n not in self._cuts:
            device = self.anchor_row.device.type
            area = _AREA.get(device, _AREA["cuda"])
            if len(self._memory) == 2 or self.rows.dtype.itemsize < 4:  # chunks are copies
                area //= 4
            columns = min(area // max(n, 1), _PIECE.get(device, _PIECE["cuda"]))
            self._cuts[n] = list(runs(sorted(self.active), self._starts, max(columns // _STEP, 1) * _STEP))
        return self._cuts[n]

    def _chunk(self, part: slice, used: int) -> Tensor:
        """[1 + used, columns] on the device of the anchor row, in the working dtype."""
        if len(self._memory) == 1:
            chunk = self._memory[0][: 1 + used, part]
            return chunk.float() if chunk.dtype.itemsize < 4 else chunk
        dtype = torch.promote_types(self.anchor_row.dtype, torch.float32)
        chunk = torch.empty(1 + used, part.stop - part.start, dtype=dtype, device=self.anchor_row.device)
        chunk[0] = self.anchor_row[part]
        for i in range(used):  # row by row: pieces of pinned memory that are contiguous need no staging
            chunk[1 + i].copy_(self.rows[i, part], non_blocking=self.rows.is_pinned())
        return chunk

    def _wait(self) -> None:
        """Until the displacements that are under way to or from host memory have arrived."""
        if self.rows.device != self.anchor_row.device and self.anchor_row.device.type == "cuda":
            torch.cuda.synchronize(self.anchor_row.device)

    def _clear_gaps(self, memory: Tensor) -> None:
        for span, start in zip(self._spans, self._starts[1:], strict=True):
            if span.stop < start:
                memory[..., span.stop : start] = 0
