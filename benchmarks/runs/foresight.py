"""What can be told of runs before they begin: which cannot be done, and what is done otherwise than expected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.datasets import DatasetEntry, Domain, MultiDomainData
from benchmarks.runs.config import Settings
from benchmarks.runs.folds import FOLDS, dealing_of, fold_counts, groups_stand_in_several
from benchmarks.runs.judging import Judging, judging, require_classes, weighted
from benchmarks.runs.protocol import Parts, parts

Sets = Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Foreseen:
    """One thing, in a sentence with the names of the domains.

    Attributes:
        text: The sentence, with what to do.
        fatal: Runs will fail, or their scores are not defined.
    """

    text: str
    fatal: bool = False


def foresee(
    name: str, entry: DatasetEntry, data: MultiDomainData, settings: Settings, held_out: Sets, seeds: Iterable[int]
) -> list[Foreseen]:
    """All there is to say about runs on a data set, what is fatal first.

    Args:
        name: Of the data set.
        held_out: The sets of domains that runs leave out.
        seeds: Of the runs.
    """
    dealing = dealing_of(name, settings.folds)
    try:
        require_classes(settings, quantity=data.domains[0].labels.is_floating_point())
        weighted(settings, entry, data.domains[0].labels, data.n_outputs)
        splits = {seed: dict(zip(data.names, parts(data, seed, dealing), strict=True)) for seed in seeds}
    except ValueError as error:
        return [Foreseen(f"{error}.", fatal=True)]
    found = [*_empty(data, splits, held_out), *_undefined(data, entry, settings, splits, held_out)]
    if any(domain.groups is not None for domain in data.domains):
        found += _few_groups(fold_counts(data, dealing))
        if groups_stand_in_several(data):
            found.append(_crossed(data, splits))
    found += [*_repeated(data, settings, splits, held_out), *_unseen_classes(data, held_out)]
    return sorted(found, key=lambda one: not one.fatal)


def foresee_alone(name: str, entry: DatasetEntry, data: MultiDomainData) -> list[Foreseen]:
    """The same for the default settings: each domain held out alone, three seeds."""
    return foresee(name, entry, data, Settings(), [(domain,) for domain in data.names], range(3))


Splits = Mapping[int, Mapping[str, Parts]]


def _size(part: Tensor) -> int:
    """Of numbers or of a mask."""
    return int(part.sum()) if part.dtype == torch.bool else len(part)


def _training(data: MultiDomainData, held_out: Sets) -> list[Domain]:
    """The domains that some run trains on."""
    return [domain for domain in data.domains if any(domain.name not in names for names in held_out)]


def _tested(data: MultiDomainData, held_out: Sets) -> list[Domain]:
    return [domain for domain in data.domains if any(domain.name in names for names in held_out)]


def _listed(numbers: Iterable[int]) -> str:
    found = list(numbers)
    return ("seed " if len(found) == 1 else "seeds ") + ", ".join(map(str, found))


def _empty(data: MultiDomainData, splits: Splits, held_out: Sets) -> Iterable[Foreseen]:
    for what, domains in (
        ("trained", _training(data, held_out)),
        ("validated", _training(data, held_out)),
        ("tested", _tested(data, held_out)),
    ):
        for domain in domains:
            chosen = {seed: getattr(own[domain.name], what) for seed, own in splits.items()}
            bad = [seed for seed, part in chosen.items() if part is not None and not _size(part)]
            if bad:
                word = {"trained": "training", "validated": "validation", "tested": "test"}[what]
                groups = "" if domain.groups is None else f" in {len(domain.groups.unique())} groups"
                remedy = "leave it out or merge it with another"
                if domain.groups is not None and len(domain.groups.unique()) > 1:
                    remedy = f"--folds balanced deals groups evenly; else {remedy}"
                yield Foreseen(
                    f"Domain {domain.name!r} ({len(domain)} examples{groups}) has no {word} examples with "
                    f"{_listed(bad)}: these runs fail; {remedy}.",
                    fatal=True,
                )


def _undefined(
    data: MultiDomainData, entry: DatasetEntry, settings: Settings, splits: Splits, held_out: Sets
) -> Iterable[Foreseen]:
    """Figures that are not defined where a part has one class only."""
    if data.domains[0].labels.is_floating_point():
        return
    judge = judging(settings, entry)
    chooser = settings.metric or "the metric"
    for label, metric in ((chooser, judge.metric), *judge.measures.items()):
        one = Judging(metric, {})
        for domain in data.domains:
            for where, labels, tested in _places(domain, splits, held_out):
                if len(labels) and not one.is_defined(labels, data.n_outputs):
                    fatal = tested and metric is judge.metric
                    what = "its figure is left out"
                    if metric is judge.metric:
                        what = (
                            "these runs have no score; choose another metric"
                            if tested
                            else "the other training domains choose there"
                        )
                    yield Foreseen(
                        f"{label} is not defined on {where} of domain {domain.name!r}: all {len(labels)} examples are "
                        f"of class {int(labels[0])} (counted from 0); {what}.",
                        fatal,
                    )


def _places(domain: Domain, splits: Splits, held_out: Sets) -> Iterable[tuple[str, Tensor, bool]]:
    """What a domain is judged on: a name, the labels, and whether it is tested there."""
    trains = any(domain.name not in names for names in held_out)
    is_tested = any(domain.name in names for names in held_out)
    for seed, own in splits.items():
        part = own[domain.name]
        if trains:
            yield f"the validation part with seed {seed}", domain.labels[part.validated], False
        if is_tested and part.tested is not None:
            yield f"the test part with seed {seed}", domain.labels[part.tested], True
    if is_tested and all(own[domain.name].tested is None for own in splits.values()):
        yield "the whole", domain.labels, True


def _few_groups(counts: Mapping[str, int]) -> Iterable[Foreseen]:
    few = {name: number for name, number in counts.items() if 1 < number < FOLDS}
    if few:
        text = ", ".join(f"{name!r} ({number})" for name, number in few.items())
        yield Foreseen(
            f"Fewer than {FOLDS} folds of groups in {text}: so large a part (one of that number) validates, and seeds "
            "repeat their folds."
        )


def _crossed(data: MultiDomainData, splits: Splits) -> Foreseen:
    tested: dict[str, list[int]] = {}
    for own in splits.values():
        for name, part in own.items():
            tested.setdefault(name, []).append(0 if part.tested is None else _size(part.tested))
    sizes = ", ".join(
        f"{domain.name} {min(tested[domain.name])} to {max(tested[domain.name])} of {len(domain)}"
        for domain in data.domains
    )
    return Foreseen(
        "Groups stand in several domains: a held-out domain is tested only on the fold of groups that no training "
        f"domain shows, seed s on fold s ({sizes}). Take {FOLDS} seeds to test all of it."
    )


def _repeated(data: MultiDomainData, settings: Settings, splits: Splits, held_out: Sets) -> Iterable[Foreseen]:
    taken = settings.batch_size * settings.splits
    sizes = {
        domain.name: min(_size(own[domain.name].trained) for own in splits.values())
        for domain in _training(data, held_out)
    }
    small = {name: size for name, size in sizes.items() if 0 < size < taken}
    if small:
        text = ", ".join(
            f"{name!r} ({size} training examples, {taken / size:.1f} times)" for name, size in small.items()
        )
        enough = min(small.values()) // settings.splits
        remedy = f"--batch-size {enough} takes none twice" if enough else "a smaller --splits takes fewer"
        yield Foreseen(
            "Drawn with repetition (by algorithms whose mini-batches are not pooled over the domains): a roll-out "
            f"takes {taken} examples of every domain (batch_size {settings.batch_size} x "
            f"splits {settings.splits}), and goes through those of {text}; {remedy}."
        )


def _unseen_classes(data: MultiDomainData, held_out: Sets) -> Iterable[Foreseen]:
    if data.domains[0].labels.is_floating_point():
        return
    shown = {domain.name: set(domain.labels.unique().tolist()) for domain in data.domains}
    for names in held_out:
        trained = set().union(*(own for name, own in shown.items() if name not in names))
        for name in names:
            if missing := sorted(shown[name] - trained):
                yield Foreseen(
                    f"Without {' and '.join(map(repr, names))} no training domain shows class "
                    f"{', '.join(map(str, missing))} (counted from 0), which {name!r} has: no model can know it."
                )
