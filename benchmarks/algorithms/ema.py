"""Exponential moving averages of the weights, with torch.optim.swa_utils.AveragedModel.

``average <- decay average + (1 - decay) theta``, the first one a plain copy.  ERM is averaged after every update; PGrad
after every outer step, where theta is an anchor, with ``decay^T``: `decay` is per gradient evaluation in both.  The
average is what is evaluated; the training does not know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from benchmarks.algorithms.base import Algorithm, AlgorithmEntry, Diagnostics, Setup
from benchmarks.algorithms.erm import ERM
from benchmarks.algorithms.optimizers import ADAM
from benchmarks.algorithms.principal import SPACE, PGrad
from benchmarks.search import Choice, HParams


class EMA(Algorithm):
    """Another algorithm, whose weights are averaged every `every` updates."""

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
        self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(hparams["decay"] ** self.every))
        self.updates = 0

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        loss = self.inner.update(inputs, labels)
        self.updates += 1
        if self.updates % self.every == 0:
            self.average.update_parameters(self.model)
        return loss

    @contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        yield self.average

    def diagnostics(self) -> Diagnostics:
        return self.inner.diagnostics()


_DECAY = {"decay": Choice(default=0.99, values=(0.98, 0.99, 0.995))}
_SOURCE = "torch.optim.swa_utils.AveragedModel; for domain generalization Arpit et al. 2022, arXiv:2110.10832"

ENTRIES = {
    "erm-ema": AlgorithmEntry(
        factory=partial(EMA, inner=ERM),
        description="ERM, evaluated at the moving average of its weights",
        batches="pooled",
        space={**ADAM, **_DECAY},
        source=_SOURCE,
    ),
    "pgrad-ema": AlgorithmEntry(
        factory=partial(EMA, inner=PGrad, per_rollout=True),
        description="PGrad, evaluated at the moving average of its anchors",
        batches="single-domain",
        space={**SPACE, **_DECAY},
        source=_SOURCE,
    ),
}
