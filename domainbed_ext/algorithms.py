"""PGrad and its controls as DomainBed algorithms. Import it after `register`, which makes ``domainbed`` importable.

One ``update(minibatches)`` is one roll-out: T = splits x domains inner steps in the order of `pgrad.microbatches`,
then one outer step. So an update sees as many images as one of ERM, and the number of steps means the same.

All are ERM with another optimizer: network, ``predict`` and the layout of checkpoints are ERM's. Between updates the
network holds the anchor, so that evaluating and saving need no care.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from domainbed.algorithms import ERM
from torch import Tensor
from torch.nn.functional import cross_entropy

import pgrad
from domainbed_ext.batchnorm import statistics_of_the_anchor
from domainbed_ext.parallel import Parallel

__all__ = ["PGrad", "PGradFull", "PGradMix", "PGradParallel", "PGradReptile"]

Minibatch = tuple[Tensor, Tensor]
Step = tuple[int, Minibatch]  # the domain, and its part of a mini-batch


class PGrad(ERM):  # type: ignore[misc]  # DomainBed has no annotations
    """Principal gradients of a roll-out over the training domains (arXiv:2305.01134), the authors' preset by default:
    inner Adam without weight decay whose moments carry over, outer SGD with weight decay."""

    aggregation: pgrad.Aggregation = staticmethod(pgrad.aggregation.principal)

    def __init__(self, input_shape: Any, num_classes: int, num_domains: int, hparams: dict[str, Any]) -> None:
        super().__init__(input_shape, num_classes, num_domains, hparams)
        self.num_domains = num_domains
        self.splits: int = hparams["pgrad_splits"]
        self.rollout_length = self.splits * num_domains
        self.optimizer = self.make_optimizer()

    @property
    def n_components(self) -> int | None:
        return int(self.hparams["pgrad_components"])

    def make_optimizer(self) -> Any:
        return pgrad.presets.paper(
            self.network.parameters(),
            lr=self.hparams["lr"],
            domains=self.num_domains,
            weight_decay=self.hparams["weight_decay"],
            rollout_length=self.rollout_length,
            n_components=self.n_components,
            outer_lr=self.hparams["pgrad_outer_lr"],
            trajectory_dtype=_dtype(self.hparams),
            aggregation=self.aggregation,
        )

    def order(self, minibatches: list[Minibatch]) -> list[Step]:
        """The inner steps of a roll-out: passes over the domains, each in an order drawn from torch's generator."""
        return pgrad.microbatches(minibatches, self.splits)

    def loss(self, steps: list[Step], index: int) -> Tensor:
        """Loss of inner step `index`."""
        x, y = steps[index][1]
        return cross_entropy(self.network(x), y)

    def inner_step(self, domain: int) -> None:
        self.optimizer.step(domain=domain)

    def update(self, minibatches: list[Minibatch], unlabeled: Any = None) -> dict[str, float]:  # noqa: ARG002
        """One roll-out. Unlabelled data of the test domain are not used, as in ERM."""
        if len(minibatches) != self.num_domains:
            raise ValueError(f"minibatches must be {self.num_domains}, one per training domain, got {len(minibatches)}")
        steps = self.order(minibatches)
        last_pass = [minibatches[domain][0] for domain, _ in steps[-self.num_domains :]]
        refresh = self.hparams["pgrad_refresh_batchnorm"]
        dropped = self.optimizer.nonfinite_rollouts
        losses = []
        with statistics_of_the_anchor(self.network, last_pass) if refresh else nullcontext():
            for index, (domain, _) in enumerate(steps):
                self.optimizer.zero_grad()
                loss = self.loss(steps, index)
                loss.backward()
                self.inner_step(domain)
                losses.append(loss.detach())
        dropped = self.optimizer.nonfinite_rollouts - dropped
        return {"loss": torch.stack(losses).mean().item(), "pgrad_dropped": dropped, **self.diagnostics()}

    def diagnostics(self) -> dict[str, float]:
        """Of the last roll-out: cosine of its outer gradient with theta_0 - theta_T, share of the first direction."""
        record = self.optimizer.last_update
        if record is None:
            return {}
        return {"pgrad_cosine": record.cosine, "pgrad_variance_1": float(record.explained_variance_ratio[0])}


class PGradFull(PGrad):
    """All principal directions above round-off instead of the first few."""

    n_components = None


class PGradMix(PGrad):
    """Every inner step mixes its part of a mini-batch with that of the next domain in the pass (inter-domain Mixup).

    As in DomainBed's Mixup, one lambda ~ Beta(alpha, alpha) a pair, drawn by numpy, and the loss is the mixed one.
    """

    def loss(self, steps: list[Step], index: int) -> Tensor:
        turn = index % self.num_domains
        (x, y), (other_x, other_y) = steps[index][1], steps[index - turn + (turn + 1) % self.num_domains][1]
        size = min(len(x), len(other_x))
        alpha = self.hparams["pgrad_mixup_alpha"]
        share = float(np.random.beta(alpha, alpha))  # noqa: NPY002 - the generator that DomainBed seeds
        logits = self.network(share * x[:size] + (1 - share) * other_x[:size])
        return share * cross_entropy(logits, y[:size]) + (1 - share) * cross_entropy(logits, other_y[:size])


class PGradReptile(PGrad):
    """The matched control: the same roll-out, moved along the plain displacement (Reptile, Fish, Lookahead)."""

    aggregation: pgrad.Aggregation = staticmethod(pgrad.aggregation.displacement)
    n_components = None

    def diagnostics(self) -> dict[str, float]:
        return {}


class PGradParallel(PGrad):
    """The parallel variant: every inner step starts at the anchor, and the end points are stacked."""

    def make_optimizer(self) -> Any:
        hparams = self.hparams
        return Parallel(
            self.network.parameters(),
            hparams["lr"],
            self.rollout_length,
            outer_lr=hparams["pgrad_outer_lr"],
            weight_decay=hparams["weight_decay"],
            n_components=hparams["pgrad_components"],
            num_domains=self.num_domains,
            trajectory_dtype=_dtype(hparams),
        )

    def inner_step(self, domain: int) -> None:
        self.optimizer.step(domain)


def _dtype(hparams: dict[str, Any]) -> torch.dtype | None:
    known = {"own": None, "float32": torch.float32, "bfloat16": torch.bfloat16}
    name = hparams.get("pgrad_trajectory_dtype", "own")  # the control keeps no trajectory, and has none
    if name not in known:
        raise ValueError(f"pgrad_trajectory_dtype must be one of {', '.join(known)}, got {name!r}")
    return known[name]
