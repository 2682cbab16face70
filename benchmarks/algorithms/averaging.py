"""Averages of weights over training: exponential (EMA), plain (SWA), and over the valley of the validation loss (SWAD).

All wrap another algorithm, which does not know of it, and follow its optimizer: points are taken from ERM after every
step, from roll-outs after every outer step, where the model is an anchor. The average is what is evaluated; while
there is none, the model is evaluated as it is.

- EMA: ``average <- a average + (1 - a) theta``, the first one a plain copy. The hyper-parameter `decay` is meant per
  gradient evaluation: a = decay for ERM, decay^T for roll-outs.
- SWA: the mean of all points from a part `average_start` of training on.
- SWAD: the mean of all points from where the validation loss (of the training domains) stops falling to where it has
  risen by `tolerance`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from benchmarks.algorithms.base import Algorithm, AlgorithmEntry, Batches, Diagnostics, Setup
from benchmarks.algorithms.erm import ERM
from benchmarks.algorithms.optimizers import ADAM, SGD, sgd
from benchmarks.algorithms.rollouts import COMPONENTS, SPACE, RollOut
from benchmarks.base.search import Choice, HParams, Space
from pgrad import aggregation, averaging

Make = Callable[[nn.Module, HParams, int, int], averaging.Average]
"""``make(model, hparams, every, points)``: gradient evaluations of a point, and points in all."""


class Averaged(Algorithm):
    """Another algorithm, evaluated at an average of its weights.

    Args:
        model, hparams, setup: As for every algorithm.
        inner: The factory of the other algorithm.
        make: Makes the average.
        per_rollout: Whether a point is the end of a roll-out, or of every update.
    """

    def __init__(
        self,
        model: nn.Module,
        hparams: HParams,
        setup: Setup,
        *,
        inner: Callable[[nn.Module, HParams, Setup], Algorithm],
        make: Make,
        per_rollout: bool = False,
    ) -> None:
        super().__init__(model, setup)
        self.inner = inner(model, hparams, setup)
        self.optimizer = self.inner.optimizer
        self.waits = False  # for the validation loss of what came since the last one
        every = setup.rollout_length if per_rollout else 1
        self.average = make(model, hparams, every, setup.updates // every).follow(self.optimizer)

    def begin(self, domain: int) -> None:
        self.inner.begin(domain)

    def update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        self.moved()
        return self.inner.update(inputs, labels)

    def moved(self) -> None:
        self.waits = isinstance(self.average, averaging.SWAD)

    def validate(self, loss: Callable[[], float]) -> None:
        if isinstance(self.average, averaging.SWAD):
            self.average.validate(loss())
            self.waits = False

    @contextmanager
    def evaluated(self) -> Iterator[nn.Module]:
        if self.waits:
            raise RuntimeError("validate() must be called at every checkpoint, before evaluated()")
        if self.average.ready:
            with self.average.applied():
                yield self.model
        else:
            with self.inner.evaluated() as model:
                yield model

    def diagnostics(self) -> Diagnostics:
        return self.inner.diagnostics()

    def state_dict(self) -> dict[str, Any]:
        return {"inner": self.inner.state_dict(), "average": self.average.state_dict(), "waits": self.waits}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.inner.load_state_dict(state["inner"])
        self.average.load_state_dict(state["average"])
        self.waits = state["waits"]


def _ema(model: nn.Module, hparams: HParams, every: int, _: int) -> averaging.Average:
    return averaging.EMA(model, decay=hparams["decay"] ** every)


def _mean(model: nn.Module, hparams: HParams, _: int, points: int) -> averaging.Average:
    return averaging.Mean(model, start=int(hparams["average_start"] * points))


def _swad(model: nn.Module, hparams: HParams, *_: int) -> averaging.Average:
    return averaging.SWAD(model, tolerance=hparams["tolerance"])


@dataclass(frozen=True)
class AverageLine:
    """One line of the table of averages."""

    make: Make
    over: str
    use: str
    space: Space
    source: str


@dataclass(frozen=True)
class Followed:
    """One line of the table of algorithms that averages follow."""

    factory: Callable[..., Algorithm]
    what: str
    batches: Batches
    space: Space
    averages: tuple[str, ...]
    control: str
    use: str = ""


AVERAGES: dict[str, AverageLine] = {
    "ema": AverageLine(
        _ema,
        "moving average",
        "the first thing to try: nearly free, and follows any optimizer",
        {"decay": Choice(default=0.99, values=(0.98, 0.99, 0.995))},
        "pgrad.averaging.EMA; for domain generalization Arpit et al. 2022, arXiv:2110.10832",
    ),
    "swa": AverageLine(
        _mean,
        "mean, over the last part of training,",
        "an average without a decay to choose",
        {"average_start": Choice(default=0.5, values=(0.25, 0.5, 0.75))},
        "Izmailov et al. 2018, arXiv:1803.05407; pgrad.averaging.Mean",
    ),
    "swad": AverageLine(
        _swad,
        "mean, over the valley of the validation loss,",
        "an average that finds by itself where to begin and to end; needs many checkpoints",
        {"tolerance": Choice(default=0.3, values=(0.2, 0.3))},
        "Cha et al. 2021, arXiv:2102.08604; pgrad.averaging.SWAD",
    ),
}

FOLLOWED = {
    "erm": Followed(ERM, "ERM", "pooled", ADAM, ("ema", "swa", "swad"), control="erm"),
    "erm-sgd": Followed(
        partial(ERM, optimizer=sgd), "ERM by SGD", "pooled", SGD, ("ema", "swa", "swad"), control="erm-sgd"
    ),
    "pgrad": Followed(
        RollOut,
        "PGrad",
        "single-domain",
        {**SPACE, **COMPONENTS},
        ("ema",),
        control="reptile-ema",
        use="tells whether an average changes the comparison of PGrad with its control",
    ),
    "reptile": Followed(
        partial(RollOut, aggregation=aggregation.displacement),
        "the matched control of PGrad",
        "single-domain",
        SPACE,
        ("ema",),
        control="reptile",
        use="an average over anchors: adds little, since their steps are small already",
    ),
}


def _entry(line: Followed, average: AverageLine) -> AlgorithmEntry:
    single = line.batches == "single-domain"
    return AlgorithmEntry(
        factory=partial(Averaged, inner=line.factory, make=average.make, per_rollout=single),
        description=f"{line.what}, evaluated at the {average.over} of its {'anchors' if single else 'weights'}",
        use=line.use or average.use,
        batches=line.batches,
        space={**line.space, **average.space},
        source=average.source,
        control=line.control,
    )


ENTRIES = {f"{name}-{each}": _entry(line, AVERAGES[each]) for name, line in FOLLOWED.items() for each in line.averages}

Asked = tuple[str, HParams]
"""An algorithm and its hyper-parameters."""


def beside(name: str, hparams: HParams) -> list[Asked]:
    """All that moves the model as this algorithm does, and differs in what is evaluated: the followed algorithm as it
    is, and every average of it with every value that a search gives it. Empty for an algorithm that none follows.

    Example:
        >>> found = beside("erm-swad", {"lr": 0.01, "weight_decay": 0.0, "tolerance": 0.3})
        >>> [(name, *hparams.values()) for name, hparams in found if name in ("erm", "erm-swad")]
        [('erm', 0.01, 0.0), ('erm-swad', 0.01, 0.0, 0.3), ('erm-swad', 0.01, 0.0, 0.2)]
    """
    base, _ = _parts(name)
    if base not in FOLLOWED:
        return []
    own = {key: value for key, value in hparams.items() if key in FOLLOWED[base].space}
    found: list[Asked] = [(base, own)]
    for each in FOLLOWED[base].averages:
        space = AVERAGES[each].space
        choices = [dict.fromkeys((one.default, *one.values)) for one in space.values() if isinstance(one, Choice)]
        drawn = (dict(zip(space, values, strict=True)) for values in itertools.product(*choices))
        found += [(f"{base}-{each}", {**own, **average}) for average in drawn]
    return found


def followed(name: str) -> str:
    """The algorithm that moves the model: the followed one of an average, every other one itself.

    Example:
        >>> followed("erm-sgd-swad"), followed("erm-sgd"), followed("coral")
        ('erm-sgd', 'erm-sgd', 'coral')
    """
    return _parts(name)[0]


def sharing(model: nn.Module, asked: Sequence[Asked], setup: Setup) -> list[Algorithm]:
    """The algorithms on one model and one optimizer, of which any one makes the updates and the others are `moved`.

    Raises:
        ValueError: if they do not move the model alike.
    """
    base = followed(asked[0][0])
    if base not in FOLLOWED or any(each not in beside(*asked[0]) for each in asked):
        raise ValueError(f"these algorithms do not move a model alike: {', '.join(name for name, _ in asked)}")
    inner = FOLLOWED[base].factory(model, asked[0][1], setup)
    made = []
    for name, hparams in asked:
        _, average = _parts(name)
        if average is None:
            made.append(inner)
        else:
            single = FOLLOWED[base].batches == "single-domain"
            make = AVERAGES[average].make
            made.append(Averaged(model, hparams, setup, inner=lambda *_: inner, make=make, per_rollout=single))
    return made


def _parts(name: str) -> tuple[str, str | None]:
    """The followed algorithm and the average of a name; the name itself and None where it is no average."""
    base, _, average = name.rpartition("-")
    return (base, average) if base in FOLLOWED and average in FOLLOWED[base].averages else (name, None)
