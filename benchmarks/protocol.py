"""The rules of the comparison: leave one domain out, split the others, select on what training may see.

Every domain is held out in turn.  Each remaining domain is split into 80 % for training and 20 % for validation.  The
*training-domain validation* accuracy (the mean over the training domains, each counting the same) chooses among the
points of random search and among the checkpoints along training.  The held-out domain is measured at every checkpoint
so that curves can be drawn; it takes no part in any choice.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import pgrad
from benchmarks.algorithms import Batches
from benchmarks.datasets import Domain, MultiDomainData
from benchmarks.seeds import seed_from

VALIDATION_FRACTION = 0.2


@dataclass(frozen=True)
class Split:
    """The data of one run.

    Attributes:
        inputs, labels: The training parts of the training domains, one after another.
        domains: For each training example the number of its domain, from 0.
        validation: The validation parts of the training domains.
        held_out: The held-out domain, whole.
    """

    inputs: Tensor
    labels: Tensor
    domains: Tensor
    validation: tuple[Domain, ...]
    held_out: Domain


def leave_one_out(data: MultiDomainData, held_out: str, seed: int) -> Split:
    """Splits `data` for one held-out domain.  A domain is split in the same way whichever other one is held out."""
    if held_out not in data.names:
        raise ValueError(f"held_out must be one of the domains {data.names}, found {held_out!r}")
    train: list[Domain] = []
    validation: list[Domain] = []
    for domain in data.domains:
        if domain.name != held_out:
            generator = torch.Generator().manual_seed(seed_from("split", domain.name, seed))
            order = torch.randperm(len(domain), generator=generator)
            cut = round(VALIDATION_FRACTION * len(domain))
            validation.append(Domain(domain.name, domain.inputs[order[:cut]], domain.labels[order[:cut]]))
            train.append(Domain(domain.name, domain.inputs[order[cut:]], domain.labels[order[cut:]]))
    return Split(
        inputs=torch.cat([domain.inputs for domain in train]),
        labels=torch.cat([domain.labels for domain in train]),
        domains=torch.cat([torch.full((len(domain),), number) for number, domain in enumerate(train)]),
        validation=tuple(validation),
        held_out=data.domains[data.names.index(held_out)],
    )


def batches(kind: Batches, domains: Tensor, batch_size: int, splits: int, seed: int) -> Iterator[Tensor]:
    """Index tensors without end, a fresh order in each pass over the data; `batch_size` examples are a mini-batch.

    "single-domain" ``[batch_size]``: from one domain each, every domain `splits` times per roll-out.
    "joint" ``[domains, batch_size]``: the same mini-batches, taken together as soon as there is one of every domain.
    "pooled" ``[batch_size]``: from all domains.
    """
    generator = torch.Generator().manual_seed(seed)
    if kind == "pooled":
        while True:
            order = torch.randperm(len(domains), generator=generator)
            yield from order[: len(order) // batch_size * batch_size].split(batch_size)
    sampler = pgrad.DomainBatchSampler(
        domains, batch_size * splits, splits=splits, generator=generator, mode="infinite"
    )
    single = (torch.tensor(index) for index in sampler)
    if kind == "single-domain":
        yield from single
    while True:
        together = itertools.islice(single, len(sampler.domain_ids))
        yield torch.stack(sorted(together, key=lambda index: int(domains[index[0]])))


@dataclass(frozen=True)
class Selected:
    """The point and checkpoint that validation chose, and what they reach on the held-out domain."""

    point: int
    step: int
    validation: float
    held_out: float


def best_checkpoint(curves: Mapping[str, list[float]]) -> dict[str, float]:
    """The checkpoint with the highest validation accuracy; the earliest of equals."""
    best = max(range(len(curves["step"])), key=lambda i: (curves["validation"][i], -i))
    return {name: curves[name][best] for name in ("step", "validation", "held_out")}


def select(records: Iterable[Mapping[str, Any]]) -> Selected | None:
    """The best point among the finished runs of one algorithm, seed and held-out domain; the lowest of equals.

    None if no run finished.
    """
    finished = [record for record in records if record["status"] == "finished"]
    if not finished:
        return None
    best = max(finished, key=lambda record: (record["selection"]["validation"], -record["config"]["point"]))
    return Selected(point=best["config"]["point"], **best["selection"])
