"""From the configuration of a run to what the training loop drives."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from benchmarks.algorithms import ALGORITHMS, Setup
from benchmarks.base.errors import unknown
from benchmarks.base.seeds import seed_from
from benchmarks.runs import checkpoint
from benchmarks.runs.training import checkpoint_plan
from benchmarks.runs.view import Training
from benchmarks.studies.wilds import backbones
from benchmarks.studies.wilds.catalogue import DEFAULTS
from benchmarks.studies.wilds.config import TEST, Where, WildsConfig, part
from benchmarks.studies.wilds.inputs import augment, transform
from benchmarks.studies.wilds.judge import Judge
from benchmarks.studies.wilds.losses import LOSSES, batch_loss
from benchmarks.studies.wilds.stream import Stream
from pgrad import DomainBatchSampler, GroupBatchSampler
from pgrad.integrations import wilds

__all__ = ["Assembled", "assemble", "require_fitting", "schedule"]

_STACKED = ("cross_entropy", "mse")  # what algorithms that compare domains can take apart
_BY_DOMAIN = ("groupdro",)  # keeps a figure of each domain
_BY_VALIDATION_LOSS = ("erm-swad",)
_MIXES_INPUTS = ("mixup",)


@dataclass(frozen=True)
class _Setup(Setup):
    """With the loss of the data set, which may need the model itself.

    Attributes:
        kind: One of `benchmarks.studies.wilds.catalogue.Loss`.
    """

    kind: str = "cross_entropy"

    def risk(self, model: nn.Module, inputs: Tensor, labels: Any) -> Tensor:
        return batch_loss(self.kind, model, inputs, labels, inputs.device)


@dataclass(frozen=True)
class Assembled:
    """The objects of a run.

    Attributes:
        judge: Evaluates officially.
        training: What the loop drives.
        steps: Of the whole run.
        rollout_length: T, whether the algorithm makes roll-outs or not.
        random: The random states at the beginning of the training.
    """

    judge: Judge
    training: Training
    steps: int
    rollout_length: int
    random: dict[str, Any]

    @property
    def model(self) -> nn.Module:
        """The one in training."""
        return self.training.algorithm.model


def require_fitting(algorithm: str, dataset: str) -> None:
    """Refuses what cannot work, by name.

    Raises:
        ValueError: if there is no such algorithm, or it cannot be trained on the task.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(unknown(algorithm, ALGORITHMS))
    defaults = DEFAULTS[dataset]
    if ALGORITHMS[algorithm].batches == "joint" and defaults.loss not in _STACKED:
        raise ValueError(
            f"algorithm {algorithm} must have a task with {' or '.join(_STACKED)}; this one has {defaults.loss}"
        )
    if algorithm in _MIXES_INPUTS and defaults.inputs in ("text", "tokens"):
        raise ValueError(f"algorithm {algorithm} must have inputs that can be mixed; those of {dataset} are words")
    if algorithm in _BY_VALIDATION_LOSS and defaults.loss == "detection":
        raise ValueError(f"algorithm {algorithm} must have a loss on the validation split; a detector gives none")


def assemble(config: WildsConfig, where: Where) -> Assembled:
    """Reads the data set and builds the rest; the same objects for the same configuration.

    Raises:
        ValueError: if options do not fit the data set.
        OSError: if the data set or the weights are not there.
    """
    defaults = DEFAULTS[config.name]
    dataset = _dataset(config, where)
    prepare = transform(defaults, dataset, config.model, config.resolution, config.max_tokens)
    train = dataset.get_subset("train", transform=prepare)
    if not len(train):
        raise ValueError(f"dataset {config.name} has no training examples with these options")
    present = wilds.domain_ids(train, config.group_by).unique(return_counts=True)
    groups = _groups(config, present[1])
    n_domains = len(present[0]) if groups is None else groups
    length = config.splits * n_domains
    loader = _loader(config, where, train, groups)
    per_epoch = max(1, len(train) // config.batch_size)
    rollouts = -(-(config.steps or defaults.epochs * per_epoch) // length)
    every = min(rollouts, -(-(config.evaluate_every or per_epoch) // length))

    torch.manual_seed(seed_from("wilds", "initialisation", config.name, config.seed))
    example, _, _ = train[0]
    model = backbones.build(config.model, defaults, dataset, config.pretrained, example)
    if config.start_from:
        model.load_state_dict(checkpoint.load(_path(config.start_from))["model"])
    model = model.to(where.device)
    entry = ALGORITHMS[config.algorithm]
    cost = entry.evaluations(n_domains)
    setup = _Setup(
        rollout_length=length,
        n_domains=n_domains,
        updates=rollouts * length // cost,
        seed=seed_from("wilds", "algorithm", config.name, config.seed),
        loss=LOSSES.get(defaults.loss, LOSSES["cross_entropy"]),
        inner=_inner(defaults.optimizer, config.hparams["weight_decay"]),
        groups=functools.partial(_parameter_groups, optimizer=defaults.optimizer),
        max_norm=defaults.max_grad_norm,
        kind=defaults.loss,
    )
    algorithm = entry.factory(model, config.hparams, setup)
    number = {int(domain): number for number, domain in enumerate(present[0].tolist())}
    group = wilds.grouper(dataset, config.group_by)
    source = Stream(
        loader,
        n_domains if entry.batches == "joint" else 1,
        None if entry.batches == "pooled" else lambda metadata: number[int(group.metadata_to_group(metadata[:1]))],
        augment(defaults),
        where.device,
    )
    judge = Judge(config, where, dataset, prepare)
    training = Training(
        algorithm=algorithm,
        source=source,
        cost=cost,
        checkpoints=checkpoint_plan(rollouts, every, length, cost, config.algorithm),
        validation=(part(wilds.SELECTION_SPLIT, config.fold),),
        held_out=config.held_out,
        evaluate=judge.scores,
        validation_loss=lambda: judge.validation_loss(model, setup),
        rate=schedule(defaults.schedule, rollouts * length, per_epoch, defaults.warmup),
    )
    return Assembled(judge, training, rollouts * length, length, checkpoint.random_state())


def _path(start_from: str) -> Path:
    return Path(start_from.rpartition("#")[0])


def _dataset(config: WildsConfig, where: Where) -> Any:
    options: dict[str, Any] = {}
    if config.fold:
        options["fold"] = config.fold
    if config.split_scheme:
        options["split_scheme"] = config.split_scheme
    dataset = wilds.get_dataset(config.name, where.data, **options)
    for split in (wilds.SELECTION_SPLIT, TEST, *config.eval_splits):
        if split not in dataset.split_dict:
            raise ValueError(f"split of {config.name} must be one of {', '.join(dataset.split_dict)}; got {split!r}")
    return dataset


def _loader(config: WildsConfig, where: Where, train: Any, groups: int | None) -> DataLoader[Any]:
    generator = torch.Generator().manual_seed(seed_from("wilds", "order", config.name, config.seed))
    workers: dict[str, Any] = {"num_workers": where.workers, "pin_memory": where.device.startswith("cuda")}
    if ALGORITHMS[config.algorithm].batches != "pooled":
        loader = wilds.rollout_loader(
            train,
            config.group_by,
            config.batch_size * config.splits,
            n_groups=groups,
            splits=config.splits,
            distinct=config.distinct,
            uniform=config.uniform,
            infinite=True,
            generator=generator,
            **workers,
        )
        if config.algorithm in _BY_DOMAIN and isinstance(loader.batch_sampler, GroupBatchSampler):
            raise ValueError(
                f"algorithm {config.algorithm} must see the same domains all the time: --groups 0, not a drawn number"
            )
        return loader
    # Pooled batches are those of one domain that has everything: the same epochs, the same way to resume.
    size = min(config.batch_size, len(train))
    sampler = DomainBatchSampler([0] * len(train), size, generator=generator, mode="infinite")
    return DataLoader(train, batch_sampler=sampler, collate_fn=train.collate, generator=torch.Generator(), **workers)


def _groups(config: WildsConfig, counts: Tensor) -> int | None:
    """How many domains to draw for a roll-out; None for all, where each of them fills its mini-batch."""
    wanted = DEFAULTS[config.name].groups if config.groups is None else config.groups or None
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
    groups: list[dict[str, Any]] = [{"params": [p for n, p in named if n not in free]}]
    if free:
        groups.append({"params": [p for n, p in named if n in free], "weight_decay": 0.0})
    return groups


def schedule(kind: str, steps: int, per_epoch: int, warmup: int) -> Callable[[int], float]:
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
