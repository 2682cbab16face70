"""Roll-outs: PGrad, and its matched control with the plain displacement in the place of principal directions.

T inner steps lead from the anchor theta_0 to theta_T, each on a mini-batch of one domain; then an outer optimizer steps
from the anchor along what the aggregation makes of them. ``reptile`` (Nichol et al. 2018, arXiv:1803.02999), as Fish
(Shi et al. 2022, arXiv:2104.09937) uses it over domains, is the same `pgrad.PGrad` in everything but the aggregation.

An *ablation* sets one thing another way, for PGrad and for its control alike:

- ``nesterov``: the outer SGD has Nesterov's momentum, the hyper-parameter `outer_momentum` (DiLoCo on one worker);
- ``sgd``: SGD without momentum inside, Nesterov's momentum outside; the learning rate has the range of SGD.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

import pgrad
from benchmarks.algorithms.base import Algorithm, AlgorithmEntry, Diagnostics, Setup
from benchmarks.algorithms.optimizers import ADAM, SGD
from benchmarks.base.search import Choice, HParams, LogUniform, Space

Inner = Callable[..., Optimizer]

ADAM_INSIDE: Inner = partial(torch.optim.Adam, fused=True)


class RollOut(Algorithm):
    """`pgrad.PGrad` with one `step()` for each mini-batch; keeps spectrum and cosine of every roll-out.

    Inner steps have no weight decay but that of a published optimizer; the outer ones have that of the search, unless
    there is a published optimizer.

    Args:
        model, hparams, setup: As for every algorithm.
        aggregation: What becomes of a roll-out.
        inner: `inner(parameters, lr=...)`; None for the optimizer that the task has been published with, else Adam.
        nesterov: Whether the outer momentum is Nesterov's.
    """

    optimizer: pgrad.PGrad

    def __init__(
        self,
        model: nn.Module,
        hparams: HParams,
        setup: Setup,
        *,
        aggregation: pgrad.Aggregation = pgrad.aggregation.principal,
        inner: Inner | None = None,
        nesterov: bool = False,
    ) -> None:
        super().__init__(model, setup)
        published = setup.inner if inner is None else None
        outer = partial(
            torch.optim.SGD,
            weight_decay=hparams["weight_decay"] if published is None else 0.0,
            momentum=hparams.get("outer_momentum", 0.0),
            nesterov=nesterov,
        )
        self.optimizer = pgrad.PGrad(
            setup.parameters(model),
            lr=hparams["lr"],
            rollout_length=setup.rollout_length,
            n_components=int(hparams["n_components"]) if "n_components" in hparams else None,
            outer_lr=hparams["outer_lr"],
            inner=published or inner or ADAM_INSIDE,
            outer=outer,
            aggregation=aggregation,
        )
        self.domain: int | None = None
        self.spectra: list[list[float]] = []
        self.cosines: list[float] = []
        self.numbers: list[int] = []

    def begin(self, domain: int) -> None:
        self.domain = domain

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = self.setup.risk(self.model, inputs, labels)
        loss.backward()
        self.setup.clip(self.model)
        self.optimizer.step(domain=self.domain)
        self.domain = None
        record = self.optimizer.last_update
        if self.optimizer.rollout_position == 0 and isinstance(record, pgrad.PrincipalWeights):
            self.spectra.append(record.explained_variance_ratio.tolist())
            self.cosines.append(record.cosine)
            self.numbers.append(record.n_components)
        return loss.detach()

    @contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        with self.optimizer.at_anchor():
            yield self.model

    def diagnostics(self) -> Diagnostics:
        """Means over the roll-outs.

        Explained-variance ratios ``[T]``, the cosine of g with theta_0 - theta_T, the number of directions in use.
        """
        if not self.spectra:
            return {}
        return {
            "explained_variance_ratio": torch.tensor(self.spectra).double().mean(dim=0).tolist(),
            "cosine": [sum(self.cosines) / len(self.cosines)],
            "n_components": [sum(self.numbers) / len(self.numbers)],
        }

    def state_dict(self) -> dict[str, Any]:
        seen = {"spectra": self.spectra, "cosines": self.cosines, "numbers": self.numbers}
        return {**super().state_dict(), **seen}

    def load_state_dict(self, state: Any) -> None:
        super().load_state_dict(state)
        self.spectra, self.cosines, self.numbers = (list(state[name]) for name in ("spectra", "cosines", "numbers"))


@dataclass(frozen=True)
class Ablation:
    """One line of the table: what is set another way.

    Attributes:
        description: What is different from the plain roll-out.
        use: Why one would.
        options: Of `RollOut`.
        space: Hyper-parameters that are added, or have another range.
    """

    description: str = ""
    use: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    space: Space = field(default_factory=dict)


SPACE: Space = {**ADAM, "outer_lr": LogUniform(default=0.1, low=0.03, high=0.5)}
COMPONENTS: Space = {"n_components": Choice(default=4, values=(1, 2, 4, 6))}
_MOMENTUM: Space = {"outer_momentum": Choice(default=0.9, values=(0.5, 0.8, 0.9))}

ABLATIONS = {
    "": Ablation(),
    "nesterov": Ablation(
        "outer SGD with Nesterov's momentum",
        "momentum over anchors, as in DiLoCo: goes further where runs are short",
        {"nesterov": True},
        _MOMENTUM,
    ),
    "sgd": Ablation(
        "inner SGD, momentum in the outer step only (Nesterov's)",
        "inner steps without momentum, whose displacements can point apart",
        {"inner": torch.optim.SGD, "nesterov": True},
        {**_MOMENTUM, "lr": SGD["lr"]},
    ),
}


def _entries(name: str, ablation: Ablation) -> dict[str, AlgorithmEntry]:
    """PGrad and its control."""
    ours, theirs = (f"{kind}-{name}".rstrip("-") for kind in ("pgrad", "reptile"))
    what = f"{ablation.description}; " if ablation.description else ""
    return {
        ours: AlgorithmEntry(
            factory=partial(RollOut, **ablation.options),
            description=f"{what}roll-outs over single-domain mini-batches, outer SGD along the principal gradient",
            use=ablation.use or "the method of the paper; compare it with its control before you believe in it",
            batches="single-domain",
            space={**SPACE, **COMPONENTS, **ablation.space},
            source="PGrad, arXiv:2305.01134; pgrad.PGrad",
            control=theirs,
        ),
        theirs: AlgorithmEntry(
            factory=partial(RollOut, aggregation=pgrad.aggregation.displacement, **ablation.options),
            description=f"{what}the same roll-outs, outer SGD along the plain displacement theta_0 - theta_T",
            use=ablation.use or "the matched control of PGrad, and the cheaper of the two: roll-outs if you want them",
            batches="single-domain",
            space={**SPACE, **ablation.space},
            source="Reptile, arXiv:1803.02999; over domains Fish, arXiv:2104.09937; pgrad.aggregation.displacement",
        ),
    }


ENTRIES = {key: entry for name, ablation in ABLATIONS.items() for key, entry in _entries(name, ablation).items()}
