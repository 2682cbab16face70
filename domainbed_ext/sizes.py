"""Batches that a training split cannot fill, for which DomainBed waits for ever; held-out splits without an image."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from domainbed import datasets

from domainbed_ext import own
from domainbed_ext.errors import Refusal
from domainbed_ext.preflight import Job

__all__ = ["check_sizes", "guard_loaders"]


def check_sizes(jobs: Iterable[Job]) -> None:
    """For a sweep, whose jobs would hang one by one: refuse a batch that some training split cannot fill.

    Raises:
        Refusal: for the first such job.
    """
    for job in jobs:
        h = job.hparams()
        sizes = _sizes(job.dataset, job.data_dir)
        names = datasets.get_dataset_class(job.dataset).ENVIRONMENTS
        for env, size in enumerate(sizes):
            where = f"domain {env} ({names[env]}) of {job.dataset}"
            held_out = int(size * job.holdout_fraction)
            if env not in job.test_envs and not h["class_balanced"]:
                _check_split(size - held_out, h["batch_size"], where)
            if held_out == 0:
                raise _no_holdout(f"{where}, with {size} images,")


@functools.cache
def _sizes(dataset: str, data_dir: str | None) -> list[int]:
    """Images of each domain, for data sets that are quickly counted; the others are far larger than any batch."""
    kind = datasets.get_dataset_class(dataset)
    if not own.is_own(dataset) and not issubclass(kind, (datasets.Debug, datasets.MultipleEnvironmentImageFolder)):
        return []
    return [len(env) for env in kind(data_dir, [], {"data_augmentation": False})]


def _check_split(size: int, batch_size: int, where: str) -> None:
    if batch_size > size:
        raise Refusal(
            f"batch_size={batch_size} is larger than the training split of {where}, {size} images: DomainBed would "
            f"""wait for ever; --hparams '{{"batch_size": {size}}}' or smaller"""
        )


def _no_holdout(where: str) -> Refusal:
    return Refusal(
        f"{where} has an empty held-out split, so that its accuracy cannot be computed: a larger --holdout_fraction"
    )


def guard_loaders(module: Any) -> None:
    """Let DomainBed's loaders refuse what would hang or fail: exact for every data set, once the data are there."""
    infinite, fast = module.InfiniteDataLoader, module.FastDataLoader
    if infinite.__module__ == __name__:
        return

    class InfiniteDataLoader(infinite):  # type: ignore[misc,valid-type]
        def __init__(self, dataset: Any, weights: Any, batch_size: int, num_workers: int) -> None:
            if weights is None:
                _check_split(len(dataset), batch_size, "a domain")
            infinite.__init__(self, dataset, weights, batch_size, num_workers)

    class FastDataLoader(fast):  # type: ignore[misc,valid-type]
        def __init__(self, dataset: Any, batch_size: int, num_workers: int) -> None:
            if len(dataset) == 0:
                raise _no_holdout("a domain")
            fast.__init__(self, dataset, batch_size, num_workers)

    module.InfiniteDataLoader, module.FastDataLoader = InfiniteDataLoader, FastDataLoader
