"""The stored displacements of a roll-out: record, Gram, weighted sum. Knows what is a point, and no optimizer.

Internal format: a matrix whose rows are displacements x_i = theta_i - theta_0 and whose columns are the elements of the
parameters in memory order (real and imaginary parts side by side). It lies in slabs, one for each kind of parameter:
see `pgrad._engine.buffers`. While the model walks, row i (1 <= i < T) is filled before inner step i + 1; the last
displacement is never stored beside the parameter, since it is the parameter. Closing the roll-out exchanges the two:
the parameter becomes the anchor again, by copy, and the *home*, where the anchor was, becomes x_T, later the principal
gradient. So T values per parameter are all that is ever held, the anchor included, or ``sketch_size`` values if that is
less: then a table says how each point is made from the rows kept (`pgrad._sketch`).

Passes over memory, in vectors of size d: each step reads the parameter and the anchor and writes a row; closing reads
and writes both once and reads T rows for the Gram matrix; the weighted sum reads T rows and writes one.
Of a DTensor all this is about the part on this rank; `pgrad._engine.sharding` knows how the parts make a whole.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from pgrad._engine import sharding as _sharding
from pgrad._engine.buffers import Slab
from pgrad._sketch import compress

__all__ = ["Trajectory"]


class Trajectory:
    """The displacements of the parameters that take part in a roll-out.

    A parameter takes part from the first inner step at which it has a gradient: until then it has not moved, and its
    earlier displacements are zero. Storage is kept from one roll-out to the next.

    Args:
        dtype: of the stored displacements; None for the parameter's own, and float32 for half precision.
        device: of the stored displacements; None for the parameter's own.
        sketch_size: how many vectors are kept at most, the anchor included; None for as many as there are points.
    """

    def __init__(
        self,
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
        sketch_size: int | None = None,
    ) -> None:
        self.dtype = dtype
        self.device = device
        self.sketch_size = sketch_size
        self._places: dict[Tensor, tuple[Slab, int]] = {}  # storage of every parameter that ever took part
        self._active: dict[Tensor, tuple[Slab, int]] = {}  # of those that do in this roll-out
        self._table = _no_points()

    def __contains__(self, param: Tensor) -> bool:
        return param in self._active

    def __len__(self) -> int:
        return len(self._active)

    @property
    def eps(self) -> float:
        """Round-off of the dtype in which the Gram matrix is formed: the coarsest among the parameters."""
        dtypes = {torch.promote_types(slab.rows.dtype, torch.float32) for slab in self._slabs()}
        return max((torch.finfo(dtype).eps for dtype in dtypes), default=torch.finfo(torch.float64).eps)

    # --------------------------------------------------------------------------------------------------------- walking

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
        vectors = length if self.sketch_size is None else min(length, self.sketch_size)
        if position == 0:
            for slab in self._slabs():
                slab.leave()
            self._active.clear()
            self._table = _no_points()
        else:
            self._check_unchanged()
            self._forget_after(position - 1)
            self._store(vectors)
        joining = [p for p in params if p not in self._active]
        if joining:
            self._join(joining, vectors)

    def _store(self, vectors: int) -> None:
        """One more row, and one more point which is that row."""
        if self._used == vectors - 1:
            keep = _kept(self._used)
            rotation, self._table = compress(self._gram(with_home=False), self._table, keep)
            for slab in self._slabs():
                slab.rotate(rotation)
        for slab in self._slabs():
            slab.store(self._used)
        self._table = torch.block_diag(self._table, torch.ones(1, 1, dtype=torch.float64))

    def _forget_after(self, points: int) -> None:
        """A point was recorded before an inner step that failed: it is recorded again, or it is the last one."""
        if len(self._table) > points:
            self._table = self._table[:-1, :-1]

    @property
    def _used(self) -> int:
        """Rows that hold something."""
        return self._table.shape[1]

    def _join(self, params: list[Tensor], vectors: int) -> None:
        _refuse_shared_memory([*self._active, *params])
        for p in params:
            place = self._places.get(p)
            if place is not None and not place[0].fits(place[1], vectors):
                self._retire(*place)
        self._allocate([p for p in params if p not in self._places], vectors)
        self._active |= {p: self._places[p] for p in params}
        joining: dict[int, tuple[Slab, list[int]]] = {}
        for p in params:
            slab, index = self._places[p]
            joining.setdefault(id(slab), (slab, []))[1].append(index)
        for slab, indices in joining.values():
            slab.join(indices, self._used)

    def _retire(self, slab: Slab, index: int) -> None:
        """Give up the storage of a parameter, and its whole slab unless others walk in it."""
        for p in [slab.params[index]] if slab.active else slab.params:
            self._places.pop(p, None)

    def _allocate(self, params: list[Tensor], vectors: int) -> None:
        kinds: dict[tuple[torch.dtype, torch.device, _sharding.Layout], list[Tensor]] = {}
        for p in params:
            kinds.setdefault((p.dtype, p.device, _sharding.layout_of(p)), []).append(p)
        for members in kinds.values():
            slab = Slab(members, vectors, self.dtype, self.device)
            self._places |= {p: (slab, index) for index, p in enumerate(members)}

    def _slabs(self) -> list[Slab]:
        return list({id(slab): slab for slab, _ in self._active.values()}.values())

    @torch.no_grad()
    def restore(self) -> None:
        """Put the anchor back into the parameters, by copy."""
        _sharding.forget_gathered(self._active)
        for slab in self._slabs():
            slab.restore()

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the parameters and the anchor, by copy; twice gives the same bits again."""
        _sharding.forget_gathered(self._active)
        for slab in self._slabs():
            slab.swap()

    # ----------------------------------------------------------------------------------------------------- the results

    @torch.no_grad()
    def close(self, steps: int, check_ranks: bool | None = None) -> Tensor:
        """End the walk after ``steps`` inner steps: the parameters hold the anchor again.

        Args:
            steps: inner steps done.
            check_ranks: whether to compare replicas between ranks, see `pgrad._engine.sharding.combine`.

        Returns:
            [steps+1, steps+1] float64 on the CPU, the Gram matrix X X' of the displacements x_0 = 0, x_1 .. x_steps.
        """
        _sharding.forget_gathered(self._active)
        self._check_unchanged()
        self._forget_after(steps - 1)
        for slab in self._slabs():
            slab.close()
        gram = self._gram(with_home=True, check_ranks=check_ranks)
        mixing = self._mixing()
        return mixing @ gram @ mixing.T

    @torch.no_grad()
    def weighted_sum(self, weights: Tensor) -> dict[Tensor, Tensor]:
        """The principal gradient g = X' w of a closed roll-out, in the place where its anchor was.

        Args:
            weights: [steps+1], one weight for each point.

        Returns:
            For every parameter that took part a tensor like it. It is overwritten by the next roll-out.
        """
        by_row = self._mixing().T @ weights
        gradients: dict[Tensor, Tensor] = {}
        for slab in self._slabs():
            gradients |= slab.combine(by_row)
        return gradients

    def _mixing(self) -> Tensor:
        """[steps+1, 1+used]: each point, from x_0 = 0 to the last, which is in the home, from the home and the rows."""
        points, used = self._table.shape
        mixing = torch.zeros(points + 2, 1 + used, dtype=torch.float64)
        mixing[1:-1, 1:] = self._table
        mixing[-1, 0] = 1
        return mixing

    def _gram(self, with_home: bool, check_ranks: bool | None = False) -> Tensor:
        grams: dict[_sharding.Layout, Tensor] = {}
        for slab in self._slabs():
            part = slab.gram(self._used, with_home)
            grams[slab.layout] = grams[slab.layout] + part if slab.layout in grams else part
        return _sharding.combine(grams, self._used + with_home, check_ranks)

    # ----------------------------------------------------------------------------------------------------- checkpoints

    def table_of(self, position: int) -> list[list[float]] | None:
        """How each point so far is made from the rows; None if every point is one of them."""
        self._forget_after(max(position - 1, 0))
        points, rows = self._table.shape
        return None if points == rows else self._table.tolist()

    def state_of(self, param: Tensor, position: int) -> dict[str, Tensor]:
        """What a parameter needs to go on in the middle of a roll-out: its anchor, and its rows in use [used, ...]."""
        self._forget_after(max(position - 1, 0))
        slab, index = self._active[param]
        return slab.state_of(index, self._used)

    @torch.no_grad()
    def load(
        self, states: dict[Tensor, dict[str, Tensor]], length: int, position: int, table: list[list[float]] | None
    ) -> None:
        """Take up what `state_of` gave for every parameter that takes part, and `table_of`; all others are dropped."""
        self._places.clear()
        self._active.clear()
        points = max(position - 1, 0)
        self._table = (
            torch.eye(points, dtype=torch.float64) if table is None else torch.tensor(table, dtype=torch.float64)
        )
        vectors = length if self.sketch_size is None else min(length, self.sketch_size)
        self._allocate(list(states), vectors)
        for p, state in states.items():
            slab, index = self._active[p] = self._places[p]
            slab.load(index, state)

    def _check_unchanged(self) -> None:
        for p, (slab, index) in self._active.items():
            if not slab.is_unchanged(index):
                local = _sharding.local(p)
                raise ValueError(
                    f"a parameter changed in the middle of a roll-out: it is now a {local.dtype} tensor of shape "
                    f"{tuple(local.shape)} with strides {local.stride()} on {local.device}, but its anchor is "
                    f"{slab.describe(index)}; call discard_rollout() before converting the model"
                )


def _no_points() -> Tensor:
    return torch.zeros(0, 0, dtype=torch.float64)


def _kept(vectors: int) -> int:
    """How many vectors stay when there is no room: often compressing costs time, keeping few costs accuracy."""
    return vectors - max(vectors // 8, 1)


def _refuse_shared_memory(params: list[Tensor]) -> None:
    seen: dict[tuple[torch.device, int], Tensor] = {}
    for p in params:
        part = _sharding.local(p)
        if part.numel() == 0:
            continue
        other = seen.setdefault((part.device, part.data_ptr()), p)
        if other is not p:
            raise ValueError(
                f"two parameters of shapes {tuple(other.shape)} and {tuple(p.shape)} share memory, so that their "
                "displacements would count twice; use one torch.nn.Parameter in both places"
            )
