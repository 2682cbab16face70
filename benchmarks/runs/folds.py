"""Folds of examples that come in groups which must not be parted.

Two ways of dealing groups to folds:

- ``hashed``: by a hash of the group's number, whatever the sizes. Folds of few groups may be empty. Data sets of the
  registry have it, so that their figures stay what they are;
- ``balanced``: the largest group first, each to the fold that has the least of what it brings: examples of its domains
  and of its classes there. Where groups stay in one domain no fold of it is empty, for an empty one is always the next
  choice (scikit-learn's ``StratifiedGroupKFold`` does not promise that); a domain of fewer groups has fewer folds. A
  user's own data (``folder:``, ``table:``, ``decisions:``) have it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import block_diag
from torch import Tensor

from benchmarks.base.seeds import seed_from
from benchmarks.datasets import Domain, MultiDomainData

Dealing = Literal["hashed", "balanced"]
FOLDS = 5
CROSSED_LEAST = 3
"""Folds that crossed groups need: for training, validation and test."""


def dealing_of(dataset: str, folds: Dealing | None) -> Dealing:
    """What is set, or what data sets of this name have.

    Example:
        >>> dealing_of("table:patients.csv", None), dealing_of("emoji-styles4-32", None)
        ('balanced', 'hashed')
    """
    return folds or ("balanced" if dataset.partition(":")[0] in ("folder", "table", "decisions") else "hashed")


def groups_stand_in_several(data: MultiDomainData) -> bool:
    """Whether a group occurs in more than one domain."""
    found = [domain.groups.unique() for domain in data.domains if domain.groups is not None]
    return bool(found) and len(torch.cat(found).unique()) < sum(map(len, found))


def fold_counts(data: MultiDomainData, dealing: Dealing) -> dict[str, int]:
    """How many folds the groups of each domain are dealt to: five, or fewer where it has fewer groups."""
    if dealing == "hashed":
        return {domain.name: FOLDS for domain in data.domains}
    sizes = {domain.name: len(_groups(domain).unique()) for domain in data.domains}
    if groups_stand_in_several(data):
        sizes = dict.fromkeys(sizes, min(sizes.values()))  # a group has the same fold in every domain
    return {name: min(FOLDS, number) for name, number in sizes.items()}


def folds_of(data: MultiDomainData, dealing: Dealing) -> dict[str, Tensor]:
    """The fold of each example, ``[n]`` for every domain; a group that stands in several has the same in all.

    Raises:
        ValueError: if a domain has no groups.
    """
    if dealing == "hashed":
        return {domain.name: _hashed(_groups(domain)) for domain in data.domains}
    counts = fold_counts(data, dealing)
    if groups_stand_in_several(data):
        return _balanced(data.domains, next(iter(counts.values())))
    found: dict[str, Tensor] = {}
    for domain in data.domains:
        found |= _balanced((domain,), counts[domain.name])
    return found


def _groups(domain: Domain) -> Tensor:
    if domain.groups is None:
        raise ValueError(f"domain {domain.name!r} has no groups, and so no folds")
    return domain.groups


def _hashed(groups: Tensor) -> Tensor:
    numbers, inverse = groups.unique(return_inverse=True)
    return torch.tensor([seed_from("fold", number) % FOLDS for number in numbers.tolist()])[inverse]


def _balanced(domains: tuple[Domain, ...], n_folds: int) -> dict[str, Tensor]:
    groups = torch.cat([_groups(domain) for domain in domains])
    numbers, inverse = groups.unique(return_inverse=True)
    strata = _strata(domains)
    brings = np.zeros((len(numbers), strata.shape[1]))
    np.add.at(brings, inverse.numpy(), strata)
    weights = 1.0 / np.maximum(brings.sum(axis=0), 1.0) ** 2
    # Largest first; equals in an order that does not depend on how the file was sorted.
    ranks = [(-sum(brings[i]), seed_from("fold", number), number) for i, number in enumerate(numbers.tolist())]
    folds, holds = np.zeros(len(numbers), dtype=np.int64), np.zeros((n_folds, strata.shape[1]))
    for i in sorted(range(len(numbers)), key=ranks.__getitem__):
        # What the sum of the squared shares would grow by, but for what is the same in every fold.
        folds[i] = int((holds @ (weights * brings[i])).argmin())
        holds[folds[i]] += brings[i]
    dealt = torch.from_numpy(folds)[inverse].split([len(domain) for domain in domains])
    return {domain.name: fold for domain, fold in zip(domains, dealt, strict=True)}


def _strata(domains: tuple[Domain, ...]) -> NDArray[np.float64]:
    """``[examples, strata]``, 1 where the example is of it: every domain, and every class of a domain."""
    parts = []
    for domain in domains:
        columns = [np.ones(len(domain))]
        if not domain.labels.is_floating_point():
            labels = domain.labels.reshape(len(domain), -1)[:, 0]
            columns += [(labels == label).double().numpy() for label in labels.unique()]
        parts.append(np.stack(columns, axis=1))
    return np.asarray(block_diag(*parts), dtype=np.float64)
