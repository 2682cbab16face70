"""Data sets one of whose domains nobody may look at: it stands as two halves, which every run of a study holds out.

On one half the best in hindsight is found, and on the other it is measured: else it would be the maximum of noise.
`benchmarks.studies.choose.unseen` is the plugin that registers these sets in workers.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import torch

from benchmarks.base.seeds import seed_from
from benchmarks.datasets import DATASETS, Domain, MultiDomainData


def halved(dataset: str, domain: str) -> tuple[str, tuple[str, str]]:
    """The name of a data set one of whose domains stands as two halves, and theirs.

    Example:
        >>> halved("rotated-digits", "15°")
        ('rotated-digits, 15° unseen', ('15°, 1 of 2', '15°, 2 of 2'))
    """
    return f"{dataset}, {domain} unseen", (f"{domain}, 1 of 2", f"{domain}, 2 of 2")


def built(dataset: str, domain: str) -> MultiDomainData:
    """The data: the other domains as they are, then the halves. Groups are not parted."""
    data = DATASETS[dataset].factory()
    domains = [own for own in data.domains if own.name != domain]
    (unseen,) = (own for own in data.domains if own.name == domain)
    first = _first(unseen)
    parts = [unseen.part(first), unseen.part(~first)]
    names = halved(dataset, domain)[1]
    domains += [replace(part, name=name) for part, name in zip(parts, names, strict=True)]
    return MultiDomainData(tuple(domains), data.n_outputs)


def _first(domain: Domain) -> torch.Tensor:
    """``[n]``, whether an example is in the first half."""
    groups = torch.arange(len(domain)) if domain.groups is None else domain.groups
    numbers, inverse = groups.unique(return_inverse=True)
    generator = torch.Generator().manual_seed(seed_from("halves", domain.name))
    first = torch.zeros(len(numbers), dtype=torch.bool)
    first[torch.randperm(len(numbers), generator=generator)[: len(numbers) // 2]] = True
    return first[inverse]


def register(dataset: str) -> None:
    """Enters the sets that are made of one, those that `halved` names; nothing is built before it is asked for."""
    entry = DATASETS[dataset]
    for domain in entry.domains:
        name, halves = halved(dataset, domain)
        others = tuple(each for each in entry.domains if each != domain)
        factory = functools.partial(built, dataset, domain)
        DATASETS[name] = replace(entry, factory=factory, domains=(*others, *halves), digest=None, origin=None)
