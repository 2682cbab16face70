"""The stored displacements of a roll-out: record, Gram matrix, weighted sum. Knows what is a point, and no optimizer.

Internal format: a matrix whose rows are displacements x_i = theta_i - theta_0 and whose columns are the elements of the
parameters in memory order (real and imaginary parts side by side). It lies in flat buffers, one for each kind of
parameter: see `pgrad._engine.buffers`. Row i (1 <= i < T) is filled after inner step i; the last displacement is
never stored beside the parameter, since it is the parameter. Ending the roll-out exchanges the two: the parameter
becomes the anchor again, by copy, and the *anchor row*, where the anchor was, becomes x_T, later the outer gradient. So
T values per parameter are all that is ever held, the anchor included; one value if the last point alone is needed.

Passes over memory, in vectors of size d: each step reads the parameter and the anchor and writes a row; ending reads
and writes both once and reads T rows for the Gram matrix; the weighted sum reads T rows and writes one.
Of a DTensor all this is about the part on this rank; `pgrad._engine.sharding` knows how the parts make a whole.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Collection, Iterable
from typing import Literal

import torch
from torch import Tensor

from pgrad._engine import sharding
from pgrad._engine.buffers import FlatBuffer
from pgrad._engine.fingerprint import Fingerprint, are_same
from pgrad._engine.forms import local

__all__ = ["Trajectory"]


class Trajectory:
    """The displacements of the parameters that take part in a roll-out.

    A parameter takes part from the first inner step at which it has a gradient: until then it has not moved, and its
    earlier displacements are zero. Storage is kept from one roll-out to the next.

    Args:
        dtype: of the stored displacements; None for the parameter's own, and float32 for half precision.
        device: of the stored displacements; None for the parameter's own.
        points: whether "all" points are kept, or the anchor and the "last" one alone.
    """

    def __init__(
        self,
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
        points: Literal["all", "last"] = "all",
    ) -> None:
        self.dtype = dtype
        self.device = device
        self.points = points
        self._places: dict[Tensor, tuple[FlatBuffer, int]] = {}  # storage of every parameter that ever took part
        self._active: dict[Tensor, tuple[FlatBuffer, int]] = {}  # of those that do in this roll-out
        self._members: list[Tensor] = []  # the same parameters
        self._in_use: list[FlatBuffer] = []  # and their buffers
        self._used = 0  # rows that hold something
        self._left = Fingerprint()  # the parameters as they were left
        self._swapped = False  # whether the parameters hold the anchor, and the anchor row the last point

    def keep(self, points: Literal["all", "last"]) -> None:
        """Keep these points from the next roll-out on; storage for others is given up."""
        if points != self.points:
            self.points = points
            self.free()

    def free(self) -> None:
        """Give up all storage, between two roll-outs."""
        self._places.clear()
        self._take_part({})
        self._left.clear()

    def __contains__(self, param: Tensor) -> bool:
        return param in self._active

    def __len__(self) -> int:
        return len(self._active)

    @property
    def eps(self) -> float:
        """Round-off of the dtype in which the Gram matrix is formed: the coarsest among the parameters."""
        dtypes = {torch.promote_types(buffer.rows.dtype, torch.float32) for buffer in self._in_use}
        return max((torch.finfo(dtype).eps for dtype in dtypes), default=torch.finfo(torch.float64).eps)

    # ----------------------------------------------------------------------------------------------- the inner steps

    def begin_step(self, params: Iterable[Tensor], position: int, length: int) -> None:
        """Before inner step ``position + 1`` of ``length``.

        Args:
            params: those that are about to move; new ones among them take part from here on, the others stay.
            position: inner steps done since the anchor; 0 starts a new roll-out.
            length: T, the number of inner steps for which there must be room.

        Raises:
            ValueError: if two parameters share memory, or one changed its shape or dtype in the middle.
        """
        params = list(params)
        as_before = are_same(params, self._members)
        vectors = 1 if self.points == "last" else length
        if position > 0:
            self.check_unchanged()
            if self.rows_at(position) > self._used:  # loaded: the last point is the parameters themselves
                self._store(position)
        elif as_before and self._has_places(vectors):
            self._begin_again()
        else:
            self.forget()
            as_before = False
        new = [] if as_before else [p for p in params if p not in self._active]
        if new:
            self._add(new, vectors)

    def end_step(self, position: int, length: int) -> None:
        """After inner step ``position`` of ``length``, or after one that failed: note where the parameters are."""
        if 0 < position < length:
            self._store(position)
            self.left()

    def _store(self, position: int) -> None:
        self._used = self.rows_at(position)
        if self._used:
            with torch.no_grad():
                for buffer in self._in_use:
                    buffer.store(self._used - 1)

    def moved(self, position: int, wait: bool = True) -> bool:
        """Whether the parameters are elsewhere than inner step ``position``, `swap` or `left` left them.

        Args:
            position: inner steps done since the anchor.
            wait: as in `pgrad._engine.fingerprint.Fingerprint.differs`.

        Raises:
            ValueError: if one changed its shape or dtype.
        """
        if wait and self._left.differed():
            return True
        if not self._left.differs(wait):
            return False
        self.check_unchanged()
        if self._is_back(position):
            self.left()
            return False
        return True

    @torch.no_grad()
    def _is_back(self, position: int) -> bool:
        """Whether parameters that were written to hold what they held; False where that is not known."""
        if any(sharding.is_sharded(p) for p in self._active):  # all ranks must answer alike
            return False
        if self._used > 0 and self._used == self.rows_at(position):
            return all(buffer.is_at(self._used - 1, self._swapped) for buffer in self._in_use)
        return self._left.has_same_values()

    def remember_move(self) -> None:
        """`moved` was true, and shall be told by `has_moved` later."""
        self._left.remember()
        self.left()

    def has_moved(self, check_ranks: bool | None) -> bool:
        """What calls of `moved` that did not wait have found, and what was to be remembered.

        Raises:
            RuntimeError: on every rank, if ranks are compared and differ. The parameters hold the anchor then.
        """
        found = self._left.differed()
        try:
            return sharding.agreed("whether parameters were set from outside", found, self._active, check_ranks)
        except RuntimeError:
            self.restore()
            raise

    def left(self) -> None:
        """The parameters are where they should be now."""
        self._left.take(self._members)

    def arrived(self, position: int) -> None:
        """The parameters are at inner step ``position`` of a roll-out that was loaded."""
        self._store(position)
        self.left()

    def forget(self) -> None:
        """No parameter takes part."""
        for buffer in self._in_use:
            buffer.reset()
        self._take_part({})
        self._used = 0
        self._left.clear()
        self._swapped = False

    def drop_others(self, params: Collection[Tensor]) -> None:
        """Parameters that are not among these take part no longer and stay where they are."""
        others = [p for p in self._members if p not in params]
        for p in others:
            buffer, index = self._active[p]
            buffer.active = buffer.active - {index}
        if others:
            self._take_part({p: place for p, place in self._active.items() if p in params})

    def rows_at(self, points: int) -> int:
        """Rows in use when there are so many points between the anchor and the last one."""
        return 0 if self.points == "last" else max(points, 0)

    def _has_places(self, vectors: int) -> bool:
        """Whether those who take part can do so again as they are, in the places that they have."""
        return all(buffer.has_room(vectors) and buffer.changed() is None for buffer in self._in_use)

    @torch.no_grad()
    def _begin_again(self) -> None:
        """The parameters of the roll-out before begin another."""
        _refuse_shared_memory(self._members)
        for buffer in self._in_use:
            buffer.begin()
        self._used, self._swapped = 0, False
        self._left.clear()

    @torch.no_grad()
    def _add(self, params: list[Tensor], vectors: int) -> None:
        _refuse_shared_memory([*self._active, *params])
        for p in params:
            place = self._places.get(p)
            if place is not None and not place[0].fits(place[1], vectors):
                self._retire(*place)
        self._allocate([p for p in params if p not in self._places], vectors)
        self._take_part(self._active | {p: self._places[p] for p in params})
        by_buffer: dict[int, tuple[FlatBuffer, list[int]]] = {}
        for p in params:
            buffer, index = self._places[p]
            by_buffer.setdefault(id(buffer), (buffer, []))[1].append(index)
        for buffer, indices in by_buffer.values():
            buffer.add(indices, self._used)

    def _take_part(self, places: dict[Tensor, tuple[FlatBuffer, int]]) -> None:
        """These parameters do, and no others."""
        self._active, self._members = places, list(places)
        self._in_use = list(dict.fromkeys(map(operator.itemgetter(0), places.values())))

    def _retire(self, buffer: FlatBuffer, index: int) -> None:
        """Give up the storage of a parameter, and its whole buffer unless others take part in it."""
        for p in [buffer.params[index]] if buffer.active else buffer.params:
            self._places.pop(p, None)

    def _allocate(self, params: list[Tensor], vectors: int) -> None:
        kinds: dict[tuple[torch.dtype, torch.device, sharding.Layout], list[Tensor]] = {}
        for p in params:
            kinds.setdefault((p.dtype, p.device, sharding.layout_of(p)), []).append(p)
        for members in kinds.values():
            buffer = FlatBuffer(members, vectors, self.dtype, self.device)
            self._places |= {p: (buffer, index) for index, p in enumerate(members)}

    @torch.no_grad()
    def restore(self) -> None:
        """Put the anchor back into the parameters, by copy."""
        sharding.forget_copies(self._active)
        for buffer in self._in_use:
            buffer.restore()

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the parameters and the anchor, by copy; twice gives the same bits again."""
        sharding.forget_copies(self._active)
        for buffer in self._in_use:
            buffer.swap()
        self._swapped = not self._swapped
        self.left()

    # ----------------------------------------------------------------------------------------------------- the results

    @torch.no_grad()
    def end(self, steps: int, check_ranks: bool | None = None) -> Tensor:
        """End the roll-out after ``steps`` inner steps: the parameters hold the anchor again.

        Args:
            steps: inner steps done.
            check_ranks: whether to compare replicas between ranks, see `pgrad._engine.sharding.combine`.

        Returns:
            [P, P] float64 on the CPU, the Gram matrix X X' of the displacements of the points that were kept: x_0 = 0,
            x_1 .. x_steps, or x_0 and x_steps.
        """
        sharding.forget_copies(self._active)
        self.check_unchanged()
        self._used = self.rows_at(steps - 1)
        for buffer in self._in_use:
            buffer.exchange()
        return self._combined(((buffer, buffer.gram(self._used)) for buffer in self._in_use), check_ranks)

    @torch.no_grad()
    def gram_of(self, params: Iterable[Tensor]) -> Tensor:
        """Of a roll-out that has ended, and before its weighted sum: what these parameters add to its Gram matrix."""
        places = [self._active[p] for p in params if p in self._active and p.numel()]
        return self._combined(((buffer, buffer.gram(self._used, index)) for buffer, index in places), False)

    def _combined(self, parts: Iterable[tuple[FlatBuffer, Tensor]], check_ranks: bool | None) -> Tensor:
        grams: dict[sharding.Layout, Tensor] = {}
        for buffer, part in parts:
            grams[buffer.layout] = grams[buffer.layout] + part if buffer.layout in grams else part
        products = sharding.combine(grams, 1 + self._used, check_ranks)
        order, signs = _in_order(2 + self._used)
        return products.take(order).mul_(signs)

    @torch.no_grad()
    def weighted_sum(self, weights: Tensor) -> dict[Tensor, Tensor]:
        """The outer gradient g = X' w of a roll-out that has ended, in the place where its anchor was.

        Args:
            weights: [P], one weight for each point that was kept.

        Returns:
            For every parameter that took part a tensor like it. It is overwritten by the next roll-out.
        """
        _, *factors = weights.tolist()
        gradients: dict[Tensor, Tensor] = {}
        for buffer in self._in_use:
            gradients |= buffer.combine(factors)
        return gradients

    # ----------------------------------------------------------------------------------------------------- checkpoints

    def state_of(self, param: Tensor, position: int) -> dict[str, Tensor]:
        """What a parameter needs to go on in the middle of a roll-out: its anchor, and its rows in use [used, ...]."""
        buffer, index = self._active[param]
        return buffer.state_of(index, self.rows_at(position - 1))

    @torch.no_grad()
    def load(self, states: dict[Tensor, dict[str, Tensor]], length: int, position: int) -> None:
        """Take up what `state_of` gave for every parameter that takes part; all others are dropped."""
        self._places.clear()
        self._left.clear()
        self._used = self.rows_at(position - 1)
        self._allocate(list(states), 1 if self.points == "last" else length)
        self._take_part({p: self._places[p] for p in states})
        for p, state in states.items():
            buffer, index = self._active[p]
            buffer.load(index, state)

    def check_unchanged(self) -> None:
        """Refuse parameters that were converted in the middle of a roll-out."""
        for buffer in self._in_use:
            index = buffer.changed()
            if index is not None:
                part = local(buffer.params[index])
                raise ValueError(
                    f"a parameter changed in the middle of a roll-out: it is now a {part.dtype} tensor of shape "
                    f"{tuple(part.shape)} with strides {part.stride()} on {part.device}, but its anchor is "
                    f"{buffer.describe(index)}; call forget_rollout() to go on from the weights as they are, and "
                    "finish_rollout() or discard_rollout() before converting the model next time"
                )


@functools.lru_cache(maxsize=16)
def _in_order(points: int) -> tuple[Tensor, Tensor]:
    """Places [P, P] and signs [P, P] of the entries of a Gram matrix among the products of the rows [P-1, P-1].

    The anchor row comes first of the rows, and holds the way back from the last point; the point x_0 is no row.
    """
    rows = torch.arange(points, device="cpu") % (points - 1)
    first, second = torch.minimum(rows, rows[:, None]), torch.maximum(rows, rows[:, None])
    signs = torch.ones(points, points, dtype=torch.float64, device="cpu")
    signs[-1, :-1] = signs[:-1, -1] = -1
    signs[0] = signs[:, 0] = 0
    return first * (points - 1) + second, signs


def _refuse_shared_memory(params: list[Tensor]) -> None:
    parts = [local(p) for p in params]
    if len({part.data_ptr() for part in parts}) == len(parts):
        return
    seen: dict[tuple[torch.device, int], Tensor] = {}
    for p, part in zip(params, parts, strict=True):
        if part.numel() == 0:
            continue
        other = seen.setdefault((part.device, part.data_ptr()), p)
        if other is not p:
            raise ValueError(
                f"two parameters of shapes {tuple(other.shape)} and {tuple(p.shape)} share memory, so that their "
                "displacements would count twice; use one torch.nn.Parameter in both places"
            )
