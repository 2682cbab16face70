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

from domainbed_ext import compat, images, miniature, own, values
from domainbed_ext.errors import Refusal, closest

__all__ = ["Job", "check", "check_sizes", "guard_loaders", "parse_hparams"]

_NEED_GPU = ("RDM", "TRM")  # they call .cuda() themselves
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
    task: str = "domain_generalization"
    uda_holdout_fraction: float | None = None  # None: DomainBed's sweep has no such argument
    steps: int | None = None
    checkpoint_freq: int | None = None
    seed: int = 0

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
            a["task"],
            a.get("uda_holdout_fraction"),
            a.get("steps"),
            a.get("checkpoint_freq"),
            a["seed"],
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


def check(jobs: Sequence[Job], trust_images: bool = False) -> None:
    """Everything that can be known before training; pictures are read once unless they are trusted.

    Raises:
        Refusal: with the first thing that is wrong, and what to do about it.
    """
    check_words(jobs)
    for data_dir, dataset in dict.fromkeys((job.data_dir, job.dataset) for job in jobs):
        _check_data(data_dir, dataset, trust_images)
    for job in jobs:
        _check_batch(job)
    for algorithm in dict.fromkeys(job.algorithm for job in jobs):
        if algorithm in _NEED_GPU and not torch.cuda.is_available():
            raise Refusal(f"{algorithm} calls .cuda() itself and needs a GPU, but torch sees none; leave it out")


def check_words(jobs: Sequence[Job]) -> None:
    """What can be known without the data.

    Raises:
        Refusal: as `check`.
    """
    for job in jobs:
        _check_names(job)
        _check_numbers(job)
        _check_test_envs(job)
    _check_hparams(jobs)


def _check_names(job: Job) -> None:
    known = [n for n, v in vars(datasets).items() if isinstance(v, type) and getattr(v, "ENVIRONMENTS", None)]
    if job.dataset not in known:
        hint = closest(job.dataset, known)
        raise Refusal(
            f"--dataset {job.dataset} is unknown{hint}; known: {', '.join(known)}, or folder:PATH for your own"
        )
    known = [n for n, v in vars(algorithms).items() if isinstance(v, type) and issubclass(v, algorithms.Algorithm)]
    if job.algorithm not in known:
        hint = closest(job.algorithm, known)
        raise Refusal(f"--algorithm {job.algorithm} is unknown{hint}; known: {', '.join(algorithms.ALGORITHMS)}")


def _check_test_envs(job: Job) -> None:
    names = datasets.get_dataset_class(job.dataset).ENVIRONMENTS
    envs = set(job.test_envs)
    if len(envs) != len(job.test_envs) or not envs <= set(range(len(names))) or len(envs) == len(names):
        numbered = ", ".join(f"{i}: {name}" for i, name in enumerate(names))
        rest = "; one domain at least must be left to train on" if len(envs) == len(names) else ""
        raise Refusal(
            f"--test_envs must be some of {job.dataset}'s domains ({numbered}), got {list(job.test_envs)}{rest}"
        )


def _check_numbers(job: Job) -> None:
    for name in ("steps", "checkpoint_freq", "holdout_fraction", "uda_holdout_fraction"):
        values.check_argument(name, getattr(job, name))
    for name in ("hparams_seed", "trial_seed", "seed"):
        values.check_argument(name, getattr(job, name))
    tasks = ("domain_generalization", "domain_adaptation")
    if job.task not in tasks:
        raise Refusal(f"--task must be {' or '.join(tasks)}, got {job.task!r}{closest(job.task, tasks)}")
    if job.task == "domain_adaptation" and job.uda_holdout_fraction is None:
        raise Refusal(
            "--task domain_adaptation needs --uda_holdout_fraction, which DomainBed's sweep cannot give to its jobs, "
            "so that all would fail; train one by one: train --task domain_adaptation --uda_holdout_fraction 0.5"
        )
    if job.task == "domain_adaptation" and not job.uda_holdout_fraction:
        raise Refusal(
            "--task domain_adaptation needs unlabelled images of the test domains, and --uda_holdout_fraction is 0: "
            "write, for example, --uda_holdout_fraction 0.5"
        )


def _check_hparams(jobs: Sequence[Job]) -> None:
    pairs = list(dict.fromkeys((job.algorithm, job.dataset) for job in jobs))
    defaults = {name: value for pair in pairs for name, value in values.known(*pair).items()}
    for name, value in {n: v for job in jobs for n, v in job.given.items()}.items():
        if name in defaults:
            for pair in pairs:
                _check_value(name, value, *pair)
            continue
        users = values.users(name, jobs[0].dataset)
        if not users:
            known = ", ".join(defaults)
            raise Refusal(f"--hparams: no algorithm knows {name!r}{closest(name, defaults)}; known: {known}")
        if len(jobs) > 1:
            print(f"--hparams: {name!r} has no effect here: it belongs to {', '.join(users)}", file=sys.stderr)
    for job in jobs:
        _check_backbone(job, job.hparams())


def _check_value(name: str, value: Any, algorithm: str, dataset: str) -> None:
    known = values.known(algorithm, dataset)
    if name in known:
        drawn = [hparams_registry.random_hparams(algorithm, dataset, seed) for seed in (1, 2, 3)]
        values.check_value(name, value, known[name], [each[name] for each in drawn if name in each])


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


def _check_data(data_dir: str | None, dataset: str, trust_images: bool) -> None:
    if dataset.startswith("Debug"):
        return
    if own.is_own(dataset):
        own.tell(dataset)
        return
    if not data_dir:
        raise Refusal(f"--data_dir must be given: the folder that holds {dataset}")
    folder = Path(data_dir, _FOLDERS.get(dataset, ""))
    get = f"get {dataset} as DomainBed's README says, or make a tiny stand-in: python -m domainbed_ext miniature DIR"
    if dataset not in _FOLDERS:
        _check_other(Path(data_dir), dataset, get)
        return
    if not folder.is_dir():
        raise Refusal(f"{dataset} must be in {folder}, which is not a folder; {get}")
    tree = images.look_at(folder)
    environments = datasets.get_dataset_class(dataset).ENVIRONMENTS
    found = list(tree.classes)
    if len(found) != len(environments):
        inner = len(tree.classes[found[0]]) if len(found) == 1 else 0
        if inner == len(environments):
            get = f"they are one level too deep: give a folder in which {folder.name} is what {found[0]} is now"
        raise Refusal(
            f"{folder} must hold {len(environments)} folders, one per domain of {dataset}, got {found}; {get}"
        )
    usual = miniature.LAYOUTS[dataset][1] if dataset in miniature.LAYOUTS else found
    if [name.casefold() for name in found] != [name.casefold() for name in usual]:
        names = ", ".join(f"{short}: {name}" for short, name in zip(environments, found, strict=True))
        print(
            f"{dataset}: its folders have other names than usual ({', '.join(usual)}); DomainBed takes them in the "
            f"order of their names, so that in its tables they are {names}",
            file=sys.stderr,
        )
    if not trust_images:
        images.check_pictures(tree, dataset)


def _check_other(data_dir: Path, dataset: str, get: str) -> None:
    """MNIST is downloaded."""
    if dataset.startswith(("WILDS", "Spawrious")) and not data_dir.is_dir():
        raise Refusal(f"--data_dir {data_dir} is not a folder; {get}")
    if dataset in compat.WILDS:
        compat.wilds_dataset(dataset, str(data_dir))
    if dataset.startswith("Spawrious") and not (data_dir / "0").is_dir():
        raise Refusal(f"{dataset} must be in {data_dir / '0'}/LOCATION/CLASS, which is not a folder; {get}")


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
