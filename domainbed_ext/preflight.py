"""What makes DomainBed hang, fail late or train something else than was asked for is refused before it starts."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from domainbed import algorithms, datasets, hparams_registry
from domainbed.lib import misc

from domainbed_ext import compat
from domainbed_ext.errors import Refusal, closest

__all__ = ["Job", "check", "check_sizes", "guard_loaders", "parse_hparams"]

_NEED_GPU = ("RDM", "TRM")  # they call .cuda() themselves
_MLP = ("mlp_width", "mlp_depth", "mlp_dropout")  # read by the network of flat inputs, defined for DANN and CDANN
_FOLDERS = {  # of the data folder
    "VLCS": "VLCS",
    "PACS": "PACS",
    "DomainNet": "domain_net",
    "OfficeHome": "office_home",
    "TerraIncognita": "terra_incognita",
    "SVIRO": "sviro",
}


@dataclass(frozen=True)
class Job:
    """What a train job is asked to do."""

    dataset: str
    algorithm: str
    test_envs: tuple[int, ...]
    data_dir: str | None
    given: dict[str, Any]  # hyper-parameters of --hparams
    holdout_fraction: float
    hparams_seed: int
    trial_seed: int

    @classmethod
    def of(cls, args: Any) -> Job:
        """From parsed arguments, or the dict that DomainBed's sweep makes of them."""
        a = args if isinstance(args, dict) else vars(args)
        return cls(
            a["dataset"],
            a["algorithm"],
            tuple(a["test_envs"]),
            a["data_dir"],
            parse_hparams(a.get("hparams")),
            a["holdout_fraction"],
            a["hparams_seed"],
            a["trial_seed"],
        )

    def hparams(self) -> dict[str, Any]:
        """As train.py makes them."""
        if self.hparams_seed == 0:
            drawn = hparams_registry.default_hparams(self.algorithm, self.dataset)
        else:
            seed = misc.seed_hash(self.hparams_seed, self.trial_seed)
            drawn = hparams_registry.random_hparams(self.algorithm, self.dataset, seed)
        return {**drawn, **self.given}


def parse_hparams(text: str | None) -> dict[str, Any]:
    """The dict of ``--hparams``.

    Raises:
        Refusal: if it is not a JSON object of plain values.
    """
    if not text:
        return {}
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise Refusal(f"""--hparams must be JSON such as '{{"lr": 1e-4}}', got {text!r}: {error}""") from error
    if not isinstance(given, dict) or not all(isinstance(v, (bool, int, float, str)) for v in given.values()):
        raise Refusal(f"--hparams must be a JSON object of numbers, strings, true and false, got {text!r}")
    return given


def check(jobs: Sequence[Job]) -> None:
    """Everything that can be known before data are read.

    Raises:
        Refusal: with the first thing that is wrong, and what to do about it.
    """
    for job in jobs:
        _check_names(job)
        _check_test_envs(job)
    _check_hparams(jobs)
    for data_dir, dataset in dict.fromkeys((job.data_dir, job.dataset) for job in jobs):
        _check_data(data_dir, dataset)
    for job in jobs:
        _check_batch(job)
    for algorithm in dict.fromkeys(job.algorithm for job in jobs):
        if algorithm in _NEED_GPU and not torch.cuda.is_available():
            raise Refusal(f"{algorithm} calls .cuda() itself and needs a GPU, but torch sees none; leave it out")


def _check_names(job: Job) -> None:
    known = [n for n, v in vars(datasets).items() if isinstance(v, type) and getattr(v, "ENVIRONMENTS", None)]
    if job.dataset not in known:
        raise Refusal(f"--dataset {job.dataset} is unknown{closest(job.dataset, known)}; known: {', '.join(known)}")
    known = [n for n, v in vars(algorithms).items() if isinstance(v, type) and issubclass(v, algorithms.Algorithm)]
    if job.algorithm not in known:
        hint = closest(job.algorithm, known)
        raise Refusal(f"--algorithm {job.algorithm} is unknown{hint}; known: {', '.join(algorithms.ALGORITHMS)}")


def _check_test_envs(job: Job) -> None:
    names = datasets.get_dataset_class(job.dataset).ENVIRONMENTS
    envs = set(job.test_envs)
    if len(envs) != len(job.test_envs) or not envs <= set(range(len(names))) or len(envs) == len(names):
        numbered = ", ".join(f"{i}: {name}" for i, name in enumerate(names))
        raise Refusal(f"--test_envs must be some of {job.dataset}'s domains ({numbered}), got {list(job.test_envs)}")


def _check_hparams(jobs: Sequence[Job]) -> None:
    defaults: dict[str, Any] = dict.fromkeys(_MLP, 0)
    for algorithm, dataset in dict.fromkeys((job.algorithm, job.dataset) for job in jobs):
        defaults |= hparams_registry.default_hparams(algorithm, dataset)
    for name, value in {n: v for job in jobs for n, v in job.given.items()}.items():
        if name in defaults:
            if _kind(value) != _kind(defaults[name]):
                raise Refusal(
                    f"--hparams: {name} must be a {_kind(defaults[name])} like {defaults[name]!r}, got {value!r}"
                )
            continue
        users = _users(name, jobs[0].dataset)
        if not users:
            known = ", ".join(defaults)
            raise Refusal(f"--hparams: no algorithm knows {name!r}{closest(name, defaults)}; known: {known}")
        if len(jobs) > 1:
            print(f"--hparams: {name!r} has no effect here: it belongs to {', '.join(users)}", file=sys.stderr)
    for job in jobs:
        h = job.hparams()
        for name in ("pgrad_splits", "pgrad_components"):
            if not (isinstance(h.get(name, 1), int) and h.get(name, 1) >= 1):
                raise Refusal(f"--hparams: {name} must be an int of at least 1, got {h[name]!r}")
        _check_backbone(job, h)


def _kind(value: Any) -> str:
    kinds: dict[str, Any] = {"true or false": bool, "number": (int, float), "string": str}
    return next(kind for kind, types in kinds.items() if isinstance(value, types))


@functools.cache
def _users(name: str, dataset: str) -> list[str]:
    return [a for a in algorithms.ALGORITHMS if name in hparams_registry.default_hparams(a, dataset)]


def _check_backbone(job: Job, hparams: dict[str, Any]) -> None:
    if hparams["ext_featurizer"]:
        compat.load_featurizer(hparams["ext_featurizer"])
        return
    source = hparams["ext_pretrained"]
    if source in ("download", "none") or job.dataset in ("Debug28", "RotatedMNIST", "ColoredMNIST"):
        return
    if hparams["resnet50_augmix"]:
        compat.weight_file(source, "resnet50.ram_in1k")
    elif not hparams["vit"]:
        compat.weight_file(source, "resnet18" if hparams["resnet18"] else "resnet50")


def _check_data(data_dir: str | None, dataset: str) -> None:
    if dataset.startswith("Debug"):
        return
    if not data_dir:
        raise Refusal(f"--data_dir must be given: the folder that holds {dataset}")
    folder = Path(data_dir, _FOLDERS.get(dataset, ""))
    get = f"get {dataset} as DomainBed's README says, or make a tiny stand-in: python -m domainbed_ext miniature DIR"
    if dataset not in _FOLDERS:
        if dataset.startswith(("WILDS", "Spawrious")) and not folder.is_dir():
            raise Refusal(f"--data_dir {data_dir} is not a folder; {get}")
        return  # MNIST is downloaded; the others say themselves what they lack, at once
    if not folder.is_dir():
        raise Refusal(f"{dataset} must be in {folder}, which is not a folder; {get}")
    expected = len(datasets.get_dataset_class(dataset).ENVIRONMENTS)
    found = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if len(found) != expected:
        raise Refusal(f"{folder} must hold {expected} folders, one per domain of {dataset}, got {found}; {get}")


def _check_batch(job: Job) -> None:
    h = job.hparams()
    if h["batch_size"] < h.get("pgrad_splits", 1):
        raise Refusal(
            f"batch_size={h['batch_size']} is cut into pgrad_splits={h['pgrad_splits']} parts, some of them empty: "
            f"""--hparams '{{"pgrad_splits": {h["batch_size"]}}}' or a larger batch_size"""
        )


# ------------------------------------------------------------------------------------------------- sizes of the data


def check_sizes(jobs: Iterable[Job]) -> None:
    """For a sweep, whose jobs would hang one by one: refuse a batch that some training split cannot fill.

    Raises:
        Refusal: for the first such job.
    """
    for job in jobs:
        h = job.hparams()
        sizes = _sizes(job.dataset, job.data_dir)
        for env, size in enumerate(sizes):
            held_out = int(size * job.holdout_fraction)
            if env not in job.test_envs and not h["class_balanced"]:
                _check_split(size - held_out, h["batch_size"], f"domain {env} of {job.dataset}")
            if held_out == 0:
                raise _no_holdout(f"domain {env} of {job.dataset}, with {size} images,")


@functools.cache
def _sizes(dataset: str, data_dir: str | None) -> list[int]:
    """Images of each domain, for data sets that are quickly counted; the others are far larger than any batch."""
    kind = datasets.get_dataset_class(dataset)
    if not issubclass(kind, (datasets.Debug, datasets.MultipleEnvironmentImageFolder)):
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
