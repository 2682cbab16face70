"""What samplers and batches share: domains of examples, parts of a mini-batch, checks, hashed permutations."""

from __future__ import annotations

import hashlib
import math
import operator
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

__all__ = [
    "Domains",
    "device_of",
    "domain_list",
    "flag",
    "hashed",
    "integer",
    "parts",
    "permutation",
    "rows_by_domain",
]


class _Array(Protocol):  # a tensor, a numpy array, a pandas series
    def tolist(self) -> Any: ...


Domains: TypeAlias = "Sequence[int] | Sequence[str] | Sequence[int | str] | _Array"


def parts(size: int, splits: int) -> list[slice]:
    """Where each part of a mini-batch lies."""
    return [slice(i * size // splits, (i + 1) * size // splits) for i in range(splits)]


def domain_list(domains: Any) -> list[int | str]:
    """The domains as a list, refused with a reason if they are none."""
    if isinstance(domains, Tensor) and domains.is_meta:
        raise TypeError("domains must hold values, got a tensor on the meta device, which has none")
    values = domains.tolist() if hasattr(domains, "tolist") else domains
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(
            "domains must be a sequence, a 1-D tensor or a 1-D array with the domain of each example, "
            f"got {type(domains).__name__}; list(...) turns an iterable into a sequence"
        )
    ids = [value.item() if hasattr(value, "item") else value for value in values]
    for i, value in enumerate(ids):
        kind = str if isinstance(ids[0], str) else int
        if isinstance(value, bool) or not isinstance(value, kind):
            raise TypeError(
                f"domains must be all ints or all strings, in one dimension, got {ids[0]!r} at 0, {value!r} at {i}; "
                f"{_remedy(value)}"
            )
    return ids


def _remedy(value: Any) -> str:
    if isinstance(value, (bool, float)) and not math.isnan(value):
        return "a tensor or an array of whole numbers becomes ints by domains.long() or domains.astype(int)"
    if isinstance(value, bytes):
        return "decode() turns bytes into strings"
    if isinstance(value, (list, tuple)):
        return "give one domain to each example; of one-hot rows, argmax(1)"
    return "an example without a domain must be left out, or get a domain of its own"


def rows_by_domain(ids: list[int | str]) -> dict[int | str, list[int]]:
    """The rows of every domain, domains sorted."""
    rows: dict[int | str, list[int]] = {domain: [] for domain in sorted(set(ids))}
    for i, domain in enumerate(ids):
        rows[domain].append(i)
    return rows


def integer(name: str, value: Any, *, at_least: int) -> int:
    """An int, or an error that names the argument."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an int, got {value!r} ({type(value).__name__})")
    number = operator.index(value)
    if number < at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {number}")
    return number


def flag(name: str, value: Any) -> bool:
    """A bool, or an error that names the argument: bool("no") is True."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r} ({type(value).__name__})")
    return value


def device_of(generator: Any) -> torch.device:
    """Where `generator` draws: always said, because torch.set_default_device moves what does not say it."""
    if generator is None:
        return torch.device("cpu")
    if not isinstance(generator, torch.Generator):
        raise TypeError(
            f"generator must be a torch.Generator or None, got {generator!r}; "
            "torch.Generator().manual_seed(seed) makes one of a seed"
        )
    return generator.device


def hashed(key: Any) -> int:
    """An int64 that is the same in every process."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "big") >> 1  # an int64


def permutation(size: int, *key: int | str) -> Tensor:
    """A permutation that depends on `key` alone, hashed as CPU generators heed only 32 bits of a seed."""
    return torch.randperm(size, generator=torch.Generator("cpu").manual_seed(hashed(key)), device="cpu")
