"""What a run consists of: its configuration, and the parts that the configuration stands for."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from benchmarks.base.seeds import seed_from
from benchmarks.studies.wilds import backbones
from benchmarks.studies.wilds.catalogue import DEFAULTS
from benchmarks.studies.wilds.inputs import augment, transform
from benchmarks.studies.wilds.learners import Learner, Peer, Single, batches_of
from benchmarks.studies.wilds.methods import METHODS
from pgrad import DomainBatchSampler
from pgrad.integrations import wilds

__all__ = ["Config", "Parts", "assemble"]

_PLACE = ("data", "output", "predictions", "device", "workers", "checkpoint_every")


@dataclass(frozen=True)
class Config:
    """Everything that decides the result, and where it happens (`data` to `checkpoint_every`, which do not).

    The fields are the options of the command; see `benchmarks.commands.wilds`.
    """

    dataset: str
    algorithm: str
    seed: int
    fold: str
    split_scheme: str
    group_by: tuple[str, ...]
    metric: str
    steps: int
    backbone: str
    pretrained: bool
    start_from: str
    lr: float
    weight_decay: float
    outer_lr: float
    components: int
    batch_size: int
    groups: int | None
    splits: int
    distinct: bool
    uniform: bool
    resolution: int | None
    max_tokens: int
    eval_every: int
    eval_splits: tuple[str, ...]
    eval_batch_size: int
    data: Path
    output: Path
    predictions: Path
    device: str
    workers: int
    checkpoint_every: int

    def identity(self) -> dict[str, Any]:
        """The fields that decide the result, ready for JSON."""
        fields = {key: value for key, value in dataclasses.asdict(self).items() if key not in _PLACE}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()}


@dataclass
class Parts:
    """The objects of a run.

    Attributes:
        dataset: the whole data set.
        prepare: the transform of one input.
        augment: the random change of a training batch.
        model: on its device.
        learner: moves it.
        loader: training batches without end.
        sampler: of the loader, with its position.
        steps: of the whole run.
        eval_every: steps between evaluations.
        rollout_length: T; 1 for a method without roll-outs.
        grouper: WILDS's, for the domain of a batch.
    """

    dataset: Any
    prepare: Callable[[Any], Any] | None
    augment: Callable[[torch.Tensor], torch.Tensor] | None
    model: nn.Module
    learner: Learner
    loader: DataLoader[Any]
    sampler: DomainBatchSampler
    steps: int
    eval_every: int
    rollout_length: int
    grouper: Any


def assemble(config: Config) -> Parts:
    """Read the data set and build the rest; the same objects for the same configuration."""
    defaults = DEFAULTS[config.dataset]
    dataset = _dataset(config)
    prepare = transform(defaults, dataset, config.backbone, config.resolution, config.max_tokens)
    train = dataset.get_subset("train", transform=prepare)
    if not len(train):
        raise ValueError(f"dataset {config.dataset} has no training examples with these options")
    loader = _loader(config, train)
    sampler: Any = loader.batch_sampler
    per_epoch = max(1, len(train) // config.batch_size)
    steps = config.steps or defaults.epochs * per_epoch

    torch.manual_seed(seed_from("wilds", "initialisation", config.dataset, config.seed))
    example, _, _ = train[0]
    model = backbones.build(config.backbone, defaults, dataset, config.pretrained, example)
    if config.start_from:
        model.load_state_dict(torch.load(config.start_from, map_location="cpu", weights_only=True)["model"])
    model = model.to(config.device)
    length = sampler.rollout_length if batches_of(config.algorithm) != "pooled" else 1
    factor = _schedule(defaults.schedule, steps, per_epoch, defaults.warmup)
    learner = _learner(config, model, length, factor, steps, drawn=isinstance(sampler, wilds.GroupBatchSampler))
    every = config.eval_every or min(per_epoch, steps)
    group = wilds.grouper(dataset, config.group_by)
    return Parts(dataset, prepare, augment(defaults), model, learner, loader, sampler, steps, every, length, group)


def _learner(
    config: Config, model: nn.Module, length: int, factor: Callable[[int], float], steps: int, *, drawn: bool
) -> Learner:
    defaults, loss = DEFAULTS[config.dataset], wilds.task(config.dataset).loss
    if config.algorithm in METHODS:
        optimizer = METHODS[config.algorithm].build(
            _parameter_groups(model, defaults.optimizer),
            _inner(defaults.optimizer, config.weight_decay),
            config.lr,
            length,
            config.outer_lr,
            config.components,
        )
        return Single(model, optimizer, factor, loss, defaults.max_grad_norm)
    return Peer(
        config.algorithm,
        model,
        loss,
        {"lr": config.lr, "weight_decay": config.weight_decay},
        rollout_length=length,
        n_domains=max(1, length // config.splits),
        drawn=drawn,
        steps=steps,
        seed=seed_from("wilds", "algorithm", config.dataset, config.seed),
    )


def _dataset(config: Config) -> Any:
    options: dict[str, Any] = {}
    if config.dataset == "poverty":
        options["fold"] = config.fold
    if config.split_scheme:
        options["split_scheme"] = config.split_scheme
    dataset = wilds.get_dataset(config.dataset, config.data, **options)
    for split in (wilds.SELECTION_SPLIT, *config.eval_splits):
        if split not in dataset.split_dict:
            raise ValueError(f"split of {config.dataset} must be one of {', '.join(dataset.split_dict)}; got {split!r}")
    return dataset


def _loader(config: Config, train: Any) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(seed_from("wilds", "order", config.dataset, config.seed))
    workers: dict[str, Any] = {"num_workers": config.workers, "pin_memory": config.device.startswith("cuda")}
    if batches_of(config.algorithm) != "pooled":
        return wilds.rollout_loader(
            train,
            config.group_by,
            config.batch_size * config.splits,
            n_groups=_groups(config, train),
            splits=config.splits,
            distinct=config.distinct,
            uniform=config.uniform,
            infinite=True,
            generator=generator,
            **workers,
        )
    # Pooled batches are those of one domain that has everything: the same epochs, the same way to resume.
    size = min(config.batch_size, len(train))
    sampler = DomainBatchSampler([0] * len(train), size, generator=generator, mode="infinite")
    return DataLoader(train, batch_sampler=sampler, collate_fn=train.collate, generator=torch.Generator(), **workers)


def _groups(config: Config, train: Any) -> int | None:
    """How many domains to draw for a roll-out; None for all, where each of them fills its mini-batch."""
    _, counts = wilds.domain_ids(train, config.group_by).unique(return_counts=True)
    wanted = DEFAULTS[config.dataset].groups if config.groups is None else config.groups or None
    if config.groups is None and wanted is not None:
        wanted = min(wanted, len(counts))
    if wanted is None and counts.min() < config.batch_size * config.splits:
        return len(counts)  # all of them all the same, but small ones with repetitions
    return wanted


def _inner(name: str, weight_decay: float) -> Callable[..., Optimizer]:
    if name == "SGD":
        return functools.partial(torch.optim.SGD, momentum=0.9, weight_decay=weight_decay)
    kind = {"Adam": torch.optim.Adam, "AdamW": torch.optim.AdamW}[name]
    return functools.partial(kind, weight_decay=weight_decay)


def _parameter_groups(model: nn.Module, optimizer: str) -> list[dict[str, Any]]:
    """As in WILDS (examples/optimizer.py), AdamW does not decay biases and layer norms."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if optimizer != "AdamW":
        return [{"params": [p for _, p in named]}]
    free = [name for name, _ in named if "bias" in name or "LayerNorm.weight" in name]
    groups = [{"params": [p for n, p in named if n not in free]}]
    if free:
        groups.append({"params": [p for n, p in named if n in free], "weight_decay": 0.0})  # type: ignore[dict-item]
    return groups


def _schedule(kind: str, steps: int, per_epoch: int, warmup: int) -> Callable[[int], float]:
    """The factor of the learning rate at a step."""

    def factor(step: int) -> float:
        if kind == "epochs-0.96":
            return float(0.96 ** (step // per_epoch))
        if kind == "constant":
            return 1.0
        if step < warmup:
            return step / warmup
        left = max(0.0, (steps - step) / max(1, steps - warmup))
        return left if kind == "linear" else 0.5 * (1 + math.cos(math.pi * (1 - left)))

    return factor
