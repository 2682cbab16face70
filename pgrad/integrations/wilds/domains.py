"""The domains of a WILDS data set: combinations of its metadata fields, and single-domain batches of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pgrad.data import DomainBatchSampler, GroupBatchSampler, ResumableLoader
from pgrad.integrations.wilds._bridge import import_wilds
from pgrad.integrations.wilds._given import require_data, require_transform

__all__ = ["domain_ids", "domain_name", "grouper", "rollout_loader"]


def grouper(dataset: Any, fields: Sequence[str]) -> Any:
    """WILDS's own grouper for a combination of metadata fields, made of the whole data set.

    WILDS numbers the combinations with the first field of the *metadata* varying fastest, whatever the order in
    `fields`, but names them as if `fields` were in that order; so the order is mended first.

    Args:
        dataset: a WILDS data set, or a subset of one.
        fields: names from ``dataset.metadata_fields``, each once, in any order.

    Returns:
        A `wilds.common.grouper.CombinatorialGrouper`.

    Raises:
        ValueError: if there is no field, a field is unknown or listed twice, or has negative values.
        TypeError: if `fields` is a string, or `dataset` is no data set of WILDS but, say, torch's ``Subset`` of one.
    """
    require_data(dataset)
    import_wilds()
    from wilds.common.grouper import CombinatorialGrouper

    if isinstance(fields, str):
        raise TypeError(f"fields must be a list of names, got the string {fields!r}; write [{fields!r}]")
    known = list(dataset.metadata_fields)
    unknown = [field for field in fields if field not in known]
    if unknown or not fields or len(set(fields)) != len(fields):
        raise ValueError(f"fields must be some of {', '.join(map(repr, known))}, each once; got {list(fields)!r}")
    ordered = [field for field in known if field in fields]
    whole = getattr(dataset, "dataset", dataset)
    with warnings.catch_warnings():
        # Groups that cannot occur are no matter here: only those that do are ever drawn.
        warnings.filterwarnings("ignore", message="Minimum metadata value for CombinatorialGrouper is not 0")
        warnings.filterwarnings("ignore", message="CombinatorialGrouper: converting metadata")
        return CombinatorialGrouper(whole, ordered)


def domain_ids(dataset: Any, fields: Sequence[str]) -> Tensor:
    """The domain of every example: [n] ints, the ids that WILDS's grouper gives to the combinations of `fields`.

    The ids of a subset are those of the whole data set; combinations without an example have no id here.

    Args:
        dataset: a WILDS data set or a subset of one; the ids are for its examples.
        fields: as in `grouper`.
    """
    ids: Tensor = grouper(dataset, fields).metadata_to_group(dataset.metadata_array)
    return ids


def domain_name(dataset: Any, fields: Sequence[str], domain: int) -> str:
    """What an id of `domain_ids` stands for, for example ``"region = Asia, year = 2007"``."""
    name: str = grouper(dataset, fields).group_str(domain)
    return name


def rollout_loader(
    dataset: Any,
    fields: Sequence[str],
    batch_size: int,
    *,
    n_groups: int | None = None,
    splits: int = 1,
    distinct: bool = True,
    uniform: bool = True,
    infinite: bool = False,
    generator: torch.Generator | None = None,
    **loader_options: Any,
) -> ResumableLoader:
    """Single-domain batches ``(x, y, metadata)`` of a WILDS subset, in whole roll-outs.

    ``loader.batch_sampler`` is the sampler: its ``rollout_length`` is what the optimizer needs. ``loader.state_dict()``
    resumes, workers or not. The seed is drawn from `generator`; nothing is drawn from numpy, and nothing else from
    torch. The data set's own collate function is used. Batches of an unlabelled subset are ``(x, metadata)``.

    Args:
        dataset: the subset to train on, usually ``dataset.get_subset("train", transform=...)``.
        fields: metadata fields whose combinations are the domains, as in `grouper`.
        batch_size: examples of one domain in a roll-out; a step has a `splits`-th part of them.
        n_groups: domains in a roll-out, drawn anew for each. None for all that have an example, without repetition of
            examples within an epoch of a domain (`pgrad.DomainBatchSampler`); then each must fill a batch.
        splits: parts of a mini-batch, which is also the passes of a roll-out.
        distinct: whether the domains of a roll-out must differ.
        uniform: whether domains are drawn with the same probability, or in proportion to their numbers of examples.
        infinite: whether a loop has no end; else it takes about as many examples as the data set has.
        generator: where the seed is drawn; torch's global generator if None.
        **loader_options: for `torch.utils.data.DataLoader`, such as ``num_workers``.

    Raises:
        ValueError: for an argument out of its range, or if inputs are pictures or texts without a transform.
        TypeError: for an argument of another type.
    """
    ids = domain_ids(dataset, fields)
    sampler: DomainBatchSampler
    if n_groups is None:
        mode: Any = "infinite" if infinite else "max_size_cycle"
        sampler = DomainBatchSampler(ids, batch_size, splits, generator, mode=mode)
    else:
        sampler = GroupBatchSampler(
            ids, batch_size, n_groups, splits, generator, distinct=distinct, uniform=uniform, infinite=infinite
        )
    if "collate_fn" not in loader_options:
        require_transform(dataset)
    # The loader draws a seed for its workers from its generator each time; one of its own leaves all others alone.
    own = {"generator": torch.Generator(), "collate_fn": dataset.collate, **loader_options}
    return ResumableLoader(dataset, sampler, **own)
