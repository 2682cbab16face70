"""The last training: the choice of the empty set, on all examples of all domains.

It is a refit with nothing held out: the same initialisation, schedule and average as in the search, up to the roll-out
that was chosen. SWAD is told the mean of the validation losses of the runs that the choice was made by. ``train.py`` in
the folder is the same in plain torch and pgrad (`benchmarks.studies.choose.script`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.algorithms import ALGORITHMS, Setup
from benchmarks.base.losses import Loss
from benchmarks.base.records import ASKED
from benchmarks.base.seeds import seed_from
from benchmarks.datasets import DATASETS, MultiDomainData
from benchmarks.models import build
from benchmarks.models.backbones import Backbone
from benchmarks.models.tuning import Tuned
from benchmarks.runs.config import RunConfig
from benchmarks.runs.features import FrozenBackbone, featured, frozen_backbone
from benchmarks.runs.fits import fit_of
from benchmarks.runs.judging import weighted
from benchmarks.runs.model_folder import Constants, Description, NetworkShape, Predictor, built, constants_of
from benchmarks.runs.model_folder.network import timm_constants, with_head
from benchmarks.runs.model_folder.seen import Seen, features
from benchmarks.runs.prepared import prepared
from benchmarks.runs.protocol import batches
from benchmarks.runs.refit import Retold
from benchmarks.runs.training import checkpoint_plan
from benchmarks.studies.choose.candidates import Candidate, Space


@dataclass(frozen=True)
class LastTraining:
    """All that decides the last training, in plain numbers: what ``train.py`` is written from.

    Attributes:
        config: Of the refit; what it holds out means nothing.
        domains: Number of the domains.
        initialisation, order, algorithm: Seeds.
    """

    config: RunConfig
    domains: int
    initialisation: int
    order: int
    algorithm: int

    @property
    def rollout_length(self) -> int:
        """Gradient evaluations."""
        return self.config.splits * self.domains

    @property
    def checkpoints(self) -> list[tuple[int, int]]:
        """As those of a run; the end alone where no validation loss is told."""
        end = self.config.refit or self.config.rollouts
        every = self.config.evaluate_every if self.config.valley else end
        cost = ALGORITHMS[self.config.algorithm].evaluations(self.domains)
        return checkpoint_plan(end, every, self.rollout_length, cost, self.config.algorithm)


def last_training(
    space: Space, candidate: Candidate, rung: int, number: int, records: Mapping[str, Any]
) -> LastTraining:
    """That of a choice."""
    runs = [space.run(candidate, frozenset([name]), 0, rung) for name in space.domains]
    config = runs[0]
    rollouts = min((number + 1) * config.evaluate_every, config.rollouts)
    told = [(records[run.key()].get("diagnostics") or {}).get(ASKED, ()) for run in runs if run.key() in records]
    valley = [sum(own) / len(own) for own in zip(*told, strict=False)][: number + 1] if told and all(told) else []
    config = RunConfig.model_validate({**config.config(), "refit": rollouts, "valley": valley})
    return LastTraining(
        config=config,
        domains=len(space.domains),
        initialisation=seed_from("initialisation", config.dataset, 0),
        order=seed_from("order", config.dataset, "", 0),
        algorithm=seed_from("algorithm", config.dataset, "", 0),
    )


@dataclass(frozen=True)
class Trained:
    """The model.

    Attributes:
        about: What is known of it so far.
        model: It.
        seen: What its training examples looked like.
        inputs: Some of them, as they came.
        weights: Of the classes in the loss; None for none.
    """

    about: Description
    model: Predictor
    seen: Seen
    inputs: Tensor
    weights: Tensor | None


def train_all(last: LastTraining, folder: Path | None, device: str = "cpu") -> Trained:
    """Trains on all examples.

    Raises:
        ValueError: if the inputs are transformed in a way that a model folder cannot keep.
        RuntimeError: if its weights are not finite.
    """
    config = last.config
    entry = DATASETS[config.dataset]
    raw = prepared(config.dataset, folder)
    backbone = frozen_backbone(config, raw.input_shape)
    data = raw if backbone is None else featured(config.dataset, backbone, folder, device)
    inputs, labels, domains = together(data)
    fit = fit_of(config.dataset, config.model)
    fitted = None if fit is None or backbone is not None else fit(inputs, labels)
    constants = constants_of(fitted)
    if fitted is not None:
        inputs = fitted(inputs)
    loss = weighted(config, entry, labels, data.n_outputs)
    inputs, labels = inputs.to(device), labels.to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(last.initialisation)
        model = build(config, tuple(inputs.shape[1:]), data.n_outputs).to(device)
    _train(last, model, inputs, labels, domains, loss)
    model = model.cpu().eval()
    if not all(value.isfinite().all() for value in model.state_dict().values() if value.is_floating_point()):
        raise RuntimeError(
            f"the last training, of {config.algorithm} on all domains, ended with weights that are not numbers, "
            "although it went well with each domain left out; give more minutes, or other settings"
        )
    seen = Seen.of(features(model, inputs.cpu()))
    pretrained = model.get_submodule("backbone") if isinstance(model, Tuned) else None
    if backbone is not None:
        pretrained = _backbone(backbone, raw)
    network, constants = _whole(config, raw, pretrained, constants)
    about = Description(
        network=network,
        constants=constants,
        reading=dict(entry.origin.reading) if entry.origin else {"scheme": "named", "name": config.dataset},
        classes=_classes(config.dataset, raw),
        scale=entry.origin.reading.get("scale", 1.0) if entry.origin else 1.0,
    )
    whole = built(about)
    state = model
    if isinstance(pretrained, Backbone):
        state = with_head(pretrained, model.get_submodule("head") if isinstance(model, Tuned) else model)
    whole.network.load_state_dict(state.state_dict())
    weight = getattr(loss, "keywords", {}).get("weight")
    return Trained(about, whole, seen, torch.cat([own.inputs for own in raw.domains])[:256], weight)


def together(data: MultiDomainData) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, labels and numbers of domains, one domain after another."""
    return (
        torch.cat([own.inputs for own in data.domains]),
        torch.cat([own.labels for own in data.domains]),
        torch.cat([torch.full((len(own),), number) for number, own in enumerate(data.domains)]),
    )


def _train(last: LastTraining, model: nn.Module, inputs: Tensor, labels: Tensor, domains: Tensor, loss: Loss) -> None:
    """Leaves the weights that are to be kept in the model."""
    config, entry = last.config, ALGORITHMS[last.config.algorithm]
    cost = entry.evaluations(last.domains)
    setup = Setup(
        rollout_length=last.rollout_length,
        n_domains=last.domains,
        updates=config.rollouts * last.rollout_length // cost,
        seed=last.algorithm,
        loss=loss,
    )
    algorithm = entry.factory(model, config.hparams, setup)
    order = batches(entry.batches, domains, config.batch_size, config.splits, last.order)
    told, done = Retold(config), 0
    for _, due in last.checkpoints:
        for index in itertools.islice(order, due - done):
            if entry.batches == "single-domain":
                algorithm.begin(int(domains[index[0]]))
            algorithm.update(inputs[index], labels[index])
        done = due
        algorithm.validate(told)
    with algorithm.evaluated() as best:
        state = {name: value.clone() for name, value in best.state_dict().items()}
    model.load_state_dict(state)


def _whole(
    config: RunConfig, raw: MultiDomainData, pretrained: nn.Module | None, constants: Constants
) -> tuple[NetworkShape, Constants]:
    """The network that predicts: the head on its backbone, where there is one."""
    size = None
    if isinstance(pretrained, Backbone):
        constants, size = timm_constants(pretrained), pretrained.size
    network = NetworkShape(
        model=config.model or "mlp",
        input_shape=raw.input_shape,
        n_outputs=raw.n_outputs,
        width=config.width,
        depth=config.depth,
        image_size=size,
    )
    return network, constants


def _backbone(backbone: FrozenBackbone, raw: MultiDomainData) -> Backbone:
    with torch.random.fork_rng(devices=[]):
        net = Backbone(backbone.name, raw.input_shape, backbone.weights, backbone.image_size)
    return net.eval()


def _classes(dataset: str, data: MultiDomainData) -> tuple[str, ...]:
    if data.domains[0].labels.is_floating_point():
        return ()
    return DATASETS[dataset].classes or tuple(map(str, range(data.n_outputs)))
