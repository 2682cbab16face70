"""Batches of one domain, in the order a roll-out needs them.

Every example belongs to one *domain*, named by an int or a string. A *mini-batch* is ``batch_size`` examples
of one domain, cut into ``splits`` *parts*. A *pass* takes one part of every domain, in a fresh order of the
domains. A *roll-out* is ``splits`` passes over the same mini-batches: ``T = splits x domains`` steps. An
*epoch of a domain* goes once through its examples in a fresh order and drops the incomplete last mini-batch.

Part ``i`` of ``B`` examples is ``[i * B // splits : (i + 1) * B // splits]``, the rule of the code released
with arXiv:2305.01134 (``splits=3`` there): disjoint parts that cover the mini-batch, sizes equal up to one.

Three ways to the same roll-out: `DomainBatchSampler` draws it from a dataset, `split_by_domain` takes a mixed
batch apart, `microbatches` cuts and orders the mini-batches one has. Domains are always in sorted order.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import operator
from collections.abc import Callable, Hashable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, get_args, overload

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import Sampler

__all__ = ["DomainBatchSampler", "microbatches", "split_by_domain"]

Mode = Literal["max_size_cycle", "min_size", "infinite"]
Batch = TypeVar("Batch")
Key = TypeVar("Key", bound=Hashable)


class _Array(Protocol):  # a tensor, a numpy array, a pandas series
    def tolist(self) -> Any: ...


Domains: TypeAlias = "Sequence[int] | Sequence[str] | Sequence[int | str] | _Array"


class DomainBatchSampler(Sampler[list[int]]):
    """Lists of indices of one domain each, in whole roll-outs: ``DataLoader(dataset, batch_sampler=...)``.

    Batch n of the stream is step ``n % T`` of roll-out ``r = n // T``, with ``T = splits * len(domain_ids)``.
    Roll-out r cuts mini-batch number r of every domain; its pass i yields part i of each, in an order of its
    own. Every order is a function of (seed, domain, epoch) or (seed, roll-out, pass) alone, so the stream can
    be entered anywhere; the seed is drawn once, from `generator`, when the sampler is made.

    Every ``for`` loop brings ``len(sampler)`` new batches, from the next whole roll-out of the stream on; only
    the first loop after `load_state_dict` enters at the saved batch, and completes the saved loop. So a
    ``break`` inside a roll-out skips its rest (and what workers have fetched ahead): finish or discard the
    optimizer's roll-out too. Run one loop at a time.

    On several ranks every rank has the same domain at every step, and rank k has the examples
    ``[k::num_replicas]`` of a mini-batch of ``batch_size * num_replicas``. This needs a generator in the same
    state on every rank. It must be passed, since the global generators of ranks usually differ; if in doubt,
    compare `seed` between the ranks.

    Args:
        domains: the domain of every example, ints or strings: a sequence, a 1-D tensor or a 1-D numpy array.
        batch_size: examples in a mini-batch, on each rank. The batch of one step is a `splits`-th part of it.
        splits: parts of a mini-batch, which is also the passes of a roll-out.
        generator: where the seed is drawn; torch's global generator if None.
        mode: the length of a loop, named as in Lightning's CombinedLoader. ``"max_size_cycle"``: one epoch of
            the largest domain, while smaller ones start over; ``"min_size"``: one epoch of the smallest, and
            the next loop goes on in the larger ones; ``"infinite"``: no end.
        num_replicas: number of ranks; from `torch.distributed` if it is initialised, else 1.
        rank: this rank; give both or neither.

    Attributes:
        domain_ids: the domains, sorted. One alone is allowed.
        rollout_length: T, what the optimizer needs.
        seed: decides all randomness of the stream.

    Raises:
        ValueError: for an argument out of its range, above all a domain that cannot fill one mini-batch.
        TypeError: for an argument of another type, a float or bool number among them.

    Example:
        >>> domains = ["art"] * 7 + ["photo"] * 4 + ["sketch"] * 5
        >>> sampler = DomainBatchSampler(domains, batch_size=2, splits=2)
        >>> sampler.rollout_length, len(sampler)  # the largest domain has 7 // 2 = 3 mini-batches
        (6, 18)
        >>> names = [sampler.domain_of(batch) for batch in sampler]
        >>> sorted(names[0:3]), sorted(names[3:6])
        (['art', 'photo', 'sketch'], ['art', 'photo', 'sketch'])
    """

    def __init__(
        self,
        domains: Domains,
        batch_size: int,
        splits: int = 1,
        generator: torch.Generator | None = None,
        *,
        mode: Mode = "max_size_cycle",
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        self._domains = _domain_list(domains)
        if not self._domains:
            raise ValueError("domains is empty; give the domain of every example of the dataset")
        self.splits = _integer("splits", splits, at_least=1)
        self.batch_size = _integer("batch_size", batch_size, at_least=1)
        if self.batch_size < self.splits:
            raise ValueError(f"batch_size must be at least splits={splits}, or a part is empty; got {batch_size}")
        if mode not in get_args(Mode):
            raise ValueError(f"mode must be one of {', '.join(map(repr, get_args(Mode)))}; got {mode!r}")
        self.mode = mode
        self.num_replicas, self.rank = _replicas(num_replicas, rank)
        device = _device(generator)
        if generator is None and self.num_replicas > 1:
            raise ValueError(
                f"generator must be given with num_replicas={self.num_replicas}, or ranks may draw different "
                "domains; pass torch.Generator().manual_seed(seed) with the same seed on every rank"
            )

        self._fingerprint = _hash(self._domains)
        by_domain = _rows_by_domain(self._domains)
        size = self.batch_size * self.num_replicas
        for domain, rows in by_domain.items():
            if len(rows) < size:
                raise ValueError(
                    f"batch_size={batch_size} with num_replicas={self.num_replicas} takes {size} examples of every "
                    f"domain, but {domain!r} has {len(rows)}; use a smaller batch_size or leave this domain out"
                )
        self.domain_ids: tuple[int | str, ...] = tuple(by_domain)
        self.rollout_length = self.splits * len(self.domain_ids)
        self.seed = int(torch.randint(2**63 - 1, (1,), generator=generator, device=device).item())
        self._rows = [torch.tensor(rows, dtype=torch.int64, device="cpu") for rows in by_domain.values()]
        self._minibatches = [len(rows) // size for rows in self._rows]
        self._parts = _parts(self.batch_size, self.splits)
        self._shuffled: dict[int, tuple[int, int, Tensor]] = {}  # a cache: domain -> seed, epoch, its rows

        self._position = 0  # batches of the stream yielded so far
        self._loop_start = 0  # the position where the len(self) batches of the current loop begin
        self._entry = 0  # the position where the last iter() entered: later than the loop's start if resumed
        self._resume = False  # the next loop completes the one of a loaded state

    def __len__(self) -> int:
        """Batches of a whole loop; a TypeError with ``mode="infinite"``, as torch has it for streams."""
        if self.mode == "infinite":
            raise TypeError("DomainBatchSampler with mode='infinite' has no length")
        rollouts = max(self._minibatches) if self.mode == "max_size_cycle" else min(self._minibatches)
        return rollouts * self.rollout_length

    def __iter__(self) -> Iterator[list[int]]:
        # DataLoader with workers calls iter() twice before it draws, so iter() by itself must not move on.
        if not self._resume:
            self._position += -self._position % self.rollout_length
        if not self._resume or self._position == self._loop_stop():
            self._loop_start = self._position
        self._entry = self._position
        return self._loop(self._entry, self._loop_stop())

    def _loop_stop(self) -> int | None:
        return None if self.mode == "infinite" else self._loop_start + len(self)

    def _loop(self, start: int, stop: int | None) -> Iterator[list[int]]:
        for position in itertools.count(start) if stop is None else range(start, stop):
            self._resume = False
            self._position = position + 1
            yield self._batch(position)

    def _batch(self, position: int) -> list[int]:
        rollout, step = divmod(position, self.rollout_length)
        i, turn = divmod(step, len(self.domain_ids))
        domain = int(_shuffle(len(self.domain_ids), self.seed, "pass", rollout, i)[turn])
        epoch, slot = divmod(rollout, self._minibatches[domain])
        size = self.batch_size * self.num_replicas
        minibatch = self._epoch(domain, epoch)[slot * size : (slot + 1) * size]
        indices: list[int] = minibatch[self.rank :: self.num_replicas][self._parts[i]].tolist()
        return indices

    def _epoch(self, domain: int, epoch: int) -> Tensor:
        known = self._shuffled.get(domain)
        if known is None or known[:2] != (self.seed, epoch):
            rows = self._rows[domain]
            known = (self.seed, epoch, rows[_shuffle(len(rows), self.seed, "epoch", domain, epoch)])
            self._shuffled[domain] = known
        return known[2]

    def domain_of(self, batch: Sequence[int]) -> int | str:
        """The domain of a yielded list of indices; a ValueError if it is empty or mixes domains."""
        found = {self._domains[index] for index in batch}
        if len(found) != 1:
            raise ValueError(f"batch must hold indices of one domain, got {len(found)} domains in {batch!r}")
        return found.pop()

    def state_dict(self, consumed: int | None = None) -> dict[str, int | str]:
        """Position, seed and configuration as ints and one string; the same on all ranks.

        A DataLoader with workers fetches ahead: the sampler has yielded batches that the loop has not seen.
        Then say how many it has seen since its start, be it resumed or not::

            for n, batch in enumerate(loader, 1):
                ...
                saved = sampler.state_dict(consumed=n)

        Without `consumed` all yielded batches count: right for ``num_workers=0`` and for a loop over `self`.

        Raises:
            ValueError: if `consumed` is negative or more than was yielded since the last ``iter()``.
            TypeError: if it is not an int.
        """
        yielded = self._position - self._entry
        seen = yielded if consumed is None else _integer("consumed", consumed, at_least=0)
        if seen > yielded:
            raise ValueError(f"consumed must be at most {yielded}, what the loop was given, got {consumed}")
        place = {"seed": self.seed, "position": self._entry + seen, "loop_start": self._loop_start}
        return {**place, **self._configuration()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """The next loop goes on where `state_dict` was taken, bit for bit and with its seed.

        Raises:
            ValueError: if a key is missing, the configuration is another one, or the position is impossible.
        """
        place, here = ("seed", "position", "loop_start"), self._configuration()
        missing = [key for key in (*place, *here) if key not in state_dict]
        if missing:
            raise ValueError(f"state_dict must come from DomainBatchSampler.state_dict(), but lacks {missing}")
        other = [key for key in here if state_dict[key] != here[key]]
        if other:
            found = ", ".join(f"{key}={state_dict[key]!r} (here {here[key]!r})" for key in other)
            raise ValueError(f"state_dict must be of a sampler with the same arguments, got {found}")
        seed, position, start = (_integer(key, state_dict[key], at_least=0) for key in place)
        stop = position if self.mode == "infinite" else start + len(self)
        if start % self.rollout_length or not start <= position <= stop:
            raise ValueError(f"state_dict must have its position in its loop, got {dict(state_dict)!r}")
        self.seed, self._loop_start, self._resume = seed, start, True
        self._position = self._entry = position

    def _configuration(self) -> dict[str, int | str]:
        return {
            "domains": self._fingerprint,
            "batch_size": self.batch_size,
            "splits": self.splits,
            "mode": self.mode,
            "num_replicas": self.num_replicas,
        }


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
    ids = _domain_list(domains)
    _batch_length(batch, "batch", {"domains": len(ids)})
    return {domain: _take(batch, rows) for domain, rows in _rows_by_domain(ids).items()}


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
        minibatches: a mapping from the domain to its mini-batch, as `split_by_domain` returns it, or a
        sequence of
            mini-batches of the domains 0 .. D - 1. Each is a batch as in `split_by_domain`; their sizes may
            differ.
        splits: parts of each mini-batch. Parts of tensors are views.
        generator: where the permutations are drawn; torch's global generator if None.

    Raises:
        ValueError: if there is no mini-batch, one has fewer than `splits` examples, or leaves of one
        disagree. TypeError: if `splits` is not an int, or a mini-batch is not a batch.

    Example:
        >>> rollout = microbatches({"art": torch.arange(5), "photo": torch.arange(10, 14)}, splits=2)
        >>> for domain, part in sorted(rollout[:2]) + sorted(rollout[2:]):
        ...     print(domain, part.tolist())
        art [0, 1]
        photo [10, 11]
        art [2, 3, 4]
        photo [12, 13]
    """
    splits, device = _integer("splits", splits, at_least=1), _device(generator)
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
        (pairs[d][0], _take(pairs[d][1], _parts(sizes[d], splits)[i]))
        for i in range(splits)
        for d in torch.randperm(len(pairs), generator=generator, device=device).tolist()
    ]


def _parts(size: int, splits: int) -> list[slice]:
    return [slice(i * size // splits, (i + 1) * size // splits) for i in range(splits)]


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


def _domain_list(domains: Any) -> list[int | str]:
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
                f"domains must be all ints or all strings, in one dimension, got {ids[0]!r} at 0, {value!r} at {i}"
            )
    return ids


def _rows_by_domain(ids: list[int | str]) -> dict[int | str, list[int]]:
    rows: dict[int | str, list[int]] = {domain: [] for domain in sorted(set(ids))}
    for i, domain in enumerate(ids):
        rows[domain].append(i)
    return rows


def _replicas(num_replicas: int | None, rank: int | None) -> tuple[int, int]:
    if num_replicas is None and rank is None:
        initialized = dist.is_available() and dist.is_initialized()
        return (dist.get_world_size(), dist.get_rank()) if initialized else (1, 0)
    if num_replicas is None or rank is None:
        raise ValueError(f"num_replicas and rank must be given together, got {num_replicas=} and {rank=}")
    num_replicas = _integer("num_replicas", num_replicas, at_least=1)
    rank = _integer("rank", rank, at_least=0)
    if rank >= num_replicas:
        raise ValueError(f"rank must be from 0 to num_replicas - 1 = {num_replicas - 1}, got {rank}")
    return num_replicas, rank


def _integer(name: str, value: Any, *, at_least: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an int, got {value!r} ({type(value).__name__})")
    number = operator.index(value)
    if number < at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {number}")
    return number


def _device(generator: Any) -> torch.device:
    """Where `generator` draws: always said, because torch.set_default_device moves what does not say it."""
    if generator is None:
        return torch.device("cpu")
    if not isinstance(generator, torch.Generator):
        raise TypeError(
            f"generator must be a torch.Generator or None, got {generator!r}; "
            "torch.Generator().manual_seed(seed) makes one of a seed"
        )
    return generator.device


def _hash(key: Any) -> int:
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "big") >> 1  # an int64


def _shuffle(size: int, *key: int | str) -> Tensor:
    """A permutation that depends on `key` alone, hashed as CPU generators heed only 32 bits of a seed."""
    return torch.randperm(size, generator=torch.Generator("cpu").manual_seed(_hash(key)), device="cpu")
