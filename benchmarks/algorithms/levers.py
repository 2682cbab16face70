"""Levers on the walk, each pulled for PGrad and for its matched control alike.

Whatever makes the walk better makes both better; so the question is always whether ``pgrad-NAME`` differs from
``reptile-NAME``, at the same hyper-parameters (a space has the same draws for both) and on the same mini-batches.  The
ways in which the direction can be taken (:mod:`benchmarks.algorithms.principal`) are tried on walks of Adam and, since
momentum makes the increments of different domains nearly parallel, on walks without momentum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks.algorithms import principal, reptile
from benchmarks.algorithms.base import AlgorithmEntry
from benchmarks.algorithms.optimizers import SGD
from benchmarks.algorithms.principal import WAYS
from benchmarks.algorithms.reptile import Reptile
from benchmarks.algorithms.rollout import ROLLOUT
from benchmarks.base.search import Choice, Space


@dataclass(frozen=True)
class Lever:
    """One line of the table: what is pulled.

    Attributes:
        description: What is different from the plain roll-out.
        options: Of :class:`benchmarks.algorithms.rollout.Rollout`.
        space: Hyper-parameters that are added, or have another range.
        ways: Further ways to take the direction that are tried with it.
    """

    description: str
    options: Mapping[str, Any] = field(default_factory=dict)
    space: Space = field(default_factory=dict)
    ways: tuple[str, ...] = ()


_MOMENTUM: Space = {"outer_momentum": Choice(default=0.9, values=(0.5, 0.8, 0.9))}
_WARMUP: Space = {"warmup": Choice(default=0.3, values=(0.1, 0.3, 0.5))}

LEVERS = {
    "momentum": Lever("outer SGD with momentum", space=_MOMENTUM),
    "nesterov": Lever("outer SGD with Nesterov's momentum", {"nesterov": True}, _MOMENTUM),
    "normalised": Lever("every gradient divided by its norm before the inner step", {"normalised": True}),
    "warmup": Lever("the first part of training without outer steps", space=_WARMUP),
    "beta0": Lever(
        "inner Adam without momentum (beta1 = 0)", {"inner": "beta0"}, ways=("null", "increments", "crossdomain")
    ),
    "beta0-nesterov": Lever(
        "inner Adam without momentum (beta1 = 0), outer SGD with Nesterov's instead",
        {"inner": "beta0", "nesterov": True},
        _MOMENTUM,
        ways=("crossdomain",),
    ),
    "rmsprop": Lever(
        "inner RMSprop, momentum in the outer step only (Nesterov's)", {"inner": "rmsprop", "nesterov": True}, _MOMENTUM
    ),
    "sgd": Lever(
        "inner SGD, momentum in the outer step only (Nesterov's)",
        {"inner": "sgd", "nesterov": True},
        {**_MOMENTUM, "lr": SGD["lr"]},
    ),
}


def _control(lever: Lever) -> AlgorithmEntry:
    return AlgorithmEntry(
        factory=partial(Reptile, **lever.options),
        description=f"the matched control: {lever.description}",
        batches="single-domain",
        space={**ROLLOUT, **lever.space},
        source=reptile.SOURCE,
    )


def _principal(name: str, lever: Lever, way: str) -> AlgorithmEntry:
    return AlgorithmEntry(
        factory=partial(WAYS[way].factory, **lever.options),
        description=f"{lever.description}; the outer step along {WAYS[way].description}",
        batches="single-domain",
        space={**WAYS[way].space, **lever.space},
        source=principal.SOURCE,
        control=f"reptile-{name}",
    )


ENTRIES = {f"reptile-{name}": _control(lever) for name, lever in LEVERS.items()} | {
    f"pgrad-{name}-{way}".rstrip("-"): _principal(name, lever, way)
    for name, lever in LEVERS.items()
    for way in ("", *lever.ways)
}
