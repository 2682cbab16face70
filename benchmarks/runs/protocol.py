"""The rules of the comparison: leave domains out, split the others, select on what training may see.

Sets of domains are held out in turn: each one alone, or every two, three, ... of them. Each remaining domain is split
into 80 % for training and 20 % for validation, and the held-out ones are tested whole. Where examples come in groups
that must not be parted, the groups are dealt out to five folds once and for all (see `benchmarks.runs.folds`), and
seed s validates on fold s + 1 (modulo 5). If groups stand in several domains (the same concept in every style), a
held-out domain is tested on fold s, and no training domain shows that fold. What a data set fits, it fits on the
training parts. A domain whose training part is smaller than what a roll-out takes of it is drawn with repetition.

A *selection method* chooses the point of random search and the checkpoint along training:

- ``training-domain``: the highest mean accuracy on the validation parts of the training domains;
- ``last``: the same choice among the points, but always the final checkpoint;
- ``leave-one-domain-out``: cross-validation. For every training domain d there is a run that holds out d as well; the
  mean accuracy on those d, each by the run that has not seen it, chooses point and checkpoint;
- ``oracle``: the highest accuracy on the held-out domains themselves. It cheats: no method can choose better.

But for the oracle, the held-out domains take no part in any choice; they are measured at every checkpoint so that
curves can be drawn.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

import pgrad
from benchmarks.algorithms import Batches
from benchmarks.base.records import held_out_domains
from benchmarks.base.seeds import seed_from
from benchmarks.datasets import Domain, Fit, MultiDomainData
from benchmarks.runs.folds import CROSSED_LEAST, Dealing, fold_counts, folds_of, groups_stand_in_several

VALIDATION_FRACTION = 0.2

TRAINING_DOMAIN, LAST, LEAVE_ONE_OUT, ORACLE = "training-domain", "last", "leave-one-domain-out", "oracle"
METHODS = {
    TRAINING_DOMAIN: "validation parts of the training domains",
    LAST: "the same points, final checkpoint",
    LEAVE_ONE_OUT: "cross-validation over the training domains",
    ORACLE: "the held-out domains themselves: cheats",
}
"""Methods of selection, and on what they choose."""


@dataclass(frozen=True)
class Split:
    """The data of one run.

    Attributes:
        inputs, labels: The training parts of the training domains, one after another.
        domains: For each training example the number of its domain, from 0.
        validation: The validation parts of the training domains.
        held_out: The test parts of the held-out domains.
    """

    inputs: Tensor
    labels: Tensor
    domains: Tensor
    validation: tuple[Domain, ...]
    held_out: tuple[Domain, ...]


def leave_out(data: MultiDomainData, held_out: Collection[str], seed: int, dealing: Dealing = "hashed") -> Split:
    """Splits `data` for a set of held-out domains. A domain is split in the same way whichever others are held out.

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
            train.append(domain.part(part.trained))
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


@dataclass(frozen=True)
class Selected:
    """The point and checkpoint that a method chose, and what they reach on the held-out domains.

    Attributes:
        point: Of random search.
        step: Gradient evaluations at the checkpoint.
        validation: What the choice went by: the accuracy that was the highest.
        held_out: Mean accuracy on the held-out domains.
    """

    point: int
    step: float
    validation: float
    held_out: float


def checkpoints(curves: Mapping[str, list[float]]) -> dict[str, dict[str, Any]]:
    """The checkpoint that each method chooses which needs one run only."""
    index = {
        TRAINING_DOMAIN: _first_best(curves["validation"]),
        LAST: len(curves["step"]) - 1,
        ORACLE: _first_best(curves["held_out"]),
    }
    return {method: {**_checkpoint(curves, i), "oracle": method == ORACLE} for method, i in index.items()}


def _first_best(values: Sequence[float | None]) -> int:
    return max(range(len(values)), key=lambda i: (_rank(values[i]), -i))


def _rank(value: float | None) -> float:
    """What is not defined is the lowest."""
    return -math.inf if value is None or math.isnan(value) else value


def _checkpoint(curves: Mapping[str, list[float]], index: int) -> dict[str, float]:
    return {name: curves[name][index] for name in ("step", "validation", "held_out")}


def select(records: Iterable[Mapping[str, Any]], method: str = TRAINING_DOMAIN) -> Selected | None:
    """The best point among the finished runs of one algorithm, seed and held-out set; the lowest of equals.

    None if no run finished. Cross-validation needs other held-out sets as well: see `cross_validate`.
    """
    if method not in METHODS or method == LEAVE_ONE_OUT:
        raise ValueError(f"method must be one of {TRAINING_DOMAIN}, {LAST}, {ORACLE}, got {method!r}")
    finished = [record for record in records if record["status"] == "finished"]
    if not finished:
        return None
    by = "held_out" if method == ORACLE else "validation"
    chosen = [(record["config"]["point"], checkpoints(record["curves"])[method]) for record in finished]
    point, found = max(chosen, key=lambda pair: (_rank(pair[1][by]), -pair[0]))
    return Selected(point=point, step=found["step"], validation=found[by], held_out=found["held_out"])


def cross_validate(records: Iterable[Mapping[str, Any]], held_out: str) -> Selected | None:
    """Leave-one-domain-out validation among the finished runs of one data set, algorithm and seed.

    Checkpoints are compared by their number: runs with fewer training domains have shorter roll-outs. A point counts
    if its run and all the runs of its cross-validation finished; None if there is no such point.

    Args:
        records: Runs with every held-out set.
        held_out: The set to report on, as records name it.
    """
    outside = frozenset(held_out_domains(held_out))
    runs: dict[tuple[int, frozenset[str]], Mapping[str, Any]] = {
        (record["config"]["point"], frozenset(held_out_domains(record["config"]["held_out"]))): record
        for record in records
        if record["status"] == "finished"
    }
    chosen = []
    for (point, names), run in runs.items():
        if names != outside:
            continue
        inner = {name: runs.get((point, outside | {name})) for name in run["domain_curves"] if name not in outside}
        curves = [other["domain_curves"][name] for name, other in inner.items() if other is not None]
        if len(curves) == len(inner) and all(len(curve) == len(run["curves"]["step"]) for curve in curves):
            means = [math.nan if None in values else sum(values) / len(values) for values in zip(*curves, strict=True)]
            best = _first_best(means)
            chosen.append((means[best], -point, best, run["curves"]))
    if not chosen:
        return None
    validation, minus_point, best, found = max(chosen, key=lambda choice: choice[:2])
    return Selected(-minus_point, found["step"][best], validation, found["held_out"][best])


def select_all(records: Iterable[Mapping[str, Any]], method: str = TRAINING_DOMAIN) -> list[dict[str, Any]]:
    """What the method chose for each data set, algorithm, held-out set and seed, where it could choose.

    Runs that cross-validation added, with one more domain held out, give rows of their own under the other methods.

    Returns:
        Rows with ``dataset``, ``algorithm``, ``held_out``, ``seed``, ``method``, ``oracle``, ``point``, ``step``,
        ``validation_accuracy`` (what the choice went by) and ``held_out_accuracy``.
    """
    groups: dict[tuple[str, str, int], dict[str, list[Mapping[str, Any]]]] = {}
    for record in records:
        config = record["config"]
        group = groups.setdefault((config["dataset"], config["algorithm"], config["seed"]), {})
        group.setdefault(config["held_out"], []).append(record)
    rows = []
    for (dataset, algorithm, seed), sets in groups.items():
        for held_out, own in sets.items():
            if method == LEAVE_ONE_OUT:
                found = cross_validate(itertools.chain.from_iterable(sets.values()), held_out)
            else:
                found = select(own, method)
            if found is not None:
                rows.append(
                    {
                        "dataset": dataset,
                        "algorithm": algorithm,
                        "held_out": held_out,
                        "seed": seed,
                        "method": method,
                        "oracle": method == ORACLE,
                        "point": found.point,
                        "step": found.step,
                        "validation_accuracy": found.validation,
                        "held_out_accuracy": found.held_out,
                    }
                )
    return rows
