"""The rules of the comparison: leave domains out, split the others, select on what training may see.

Sets of domains are held out in turn: each one alone, or every two, three, ... of them. Each remaining domain is split
into 80 % for training and 20 % for validation, and the held-out ones are tested whole. Where examples come in groups
that must not be parted, the groups are dealt out to five folds once and for all (see `benchmarks.runs.folds`), and
seed s validates on fold s + 1 (modulo 5). If groups stand in several domains (the same concept in every style), a
held-out domain is tested on fold s, and no training domain shows that fold. What a data set fits, it fits on the
training parts. A domain whose training part is smaller than what a roll-out takes of it is drawn with repetition.

Which point of random search and which checkpoint stand for a method is decided by a rule of
`benchmarks.runs.rules`. But for its oracle, the held-out domains take no part in any choice; they are measured at
every checkpoint so that curves can be drawn. A *refit* then trains what was chosen once more, on the training and
validation parts together: see `benchmarks.runs.refit`.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

import pgrad
from benchmarks.algorithms import Batches
from benchmarks.base.seeds import seed_from
from benchmarks.datasets import Domain, Fit, MultiDomainData
from benchmarks.runs.folds import CROSSED_LEAST, Dealing, fold_counts, folds_of, groups_stand_in_several

VALIDATION_FRACTION = 0.2


@dataclass(frozen=True)
class Split:
    """The data of one run.

    Attributes:
        inputs, labels: The training parts of the training domains, one after another.
        domains: For each training example the number of its domain, from 0.
        validation: The validation parts of the training domains; none in a refit, which trains on them too.
        held_out: The test parts of the held-out domains.
    """

    inputs: Tensor
    labels: Tensor
    domains: Tensor
    validation: tuple[Domain, ...]
    held_out: tuple[Domain, ...]


def leave_out(
    data: MultiDomainData, held_out: Collection[str], seed: int, dealing: Dealing = "hashed", refit: bool = False
) -> Split:
    """Splits `data` for a set of held-out domains. A domain is split in the same way whichever others are held out.

    With `refit` the validation parts are trained on as well; what is held out stays the same.

    Raises:
        ValueError: if a held-out domain is not there, none is left to train on, or a domain is too small to be parted.
    """
    for name in held_out:
        if name not in data.names:
            raise ValueError(f"held_out must be some of the domains {data.names}, got {name!r}")
    if not 0 < len(set(held_out)) < len(data.names):
        raise ValueError(f"held_out must leave a domain to train on and hold one out, got {tuple(held_out)}")
    train: list[Domain] = []
    validation: list[Domain] = []
    test: list[Domain] = []
    for domain, part in zip(data.domains, parts(data, seed, dealing), strict=True):
        if domain.name in held_out:
            test.append(domain if part.tested is None else domain.part(part.tested))
        else:
            train.append(domain.part(part.both if refit else part.trained))
            if not refit:
                validation.append(domain.part(part.validated))
    for what, found in (("training", train), ("validation", validation), ("test", test)):
        for domain in found:
            if not len(domain):
                raise ValueError(f"domain {domain.name!r} has no {what} examples with seed {seed}: it is too small")
    return Split(
        inputs=torch.cat([domain.inputs for domain in train]),
        labels=torch.cat([domain.labels for domain in train]),
        domains=torch.cat([torch.full((len(domain),), number) for number, domain in enumerate(train)]),
        validation=tuple(validation),
        held_out=tuple(test),
    )


@dataclass(frozen=True)
class Parts:
    """Of one domain, by number or by mask.

    Attributes:
        trained, validated: Where the domain trains.
        tested: Where it is held out; None for all of it.
    """

    trained: Tensor
    validated: Tensor
    tested: Tensor | None

    @property
    def both(self) -> Tensor:
        """Where a refit trains."""
        if self.trained.dtype == torch.bool:
            return self.trained | self.validated
        return torch.cat([self.trained, self.validated])


def parts(data: MultiDomainData, seed: int, dealing: Dealing = "hashed") -> list[Parts]:
    """How every domain is parted with a seed, whichever are held out.

    Raises:
        ValueError: if groups that stand in several domains are too few.
    """
    if any(domain.groups is None for domain in data.domains):
        return [Parts(*_train_and_validation(domain, seed), tested=None) for domain in data.domains]
    crossed, counts = groups_stand_in_several(data), fold_counts(data, dealing)
    if crossed and min(counts.values()) < CROSSED_LEAST:
        raise ValueError(
            f"domain {min(counts, key=counts.__getitem__)!r} has {min(counts.values())} groups, and groups stand in "
            f"several domains: training, validation and test need {CROSSED_LEAST} at least; merge or drop the domain"
        )
    found = []
    for name, folds in folds_of(data, dealing).items():
        validated, tested = folds == (seed + 1) % counts[name], folds == seed % counts[name]
        hidden = validated | tested if crossed else validated
        found.append(Parts(~hidden, validated, tested if crossed else None))
    return found


def _train_and_validation(domain: Domain, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed_from("split", domain.name, seed))
    order = torch.randperm(len(domain), generator=generator)
    cut = round(VALIDATION_FRACTION * len(domain))
    return order[cut:], order[:cut]


def fitted(split: Split, fit: Fit | None) -> Split:
    """The split with its inputs transformed by what `fit` learns from the training parts."""
    if fit is None:
        return split
    transform = fit(split.inputs, split.labels)

    def apply(domains: tuple[Domain, ...]) -> tuple[Domain, ...]:
        return tuple(replace(domain, inputs=transform(domain.inputs)) for domain in domains)

    return replace(
        split,
        inputs=transform(split.inputs),
        validation=apply(split.validation),
        held_out=apply(split.held_out),
    )


def batches(kind: Batches, domains: Tensor, batch_size: int, splits: int, seed: int) -> Iterator[Tensor]:
    """Index tensors without end, a fresh order in each pass over the data; `batch_size` examples are a mini-batch.

    "single-domain" ``[batch_size]``: from one domain each, every domain `splits` times per roll-out.
    "joint" ``[domains, batch_size]``: the same mini-batches, taken together as soon as there is one of every domain.
    "pooled" ``[batch_size]``: from all domains.

    Where a domain (for "pooled": all of them together) has fewer examples than a roll-out (a mini-batch) takes, they
    are drawn with repetition: each equally often in a pass, so many times that a pass is enough.
    """
    generator = torch.Generator().manual_seed(seed)
    if kind == "pooled":
        times = -(-batch_size // len(domains))
        while True:
            order = torch.randperm(times * len(domains), generator=generator) % len(domains)
            yield from order[: len(order) // batch_size * batch_size].split(batch_size)
    rows = _repeated(domains, batch_size * splits)
    sampler = pgrad.DomainBatchSampler(
        domains[rows], batch_size * splits, splits=splits, generator=generator, mode="infinite"
    )
    single = (rows[torch.tensor(index)] for index in sampler)
    if kind == "single-domain":
        yield from single
    while True:
        together = itertools.islice(single, len(sampler.domain_ids))
        yield torch.stack(sorted(together, key=lambda index: int(domains[index[0]])))


def repetition(kind: Batches, domains: Tensor, batch_size: int, splits: int) -> list[float]:
    """How often a roll-out goes through the examples of each domain; a "pooled" mini-batch through all of them.

    Example:
        >>> domains = torch.tensor([0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1])
        >>> repetition("joint", domains, batch_size=3, splits=2), repetition("pooled", domains, 3, 2)
        ([2.0, 0.5], [0.2])
    """
    if kind == "pooled":
        return [batch_size / len(domains)]
    return [batch_size * splits / int(number) for number in domains.unique(return_counts=True)[1]]


def _repeated(domains: Tensor, taken: int) -> Tensor:
    """The examples that a pass goes through: each of a domain as often as it takes to have `taken` of it."""
    rows = torch.arange(len(domains))
    more = [rows]
    for number in domains.unique():
        own = rows[domains == number]
        more += [own] * (-(-taken // len(own)) - 1)
    return torch.cat(more)
