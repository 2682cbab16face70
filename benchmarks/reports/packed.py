"""Curves in little room: a report holds those of every run at a time, a million of them on occasion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.base.metrics import Matrix


class Packed(Mapping[str, list[float]]):
    """A mapping from names to equally long lists of numbers, held as one array; what is not defined (None) is NaN.

    Raises:
        ValueError: if the lists are not equally long.

    Example:
        >>> curves = Packed({"step": [75, 150], "validation": [None, 0.5]})
        >>> curves["step"], curves["validation"], len(curves)
        ([75.0, 150.0], [nan, 0.5], 2)
    """

    __slots__ = ("names", "values_")

    def __init__(self, lists: Mapping[str, Sequence[float | None]]) -> None:
        self.names = _shared(tuple(lists))
        self.values_: Matrix = np.array(list(lists.values()), dtype=np.float64).reshape(len(lists), -1)

    def __getitem__(self, name: str) -> list[float]:
        try:
            return list(self.values_[self.names.index(name)].tolist())
        except ValueError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


_names: dict[Any, Any] = {}


def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    """The same object for equal names, of which there are few."""
    found: tuple[str, ...] = _names.setdefault(names, names)
    return found


def evenly_long(lists: Mapping[str, Sequence[Any]]) -> bool:
    """Whether they can be packed: a run that failed in the middle of a checkpoint leaves lists that cannot."""
    return len({len(values) for values in lists.values()}) == 1
