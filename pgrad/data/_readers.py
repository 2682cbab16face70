"""Who draws the batches of a sampler: a plain loop, a DataLoader, or something that fetches ahead of the loop.

A sampler is handed to a DataLoader and never told who it is. But whoever draws the first batch of a loop stands on the
call stack at that moment, and so does all that fetches for somebody else.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

from torch.utils.data import BatchSampler, DataLoader
from torch.utils.data.dataloader import _BaseDataLoaderIter

__all__ = ["Reader", "begins_a_loop", "check_length", "find_reader"]

# Loaders of other libraries that hold a batch or more when the loop gets one: {module: {class: how to say it}}.
_PREFETCH = {"_PrefetchDataFetcher": "Lightning, which fetches one batch ahead where a loader has no length,"}
_AHEAD = {
    "accelerate.data_loader": dict.fromkeys(
        ("DataLoaderShard", "DataLoaderDispatcher"), "the loader that Accelerate prepared, one batch ahead,"
    ),
    "lightning.pytorch.loops.fetchers": _PREFETCH,
    "pytorch_lightning.loops.fetchers": _PREFETCH,
    "timm.data.loader": {"PrefetchLoader": "timm's PrefetchLoader, one batch ahead,"},
}


@dataclass(frozen=True)
class Reader:
    """Who draws the batches of one loop.

    Attributes:
        ahead: who may hold batches that the loop has not seen, in words; empty if nobody is known to.
        iterator: a DataLoader's iterator, if one draws.
        primed: how many batches it draws before it gives the first one away; from then on, it draws one for each.
        thread: where batches are drawn; None if that is not known.
    """

    ahead: str = ""
    iterator: weakref.ref[Any] | None = None
    primed: int = 0
    thread: int | None = None

    def pickled(self) -> Reader:
        """What another process can know."""
        return replace(self, iterator=None, thread=None)

    def is_calling(self) -> bool:
        """Whether the DataLoader's iterator asks: one that keeps the place of every batch as it draws it."""
        iterator = None if self.iterator is None else self.iterator()
        return iterator is not None and any(owner is iterator for owner, _ in _owners())

    def is_ahead(self) -> str:
        """Who may hold batches that the loop has not seen, as it stands for the thread that asks."""
        elsewhere = self.thread is not None and self.thread != threading.get_ident()
        return self.ahead or ("another thread" if elsewhere else "")


def find_reader(sampler: Any, examples: int) -> Reader:
    """Who is drawing from `sampler` right now.

    Args:
        sampler: the one that a batch is being drawn from.
        examples: how many examples its indices are for.

    Raises:
        ValueError: if the dataset of the DataLoader has another length, or it hands batches out in any order.
        TypeError: if the sampler was given as ``sampler=`` in the place of ``batch_sampler=``.
    """
    ahead, iterator, primed = "", None, 0
    for owner, _ in _owners():
        if isinstance(owner, _BaseDataLoaderIter):
            if _leads_to(owner._index_sampler, sampler):
                _check_order(owner)
                check_length(owner._dataset, examples)
            iterator, primed = weakref.ref(owner), _primed(owner)
            ahead = f"a DataLoader with num_workers={owner._num_workers}" if primed else ahead
        elif isinstance(owner, BatchSampler) and getattr(owner, "sampler", None) is sampler:
            name = type(sampler).__name__
            raise TypeError(f"sampler must not be a {name}, which makes whole batches: DataLoader(..., batch_sampler=)")
        elif getattr(type(owner), "counts_batches", False) and owner.batch_sampler is sampler:
            ahead = ""  # it knows what it handed out, whatever its workers hold
        else:
            ahead = _known(owner) or ahead
    return Reader(ahead, iterator, primed, threading.get_ident())


def begins_a_loop() -> bool:
    """Whether a DataLoader is at the start of a loop, where some ask for the place before they draw."""
    return any(isinstance(owner, DataLoader) and method == "__iter__" for owner, method in _owners())


def check_length(dataset: Any, examples: int) -> None:
    """A ValueError if `dataset` has a length, and it is not the number of domains."""
    try:
        length = len(dataset)
    except (TypeError, NotImplementedError):  # a map-style dataset need not have one
        return
    if length != examples:
        raise ValueError(
            f"domains must have one entry for each example of the dataset, {length}, got {examples}; for a part of a "
            "dataset, give the sampler the domains of that part, in its order"
        )


def _leads_to(outer: Any, sampler: Any) -> bool:
    """Whether `outer` is the sampler or wraps it, as Accelerate's samplers do: else the indices are for other data."""
    for _ in range(4):
        if outer is sampler:
            return True
        inner = getattr(outer, "batch_sampler", None)
        outer = getattr(outer, "sampler", None) if inner is None else inner
    return False


def _primed(iterator: Any) -> int:
    return int(iterator._num_workers * iterator._prefetch_factor) if iterator._num_workers > 0 else 0


def _check_order(iterator: Any) -> None:
    if iterator._num_workers > 1 and not getattr(iterator, "_in_order", True):
        raise ValueError(
            "in_order must be True: with in_order=False batches come as workers finish them, "
            "which mixes the steps of different roll-outs"
        )


def _known(owner: Any) -> str:
    kind = type(owner)
    ahead = _AHEAD.get(kind.__module__, {}).get(kind.__name__, "")
    sized = ahead.startswith("Lightning") and owner.length is not None  # then it does not fetch ahead
    return "" if sized else ahead


def _owners() -> Iterator[tuple[Any, str]]:
    """The objects whose methods are on the call stack, with the name of the method, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_argcount and code.co_varnames[0] == "self":
            yield frame.f_locals.get("self"), code.co_name
        frame = frame.f_back
