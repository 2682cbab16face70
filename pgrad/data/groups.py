"""Single-domain batches where a roll-out has only some of the domains: many of them, or small ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pgrad._notices import warn
from pgrad.data._common import Domains, domain_list, flag, hashed, integer, permutation, rows_by_domain
from pgrad.data._repeats import TOO_OFTEN, UNEVEN, inclusion, out_of_proportion
from pgrad.data.domains import DomainBatchSampler, replicas

__all__ = ["GroupBatchSampler"]


class GroupBatchSampler(DomainBatchSampler):
    """A `pgrad.DomainBatchSampler` that draws the domains of each roll-out, as WILDS's group loader does.

    A roll-out has `n_groups` *slots*. For each a domain is drawn, and from it a mini-batch of `batch_size` examples
    without repetition; a domain with fewer is gone through as often as it takes, so that the counts of its examples
    differ by one at most. From there on all is as in the base class, with the slots in the place of its domains: parts,
    passes, ranks, resuming. What a roll-out holds is a function of (seed, roll-out) alone.

    Args:
        domains: the domain of every example, as in the base class.
        batch_size: examples of a slot, on each rank; a step has a `splits`-th part of them.
        n_groups: slots of a roll-out.
        splits: parts of a mini-batch, which is also the passes of a roll-out.
        generator: where the seed is drawn; torch's global generator if None.
        distinct: whether the domains in the slots of a roll-out must differ.
        uniform: whether domains are drawn with the same probability, or in proportion to their numbers of examples.
        infinite: whether a loop has no end; else it takes about as many examples as there are, in whole roll-outs.
        num_replicas: number of ranks, as in the base class.
        rank: this rank, as in the base class.

    Attributes:
        group_ids: the domains with an example, sorted; ``domain_ids`` of the base class are the slots.
        rollout_length: T, ``splits * n_groups``.

    Warns:
        UserWarning: once, when the sampler is made, if the examples of a domain are seen ten times or more in a loop
            (`repeats`), or in one mini-batch.

    Raises:
        ValueError: for an argument out of its range, above all more distinct groups than there are.
        TypeError: for an argument of another type.

    Example:
        >>> domains = [0] * 5 + [3] * 2 + [7] * 9
        >>> generator = torch.Generator().manual_seed(0)
        >>> sampler = GroupBatchSampler(domains, batch_size=4, n_groups=2, splits=2, generator=generator)
        >>> sampler.rollout_length, len(sampler)  # 16 examples are two roll-outs of 2 x 4
        (4, 8)
        >>> rollout = [sampler.domain_of(batch) for batch, _ in zip(sampler, range(4), strict=False)]
        >>> sorted(rollout[:2]) == sorted(rollout[2:]), len(set(rollout))
        (True, 2)

    Source: the group loader of WILDS (wilds.common.data_loaders), which draws from numpy's global state.
    """

    _fixed = DomainBatchSampler._fixed | {"distinct", "group_ids", "n_groups", "uniform"}

    def __init__(
        self,
        domains: Domains,
        batch_size: int,
        n_groups: int,
        splits: int = 1,
        generator: torch.Generator | None = None,
        *,
        distinct: bool = True,
        uniform: bool = True,
        infinite: bool = False,
        num_replicas: int | None = None,
        rank: int | None = None,
    ) -> None:
        self._group_of = domain_list(domains)
        by_group = rows_by_domain(self._group_of)
        self.group_ids = tuple(by_group)
        self._group_rows = [torch.tensor(rows, dtype=torch.int64, device="cpu") for rows in by_group.values()]
        self.n_groups = integer("n_groups", n_groups, at_least=1)
        self.distinct, self.uniform, infinite = (
            flag(name, value) for name, value in (("distinct", distinct), ("uniform", uniform), ("infinite", infinite))
        )
        if distinct and n_groups > len(by_group):
            raise ValueError(
                f"n_groups must be at most {len(by_group)}, the number of domains with an example here, or distinct "
                f"must be False; got {n_groups}"
            )
        batch_size = integer("batch_size", batch_size, at_least=1)
        num_replicas, rank = replicas(num_replicas, rank)
        # To the base class, a slot is a domain with one mini-batch: number r of its epochs is that of roll-out r.
        slots = [slot for slot in range(self.n_groups) for _ in range(batch_size * num_replicas)]
        mode: Any = "infinite" if infinite else "max_size_cycle"
        self._rollouts = max(1, len(self._group_of) // len(slots))
        super().__init__(slots, batch_size, splits, generator, mode=mode, num_replicas=num_replicas, rank=rank)
        self._examples = len(self._group_of)
        self._drawn: tuple[tuple[int, int], list[Tensor]] = ((-1, -1), [])  # a cache: seed, roll-out; its slots

    def __len__(self) -> int:
        """Batches of a whole loop; a TypeError if it is infinite."""
        return super().__len__() * self._rollouts

    @property
    def repeats(self) -> dict[int | str, float]:
        """How often each example of a domain is seen in a loop, on average over the draws.

        A loop has R roll-outs of n slots of B examples, about as many as there are. Of a domain with m examples it sees
        each R s B / m times, where s is the number of slots that a roll-out gives to the domain on average: n / D if
        the D domains are drawn uniformly; n m / M if they are drawn in proportion to their sizes, M together, and need
        not differ; and between the two if they must (computed with Rosén's approximation, exact for n = D).
        """
        sizes = [len(rows) for rows in self._group_rows]
        if self.uniform:
            slots = [self.n_groups / len(sizes)] * len(sizes)
        elif self.distinct:
            slots = inclusion(sizes, self.n_groups)
        else:
            slots = [self.n_groups * m / sum(sizes) for m in sizes]
        drawn = self._rollouts * self.batch_size * self.num_replicas
        return {domain: drawn * s / m for domain, s, m in zip(self.group_ids, slots, sizes, strict=True)}

    def _warn(self, _: Any) -> None:
        sizes = {domain: len(rows) for domain, rows in zip(self.group_ids, self._group_rows, strict=True)}
        found = out_of_proportion(self.repeats, sizes, "a loop")
        smallest = min(sizes, key=sizes.__getitem__)
        size = self.batch_size * self.num_replicas
        if not found and size >= TOO_OFTEN * sizes[smallest]:
            found = (
                f"a mini-batch of {size} examples goes {size / sizes[smallest]:.3g} times through domain {smallest!r}, "
                f"which has {sizes[smallest]}"
            )
        if found:
            remedy = (
                "Merge small domains or leave them out; uniform=False draws large domains more often, and with "
                "distinct=False each example about once in a loop; a smaller batch_size repeats less in a mini-batch."
            )
            warn(UNEVEN.format(found=found, remedy=remedy))

    def _epoch(self, domain: int, epoch: int) -> Tensor:
        if self._drawn[0] != (self.seed, epoch):
            self._drawn = ((self.seed, epoch), self._draw(epoch))
        return self._drawn[1][domain]

    def _draw(self, rollout: int) -> list[Tensor]:
        """The examples in the slots of a roll-out."""
        counts = [1 if self.uniform else len(rows) for rows in self._group_rows]
        generator = torch.Generator("cpu").manual_seed(hashed((self.seed, "groups", rollout)))
        weights = torch.tensor(counts, dtype=torch.float64, device="cpu")
        groups = torch.multinomial(weights, self.n_groups, replacement=not self.distinct, generator=generator)
        return [self._take(self._group_rows[group], rollout, slot) for slot, group in enumerate(groups.tolist())]

    def _take(self, rows: Tensor, rollout: int, slot: int) -> Tensor:
        size = self.batch_size * self.num_replicas
        rounds = range(-(-size // len(rows)))
        orders = [permutation(len(rows), self.seed, "examples", rollout, slot, again) for again in rounds]
        return rows[torch.cat(orders)[:size]]

    def domain_of(self, batch: Sequence[int]) -> int | str:
        """The domain of a yielded list of indices; a ValueError if it is empty or mixes domains."""
        found = {self._group_of[index] for index in batch}
        if len(found) != 1:
            raise ValueError(f"batch must hold indices of one domain, got {len(found)} domains in {batch!r}")
        return found.pop()

    def _configuration(self) -> dict[str, int | str]:
        drawn = {"n_groups": self.n_groups, "distinct": self.distinct, "uniform": self.uniform}
        return {**super()._configuration(), "domains": hashed(self._group_of), **drawn}
