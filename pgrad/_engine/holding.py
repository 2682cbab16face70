"""Which parameters hold an average at the moment: what would move them is refused meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor

__all__ = ["holding", "refuse_holding"]

_HOLDING: set[int] = set()  # ids; whoever holds keeps the parameters alive


@contextmanager
def holding(parameters: Iterable[Tensor]) -> Iterator[None]:
    """Inside, these parameters hold an average."""
    ids = {id(p) for p in parameters}
    _HOLDING.update(ids)
    try:
        yield
    finally:
        _HOLDING.difference_update(ids)


def refuse_holding(what: str, parameters: Callable[[], Iterable[Tensor]]) -> None:
    """Refuse what is not possible while one of these parameters holds an average.

    Raises:
        RuntimeError: if one does.
    """
    if _HOLDING and any(id(p) in _HOLDING for p in parameters()):
        raise RuntimeError(
            f"{what} is not possible inside applied(), where the model holds an average: leave the block first"
        )
