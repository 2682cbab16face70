"""Single-domain batches that take every domain in each pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import Sampler

from pgrad._notices import line_of_the_user, warn
from pgrad.data._common import Domains, device_of, domain_list, hashed, integer, parts, permutation, rows_by_domain
from pgrad.data._readers import Reader, begins_a_loop, find_reader
from pgrad.data._repeats import UNEVEN, out_of_proportion

__all__ = ["DomainBatchSampler"]

Mode = Literal["max_size_cycle", "min_size", "infinite"]


class DomainBatchSampler(Sampler[list[int]]):
    """Lists of indices of one domain each, in whole roll-outs: ``DataLoader(dataset, batch_sampler=...)``.

    Batch n of the stream is step ``n % T`` of roll-out ``r = n // T``, with ``T = splits * len(domain_ids)``.
    Roll-out r cuts mini-batch number r of every domain; its pass i yields part i of each, in an order of its
    own. Every order is a function of (seed, domain, epoch) or (seed, roll-out, pass) alone, so the stream can
    be entered anywhere; the seed is drawn once, from `generator`, when the sampler is made.

    Every ``for`` loop brings ``len(sampler)`` new batches, from the next whole roll-out of the stream on; only
    the first loop after `load_state_dict` enters at the saved batch, and completes the saved loop. So a
    ``break`` inside a roll-out skips its rest, and what the workers of a plain DataLoader have fetched ahead
    (`pgrad.ResumableLoader` gives that back); `loops` and `entry_position` say where a loop began. One loop at a
    time: as soon as another one has begun, or a state was loaded, an earlier one raises a RuntimeError.

    A DataLoader that draws from the sampler must have as many examples as there are domains, and hand batches out
    in order; else it gets an error with the first batch.

    On several ranks every rank has the same domain at every step, and rank k has the examples
    ``[k::num_replicas]`` of a mini-batch of ``batch_size * num_replicas``. This needs a generator in the same
    state on every rank. It must be passed, since the global generators of ranks usually differ; if in doubt,
    compare `seed` between the ranks.

    Args:
        domains: the domain of every example, ints or strings: a sequence, a 1-D tensor or a 1-D numpy array.
        batch_size: examples in a mini-batch, on each rank. The batch of one step is a `splits`-th part of it.
        splits: parts of a mini-batch, which is also the passes of a roll-out. A part must have two examples or more
            if the model has a BatchNorm that counts examples alone; torch says so.
        generator: where the seed is drawn, on any device; torch's global generator if None.
        mode: the length of a loop, named as in Lightning's CombinedLoader. ``"max_size_cycle"``: one epoch of
            the largest domain, while smaller ones start over; ``"min_size"``: one epoch of the smallest, and
            the next loop goes on in the larger ones; ``"infinite"``: no end. The stream is the same in all modes.
        num_replicas: number of ranks; from `torch.distributed` if it is initialised, else 1.
        rank: this rank; give both or neither.

    Attributes:
        domain_ids: the domains, sorted. One alone is allowed.
        rollout_length: T, what the optimizer needs.
        seed: decides all randomness of the stream.

    Warns:
        UserWarning: once, when the sampler is made, if a loop goes ten times or more through a domain (`repeats`).

    Raises:
        ValueError: for an argument out of its range, above all a domain that cannot fill one mini-batch.
        TypeError: for an argument of another type, a float or bool number among them.
        AttributeError: for an argument that is assigned to later; make a new sampler.

    Example:
        >>> domains = ["art"] * 7 + ["photo"] * 4 + ["sketch"] * 5
        >>> sampler = DomainBatchSampler(domains, batch_size=2, splits=2)
        >>> sampler.rollout_length, len(sampler)  # the largest domain has 7 // 2 = 3 mini-batches
        (6, 18)
        >>> names = [sampler.domain_of(batch) for batch in sampler]
        >>> sorted(names[0:3]), sorted(names[3:6])
        (['art', 'photo', 'sketch'], ['art', 'photo', 'sketch'])
    """

    _fixed = frozenset({"batch_size", "domain_ids", "mode", "num_replicas", "rank", "rollout_length", "splits"})

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
        self._domains = domain_list(domains)
        if not self._domains:
            raise ValueError("domains is empty; give the domain of every example of the dataset")
        self.splits = integer("splits", splits, at_least=1)
        self.batch_size = integer("batch_size", batch_size, at_least=1)
        if self.batch_size < self.splits:
            raise ValueError(f"batch_size must be at least splits={splits}, or a part is empty; got {batch_size}")
        if mode not in get_args(Mode):
            raise ValueError(f"mode must be one of {', '.join(map(repr, get_args(Mode)))}; got {mode!r}")
        self.mode = mode
        self.num_replicas, self.rank = replicas(num_replicas, rank)
        device = device_of(generator)
        if generator is None and self.num_replicas > 1:
            raise ValueError(
                f"generator must be given with num_replicas={self.num_replicas}, or ranks may draw different "
                "domains; pass torch.Generator().manual_seed(seed) with the same seed on every rank"
            )

        self._fingerprint = hashed(self._domains)
        by_domain = rows_by_domain(self._domains)
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
        self._parts = parts(self.batch_size, self.splits)
        self._shuffled: dict[int, tuple[int, int, Tensor]] = {}  # a cache: domain -> seed, epoch, its rows

        self._position = 0  # batches of the stream yielded so far
        self._loop_start = 0  # the position where the len(self) batches of the current loop begin
        self._entry = 0  # the position where the current loop entered: later than its start if resumed
        self._resume = False  # the next loop completes the one of a loaded state
        self._loops = 0
        self._resumed = False  # the current loop completes the one of a loaded state
        self._asked = 0  # how often the current loop was asked for a batch, also after its last one
        self._turn = 0  # grows with every loop and every loaded state: what began at an earlier one is over
        self._since = ""  # what began the turn, in words
        self._reader = Reader()  # who draws in the current loop
        self._handed: int | None = (
            None  # batches of the current loop that a ResumableLoader gave away; None without one
        )
        self._examples = len(self._domains)
        self._warn(by_domain)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._fixed and name in self.__dict__:
            raise AttributeError(f"{name} of a sampler is fixed when it is made; make a new {type(self).__name__}")
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_reader": self._reader.pickled()}

    def __len__(self) -> int:
        """Batches of a whole loop; a TypeError with ``mode="infinite"``, as torch has it for streams."""
        if self.mode == "infinite":
            raise TypeError("DomainBatchSampler with mode='infinite' has no length")
        rollouts = max(self._minibatches) if self.mode == "max_size_cycle" else min(self._minibatches)
        return rollouts * self.rollout_length

    @property
    def loops(self) -> int:
        """How many loops have begun here; one begins when its first batch is drawn, ``iter()`` alone begins none."""
        return self._loops

    @property
    def entry_position(self) -> int:
        """The step of a roll-out, 0 .. T - 1, at which the current loop entered: 0 except after `load_state_dict`."""
        return self._entry % self.rollout_length

    @property
    def given(self) -> int:
        """Batches of the current loop that were given away; what workers of a DataLoader hold is not counted.

        What other loaders hold (that of Accelerate, one batch ahead) is.
        """
        return self._handed if self._handed is not None else max(self._asked - self._reader.primed, 0)

    @property
    def repeats(self) -> dict[int | str, float]:
        """Passes through the examples of each domain in a loop, or, without an end, in an epoch of the largest domain.

        A pass takes the whole mini-batches of a domain: 1.0 for the largest in mode "max_size_cycle", for the smallest
        in mode "min_size".
        """
        rollouts = min(self._minibatches) if self.mode == "min_size" else max(self._minibatches)
        return {domain: rollouts / n for domain, n in zip(self.domain_ids, self._minibatches, strict=True)}

    def _warn(self, by_domain: Mapping[int | str, Sequence[int]]) -> None:
        sizes = {domain: len(rows) for domain, rows in by_domain.items()}
        loop = "an epoch of the largest" if self.mode == "infinite" else "a loop"
        found = out_of_proportion(self.repeats, sizes, loop)
        if found:
            remedy = (
                "Merge small domains, leave them out, or draw in proportion to their sizes with "
                'GroupBatchSampler(uniform=False, distinct=False); mode="min_size" ends a loop after one pass through '
                "the smallest, but every roll-out still takes as much of it."
            )
            warn(UNEVEN.format(found=found, remedy=remedy))

    def __iter__(self) -> Iterator[list[int]]:
        return _Loop(self)

    def _begin(self) -> int:
        """Starts a loop and returns its turn."""
        reader = find_reader(self, self._examples)
        # What was drawn and never given away is drawn again.
        if self._handed is not None:
            self._position = self._entry + self._handed
        elif 0 < self._asked <= self._reader.primed:  # a DataLoader's iterator that nobody has asked for a batch
            self._position, self._resume = self._entry, self._resumed
        if not self._resume:
            self._position += -self._position % self.rollout_length
        if not self._resume or self._position == self._loop_stop():
            self._loop_start = self._position
        self._reader, self._handed, self._asked = reader, None, 0
        self._resumed, self._resume = self._resume, False
        self._entry = self._position
        self._loops += 1
        self._turn += 1
        self._since = f"another one has, at {line_of_the_user()}"
        return self._turn

    def _next_batch(self, turn: int) -> list[int] | None:
        """The next batch of the loop of this turn, None if there is none."""
        self._check_turn(turn)
        self._asked += 1
        if self._position == self._loop_stop():
            return None
        self._position += 1
        return self._batch(self._position - 1)

    def _loop_stop(self) -> int | None:
        return None if self.mode == "infinite" else self._loop_start + len(self)

    def _check_turn(self, turn: int) -> None:
        if turn != self._turn:
            raise RuntimeError(
                f"a sampler serves one loop at a time: since this loop began, {self._since}; start a new loop, and "
                "give each of two loops a sampler of its own"
            )

    def _hand_out(self, turn: int | None) -> int:
        """Counts a batch that the loop gets now. Takes and returns the turn of the loop, None for its first batch."""
        self._check_turn(self._turn if turn is None else turn)
        self._handed = (self._handed or 0) + 1
        return self._turn

    def _batch(self, position: int) -> list[int]:
        rollout, step = divmod(position, self.rollout_length)
        i, turn = divmod(step, len(self.domain_ids))
        domain = int(permutation(len(self.domain_ids), self.seed, "pass", rollout, i)[turn])
        epoch, slot = divmod(rollout, self._minibatches[domain])
        size = self.batch_size * self.num_replicas
        minibatch = self._epoch(domain, epoch)[slot * size : (slot + 1) * size]
        indices: list[int] = minibatch[self.rank :: self.num_replicas][self._parts[i]].tolist()
        return indices

    def _epoch(self, domain: int, epoch: int) -> Tensor:
        known = self._shuffled.get(domain)
        if known is None or known[:2] != (self.seed, epoch):
            rows = self._rows[domain]
            known = (self.seed, epoch, rows[permutation(len(rows), self.seed, "epoch", domain, epoch)])
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
        `pgrad.ResumableLoader` knows how many it has seen; with another one, count them since the loop's start, be
        it resumed or not::

            for n, batch in enumerate(loader, 1):
                ...
                saved = sampler.state_dict(consumed=n)

        Without `consumed` all yielded batches count, or all that a ResumableLoader has handed out.

        Raises:
            RuntimeError: without `consumed`, if it is not known what the loop has seen: the current loop is one of a
                DataLoader with workers, of a loader that Accelerate prepared, of another thread.
            ValueError: if `consumed` is negative or more than was yielded since the loop began.
            TypeError: if it is not an int.
        """
        yielded = self._position - self._entry
        position, start = self._entry, self._loop_start
        if consumed is None:
            position, start = self._place(yielded)
        elif integer("consumed", consumed, at_least=0) > yielded:
            raise ValueError(f"consumed must be at most {yielded}, what the loop was given, got {consumed}")
        else:
            position += int(consumed)
        return {"seed": self.seed, "position": position, "loop_start": start, **self._configuration()}

    def _place(self, yielded: int) -> tuple[int, int]:
        """The position after the batches that the loop has used, as far as that is known, and the loop's start."""
        ahead = self._reader.is_ahead()
        if ahead and yielded and not self._reader.is_calling():
            if begins_a_loop():
                position = self._position + -self._position % self.rollout_length
                return position, position
            raise RuntimeError(
                f"consumed must be given: {ahead} has drawn {yielded} batches, and nobody knows which of them the loop "
                "has seen. Say it, state_dict(consumed=n) after n batches of this loop; or let the loader keep its "
                "place: pgrad.ResumableLoader does, and a loader with a state_dict() of its own, such as torchdata's "
                "StatefulDataLoader (in Accelerate: DataLoaderConfiguration(use_stateful_dataloader=True))"
            )
        return self._entry + (yielded if self._handed is None else self._handed), self._loop_start

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """The next loop goes on where `state_dict` was taken, bit for bit and with its seed; a running one is over.

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
        seed, position, start = (integer(key, state_dict[key], at_least=0) for key in place)
        stop = position if self.mode == "infinite" else start + len(self)
        if start % self.rollout_length or not start <= position <= stop:
            raise ValueError(f"state_dict must have its position in its loop, got {dict(state_dict)!r}")
        self.seed, self._loop_start, self._resume = seed, start, True
        self._position = self._entry = position
        self._reader, self._handed, self._asked, self._turn = Reader(), None, 0, self._turn + 1
        self._since = "a state was loaded"

    def _configuration(self) -> dict[str, int | str]:
        return {
            "domains": self._fingerprint,
            "batch_size": self.batch_size,
            "splits": self.splits,
            "mode": self.mode,
            "num_replicas": self.num_replicas,
        }


class _Loop(Iterator[list[int]]):
    """One loop over a sampler. It begins with its first batch: DataLoader with workers calls iter() twice before."""

    def __init__(self, sampler: DomainBatchSampler) -> None:
        self._sampler = sampler
        self._turn: int | None = None
        self._ended = False

    def __next__(self) -> list[int]:
        if self._ended and self._turn != self._sampler._turn:
            raise StopIteration
        if self._turn is None:
            self._turn = self._sampler._begin()
        batch = self._sampler._next_batch(self._turn)
        if batch is None:
            self._ended = True
            raise StopIteration
        return batch


def replicas(num_replicas: int | None, rank: int | None) -> tuple[int, int]:
    """How many ranks there are and which is this one: as given, or as torch.distributed has it."""
    if num_replicas is None and rank is None:
        initialized = dist.is_available() and dist.is_initialized()
        return (dist.get_world_size(), dist.get_rank()) if initialized else (1, 0)
    if num_replicas is None or rank is None:
        raise ValueError(f"num_replicas and rank must be given together, got {num_replicas=} and {rank=}")
    num_replicas = integer("num_replicas", num_replicas, at_least=1)
    rank = integer("rank", rank, at_least=0)
    if rank >= num_replicas:
        raise ValueError(f"rank must be from 0 to num_replicas - 1 = {num_replicas - 1}, got {rank}")
    return num_replicas, rank
