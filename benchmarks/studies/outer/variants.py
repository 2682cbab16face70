"""Adam, and the outer steps that could follow its roll-outs: a plugin of the sweep.

All have the settings of the swap ``torch.optim.Adam(params, lr)`` to ``pgrad.PGrad(params, lr, rollout_length)``: Adam
inside, SGD outside, no weight decay, four components. The inner learning rate is the one hyper-parameter that is
searched, on one grid for all of them, of four decades with two values each. It is as wide as the best rates lie apart:
an outer learning rate of 0.1 makes a tenth of the inner optimizer's way, and Nesterov's momentum of 0.9 ten times as
much. The displacement with outer_lr=1 and no momentum is Adam itself, on mini-batches of single domains.

Example:
    >>> from benchmarks.algorithms import ALGORITHMS
    >>> from benchmarks.studies.outer.variants import named
    >>> sorted(ALGORITHMS[named("pgrad", 0.3, 0.9)].space)
    ['lr', 'n_components', 'outer_lr', 'outer_momentum', 'weight_decay']
"""

from __future__ import annotations

import itertools

from torch import nn

import pgrad
from benchmarks.algorithms.base import Algorithm, Setup
from benchmarks.algorithms.erm import ERM
from benchmarks.algorithms.rollouts import RollOut
from benchmarks.base.search import Choice, Distribution, Grid, HParams
from benchmarks.runs.plugins import register_algorithm

ADAM = "adam"
AGGREGATIONS: dict[str, pgrad.Aggregation] = {
    "pgrad": pgrad.aggregation.principal,
    "reptile": pgrad.aggregation.displacement,
}
OUTER_LRS = (0.1, 0.3, 0.7, 1.0)
MOMENTA = (0.0, 0.9)
COMPONENTS = 4
LRS = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)


def named(kind: str, outer_lr: float, momentum: float) -> str:
    """Of a variant.

    Example:
        >>> named("pgrad", 1.0, 0.0), named("reptile", 0.1, 0.9)
        ('pgrad-1', 'reptile-0.1-nesterov')
    """
    return f"{kind}-{outer_lr:g}" + ("-nesterov" if momentum else "")


def _always(value: float) -> Choice:
    return Choice(default=value, values=(value,))


_SHARED: dict[str, Distribution] = {"lr": Grid(LRS), "weight_decay": _always(0.0)}


@register_algorithm(ADAM, space=_SHARED)
def adam(model: nn.Module, hparams: HParams, setup: Setup) -> Algorithm:
    """Adam on mini-batches that mix the training domains."""
    return ERM(model, hparams, setup)


def _register(kind: str, outer_lr: float, momentum: float) -> None:
    space = {**_SHARED, "outer_lr": _always(outer_lr)}
    what = f"{kind} with outer_lr={outer_lr:g}"
    if momentum:
        space["outer_momentum"] = _always(momentum)
        what += f" and Nesterov's momentum of {momentum:g}"
    if kind == "pgrad":
        space["n_components"] = _always(COMPONENTS)

    @register_algorithm(named(kind, outer_lr, momentum), batches="single-domain", space=space, description=what)
    def make(model: nn.Module, hparams: HParams, setup: Setup) -> Algorithm:
        return RollOut(model, hparams, setup, aggregation=AGGREGATIONS[kind], nesterov=bool(momentum))


for _settings in itertools.product(AGGREGATIONS, OUTER_LRS, MOMENTA):
    _register(*_settings)
