"""Batches that one holds already: taken apart by domain, cut into parts and put in the order of a roll-out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Mapping, MutableMapping, Sequence
from typing import Any, TypeVar, overload

import torch
from torch import Tensor

from pgrad.data._common import Domains, device_of, domain_list, integer, parts, rows_by_domain

__all__ = ["microbatches", "split_by_domain"]

Batch = TypeVar("Batch")
Key = TypeVar("Key", bound=Hashable)


def split_by_domain(batch: Batch, domains: Domains) -> dict[int | str, Batch]:
    """Takes a mixed batch apart: ``{domain: its part}``, domains sorted, examples in their old order.

    A batch of B examples is a tensor [B, ...], or a dict, list, tuple or namedtuple of batches of B examples.
    A list or tuple that holds neither tensors nor containers (strings, say) is no structure but one leaf of B
    examples.

    Args:
        batch: B examples. Gradients flow through the parts.
        domains: the domain of each example, as in `DomainBatchSampler`.

    Raises:
        ValueError: if a leaf of the batch has not ``len(domains)`` examples; it is named.
        TypeError: if the batch holds something else, or a domain is neither an int nor a string.

    Example:
        >>> batch = {"x": torch.arange(8).reshape(4, 2), "y": ["a", "b", "c", "d"]}
        >>> parts = split_by_domain(batch, torch.tensor([7, 3, 7, 7]))
        >>> list(parts), parts[7]["y"], parts[3]["x"]
        ([3, 7], ['a', 'c', 'd'], tensor([[2, 3]]))
    """
    ids = domain_list(domains)
    _batch_length(batch, "batch", {"domains": len(ids)})
    return {domain: _take(batch, rows) for domain, rows in rows_by_domain(ids).items()}


@overload
def microbatches(
    minibatches: Mapping[Key, Batch], splits: int = 1, generator: torch.Generator | None = None
) -> list[tuple[Key, Batch]]: ...
@overload
def microbatches(
    minibatches: Sequence[Batch], splits: int = 1, generator: torch.Generator | None = None
) -> list[tuple[int, Batch]]: ...
def microbatches(
    minibatches: Mapping[Any, Any] | Sequence[Any], splits: int = 1, generator: torch.Generator | None = None
) -> list[tuple[Any, Any]]:
    """One roll-out from one mini-batch of each of D domains: ``splits * D`` pairs of a domain and a part.

    Pass i holds part i of every mini-batch, in a fresh permutation of the domains. The pairs are in the order
    of the inner steps, so closures made of them need ``PGrad.rollout(closures, shuffle=False)``.

    Args:
        minibatches: a mapping from the domain to its mini-batch, as `split_by_domain` returns it, or a sequence of
            mini-batches of the domains 0 .. D - 1. Each is a batch as in `split_by_domain`; their sizes may differ.
        splits: parts of each mini-batch. Parts of tensors are views.
        generator: where the permutations are drawn; torch's global generator if None.

    Raises:
        ValueError: if there is no mini-batch, one has fewer than `splits` examples, or leaves of one disagree.
        TypeError: if `splits` is not an int, or a mini-batch is not a batch.

    Example:
        >>> rollout = microbatches({"art": torch.arange(5), "photo": torch.arange(10, 14)}, splits=2)
        >>> for domain, part in sorted(rollout[:2]) + sorted(rollout[2:]):
        ...     print(domain, part.tolist())
        art [0, 1]
        photo [10, 11]
        art [2, 3, 4]
        photo [12, 13]
    """
    splits, device = integer("splits", splits, at_least=1), device_of(generator)
    if not isinstance(minibatches, (Mapping, Sequence)):
        raise TypeError(f"minibatches must be a mapping or a sequence, got {type(minibatches).__name__}")
    pairs = list(minibatches.items() if isinstance(minibatches, Mapping) else enumerate(minibatches))
    if not pairs:
        raise ValueError("minibatches is empty; give one mini-batch of each domain")
    sizes = [_batch_length(batch, f"minibatches[{domain!r}]") for domain, batch in pairs]
    for (domain, _), size in zip(pairs, sizes, strict=True):
        if size < splits:
            raise ValueError(f"minibatches[{domain!r}] must have splits={splits} examples or more, got {size}")
    return [
        (pairs[d][0], _take(pairs[d][1], parts(sizes[d], splits)[i]))
        for i in range(splits)
        for d in torch.randperm(len(pairs), generator=generator, device=device).tolist()
    ]


def _take(batch: Any, rows: slice | list[int]) -> Any:
    def pick(leaf: Any, _: str) -> Any:
        if isinstance(leaf, Tensor) or isinstance(rows, slice):
            return leaf[rows]
        return type(leaf)([leaf[row] for row in rows])

    return _map_leaves(pick, batch, "batch")


def _batch_length(batch: Any, name: str, expected: Mapping[str, int] | None = None) -> int:
    """The number of examples, on which all leaves (and `expected`, a name with its length) have to agree."""
    lengths = dict(expected or {})
    _map_leaves(lambda leaf, where: lengths.setdefault(where, len(leaf)), batch, name)
    (first, length), *others = lengths.items()
    for where, found in others:
        if found != length:
            raise ValueError(f"{where} must have as many examples as {first}, {length}, got {found}")
    return length


def _map_leaves(function: Callable[[Any, str], Any], batch: Any, name: str) -> Any:
    """`batch` with ``function(leaf, its name)`` in the place of every leaf; containers keep their types."""
    if isinstance(batch, Tensor):
        if batch.ndim == 0:
            raise ValueError(f"{name} must have a first dimension, that of the examples, got a 0-d tensor")
        return function(batch, name)
    if not isinstance(batch, (MutableMapping, tuple, list)):
        raise TypeError(f"{name} must be a tensor, dict, list or tuple, got {type(batch).__name__}")
    if not batch:
        raise ValueError(f"{name} must hold at least one tensor, got an empty {type(batch).__name__}")
    if isinstance(batch, MutableMapping):
        mapped = copy.copy(batch)
        mapped.update({key: _map_leaves(function, value, f"{name}[{key!r}]") for key, value in batch.items()})
        return mapped
    if hasattr(batch, "_fields"):
        return type(batch)(*(_map_leaves(function, getattr(batch, f), f"{name}.{f}") for f in batch._fields))
    if not any(isinstance(item, (Tensor, MutableMapping, tuple, list)) for item in batch):
        return function(batch, name)
    return type(batch)([_map_leaves(function, item, f"{name}[{i}]") for i, item in enumerate(batch)])
