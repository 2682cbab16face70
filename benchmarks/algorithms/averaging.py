"""Averages of weights over training: exponential (EMA), plain (SWA), and over the valley of the validation loss (SWAD).

All wrap another algorithm, which does not know of it: points are taken from ERM after every update, from PGrad and its
matched control after every outer step, where the model is an anchor.  The average is what is evaluated.

- EMA, `torch.optim.swa_utils.AveragedModel`: ``average <- a average + (1 - a) theta``, the first one a plain copy.
  The hyper-parameter `decay` is meant per gradient evaluation: a = decay for ERM, decay^T for roll-outs.
- SWA, the same library: the mean of all points from a part `average_start` of training on.  Until then the model is
  evaluated as it is.
- SWAD, `pgrad.averaging.SWAD`: the mean of all points from where the validation loss (of the training domains) stops
  falling to where it has risen by `tolerance`.  Before the valley begins there is no average, and the model is
  evaluated as it is.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from benchmarks.algorithms.base import Algorithm, AlgorithmEntry, Diagnostics, Setup
from benchmarks.algorithms.erm import ERM
from benchmarks.algorithms.optimizers import ADAM
from benchmarks.algorithms.principal import SPACE, PGrad
from benchmarks.algorithms.reptile import Reptile
from benchmarks.algorithms.rollout import ROLLOUT
from benchmarks.base.search import Choice, HParams, Space
from pgrad import averaging


class Averaged(Algorithm):
    """Another algorithm, from which a point is taken every `every` updates.

    Args:
        model, hparams, setup: As for every algorithm.
        inner: The factory of the other algorithm.
        per_rollout: Take points at the ends of roll-outs only.
    """

    def __init__(
        self,
        model: nn.Module,
        hparams: HParams,
        setup: Setup,
        *,
        inner: Callable[[nn.Module, HParams, Setup], Algorithm],
        per_rollout: bool = False,
    ) -> None:
        super().__init__(model, setup)
        self.inner = inner(model, hparams, setup)
        self.every = setup.rollout_length if per_rollout else 1
        self.updates = 0

    def begin(self, domain: int) -> None:
        self.inner.begin(domain)

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        loss = self.inner.update(inputs, labels)
        self.updates += 1
        if self.updates % self.every == 0:
            self.take_point()
        return loss

    @abstractmethod
    def take_point(self) -> None:
        """Takes the weights as they are into the average."""

    def diagnostics(self) -> Diagnostics:
        return self.inner.diagnostics()


class EMA(Averaged):
    """The exponential moving average."""

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup, **options: Any) -> None:
        super().__init__(model, hparams, setup, **options)
        self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(hparams["decay"] ** self.every))

    def take_point(self) -> None:
        self.average.update_parameters(self.model)

    @contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        yield self.average.module


class SWA(Averaged):
    """The plain mean of the points of the last part of training."""

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup, **options: Any) -> None:
        super().__init__(model, hparams, setup, **options)
        self.start = hparams["average_start"] * setup.updates
        self.average = AveragedModel(model)

    def take_point(self) -> None:
        if self.updates > self.start:
            self.average.update_parameters(self.model)

    @contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        yield self.average.module if self.average.n_averaged > 0 else self.model


class DenseAverage(Averaged):
    """The mean over the valley of the validation loss."""

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup, **options: Any) -> None:
        super().__init__(model, hparams, setup, **options)
        self.swad = averaging.SWAD(model, tolerance=hparams["tolerance"])
        self.average = copy.deepcopy(model)
        self.validated = 0

    def take_point(self) -> None:
        self.swad.update()

    def validate(self, loss: Callable[[], float]) -> None:
        self.swad.validate(loss())
        self.validated = self.updates

    @contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        if self.validated < self.updates:
            raise RuntimeError("validate() must be called at every checkpoint, before evaluated()")
        if self.swad.threshold is None:
            yield self.model
            return
        self.swad.copy_to(self.average)
        with torch.no_grad():
            for mine, current in zip(self.average.buffers(), self.model.buffers(), strict=True):
                mine.copy_(current)
        yield self.average


@dataclass(frozen=True)
class Average:
    """One line of the table below."""

    factory: Callable[..., Averaged]
    over: str
    space: Space
    source: str


AVERAGES = {
    "ema": Average(
        EMA,
        "moving average",
        {"decay": Choice(default=0.99, values=(0.98, 0.99, 0.995))},
        "torch.optim.swa_utils.AveragedModel; for domain generalization Arpit et al. 2022, arXiv:2110.10832",
    ),
    "swa": Average(
        SWA,
        "mean, over the last part of training,",
        {"average_start": Choice(default=0.5, values=(0.25, 0.5, 0.75))},
        "Izmailov et al. 2018, arXiv:1803.05407; torch.optim.swa_utils.AveragedModel",
    ),
    "swad": Average(
        DenseAverage,
        "mean, over the valley of the validation loss,",
        {"tolerance": Choice(default=0.3, values=(0.2, 0.3))},
        "Cha et al. 2021, arXiv:2102.08604; pgrad.averaging.SWAD",
    ),
}


def _erm(average: Average) -> AlgorithmEntry:
    return AlgorithmEntry(
        factory=partial(average.factory, inner=ERM),
        description=f"ERM, evaluated at the {average.over} of its weights",
        batches="pooled",
        space={**ADAM, **average.space},
        source=average.source,
    )


def _rollout(
    average: Average, inner: Callable[..., Algorithm], what: str, space: Space, control: str = ""
) -> AlgorithmEntry:
    return AlgorithmEntry(
        factory=partial(average.factory, inner=inner, per_rollout=True),
        description=f"{what}, evaluated at the {average.over} of its anchors",
        batches="single-domain",
        space={**space, **average.space},
        source=average.source,
        control=control,
    )


ENTRIES = {f"erm-{name}": _erm(average) for name, average in AVERAGES.items()}
for name, average in AVERAGES.items():
    ENTRIES[f"reptile-{name}"] = _rollout(average, Reptile, "the matched control", ROLLOUT)
    ENTRIES[f"pgrad-{name}"] = _rollout(average, PGrad, "PGrad", SPACE, control=f"reptile-{name}")
