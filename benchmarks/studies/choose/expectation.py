"""What is to be expected on an unseen domain: what each domain was when the choice was made without it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special, stats
from torch import Tensor

from benchmarks.base.judges import calibration_error
from benchmarks.datasets import DATASETS, MultiDomainData
from benchmarks.runs.config import RunConfig
from benchmarks.runs.folds import dealing_of
from benchmarks.runs.judging import constant, judging
from benchmarks.runs.model_folder.confidence import Confidence, confidence_of
from benchmarks.runs.protocol import parts
from benchmarks.studies.choose.keeping import kept
from benchmarks.studies.choose.search import Found

RESAMPLES = 300
LEVEL = 0.95
_EDGE = 1e-3
"""Of shares: what is nearer to 0 or 1 is that."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """Its ends; NaN where nothing can be said."""

    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether it says something."""
        return not (math.isnan(self.low) or math.isnan(self.high))


NOTHING = Interval(math.nan, math.nan)


@dataclass(frozen=True)
class Left:
    """One domain, as it was when it was the one left out.

    Attributes:
        name: Of the domain.
        examples: How many were tested.
        value: Of the measure, mean over seeds; NaN where it is not defined.
        inside: Interval over the groups of the domain, or over its examples; of what is taken alone.
        calibration: Calibration error; NaN of a quantity.
        constant: What the predictor reaches that says the majority class, or the mean.
        promised: What the validation parts of the other domains said of the same choice.
        algorithm: What was chosen without it.
        unlike: How unlike it was to what the model had been trained on.
        outputs: ``[n, n_outputs]`` for each seed.
        labels: ``[n, ...]`` for each seed.
        tested: Number of each example in the domain, for each seed.
    """

    name: str
    examples: int
    value: float
    inside: Interval
    calibration: float
    constant: float
    promised: float
    algorithm: str
    unlike: float
    outputs: tuple[Tensor, ...] = field(repr=False, default=())
    labels: tuple[Tensor, ...] = field(repr=False, default=())
    tested: tuple[Tensor, ...] = field(repr=False, default=())


@dataclass(frozen=True)
class Expectation:
    """Of one way to choose.

    Attributes:
        domains: By name.
        mean: Of their values.
        of_mean: Interval of the mean, over domains.
        of_next: Where one more domain like these lies, in 95 of 100 cases.
        confidence: The estimate without labels, or None.
    """

    domains: Mapping[str, Left]
    mean: float
    of_mean: Interval
    of_next: Interval
    confidence: Confidence | None

    @property
    def worst(self) -> Left:
        """The domain with the lowest value."""
        return min((one for one in self.domains.values() if not math.isnan(one.value)), key=lambda one: one.value)


@dataclass(frozen=True)
class Verdict:
    """Both ways, and which of them is taken.

    Attributes:
        choice, default: What the choices reached, and plain ERM.
        difference: Of the first and the second, mean over domains.
        of_difference: Its interval over domains.
        same: Whether what was chosen with all domains is plain ERM at its default, whose figures are then the model's.
    """

    choice: Expectation
    default: Expectation
    difference: float
    of_difference: Interval
    same: bool = False

    @property
    def better(self) -> bool:
        """Whether the model is another one than plain ERM: the choices were better."""
        return self.difference > 0.0 and not self.same

    @property
    def taken(self) -> Expectation:
        """What is to be expected of the model."""
        return self.choice if self.better else self.default


def verdict(found: Found, data: MultiDomainData, folder: Path) -> Verdict:
    """What the refits of a search say.

    Raises:
        ValueError: if the measure is defined on no domain.
    """
    choice = _expectation(found, found.refits, data, folder)
    default = _expectation(found, found.defaults, data, folder)
    differences = np.array([choice.domains[name].value - default.domains[name].value for name in choice.domains])
    differences = differences[~np.isnan(differences)]
    mean = float(differences.mean())
    one = found.chosen[frozenset()]
    same = (one.candidate, one.number) == (found.space.default, found.space.last(one.rung))
    decided = Verdict(choice, default, mean, over_domains(differences)[0], same)
    if decided.better:
        return replace(decided, choice=_with_intervals(choice, found, data))
    return replace(decided, default=_with_intervals(default, found, data))


def over_domains(values: Floats, numbers: Sequence[int] | None = None) -> tuple[Interval, Interval]:
    """Student's intervals over domains ``[n]``: of their mean, and of one more domain.

    Domains that happen to agree do not make it narrower than what the examples of one let be told: the deviation that
    such a share has by chance alone, times the normal quantile.

    Args:
        values: One for each domain.
        numbers: Of examples of each, where values are shares in 0..1: the intervals are taken on the scale of logits
            then, half an example away from 0 and 1, and stay inside; they hold the mean.

    Example:
        >>> of_mean, of_next = over_domains(np.array([1.0, 2.0, 3.0]))
        >>> [round(end, 2) for end in (of_mean.low, of_mean.high, of_next.low, of_next.high)]
        [-0.48, 4.48, -2.97, 6.97]
        >>> _, of_next = over_domains(np.array([1.0, 1.0, 1.0]), [24, 24, 24])
        >>> [round(end, 2) for end in (of_next.low, of_next.high)]
        [0.64, 1.0]
    """
    n = len(values)
    if n < 2:
        return NOTHING, NOTHING
    scale, chance = values, 0.0
    if numbers is not None:
        many = np.maximum(np.array(numbers, dtype=float), 1.0)
        shares = np.clip(values, 0.5 / (many + 1), 1 - 0.5 / (many + 1))
        scale = special.logit(np.clip(shares, _EDGE, 1 - _EDGE))
        chance = math.sqrt(float(np.mean(1 / (many * shares * (1 - shares)))))
    mean, deviation = float(scale.mean()), float(scale.std(ddof=1))
    level = 0.5 + LEVEL / 2
    reach = max(float(stats.t.ppf(level, n - 1)) * deviation, float(stats.norm.ppf(level)) * chance)
    found = []
    for factor in (math.sqrt(1 / n), math.sqrt(1 + 1 / n)):
        low, high = mean - reach * factor, mean + reach * factor
        if numbers is not None:
            low, high = float(special.expit(low)), float(special.expit(high))
            low = min(0.0 if low < _EDGE else low, float(values.mean()))
            high = max(1.0 if high > 1 - _EDGE else high, float(values.mean()))
        found.append(Interval(low, high))
    return found[0], found[1]


def _expectation(found: Found, refits: Mapping[str, Sequence[str]], data: MultiDomainData, folder: Path) -> Expectation:
    domains = {name: _left(found, name, keys, data, folder) for name, keys in refits.items()}
    values = np.array([one.value for one in domains.values()])
    known = values[~np.isnan(values)]
    if not len(known):
        raise ValueError("the measure is defined on no domain: each holds examples of one class only; take another one")
    numbers = [one.examples for one in domains.values() if not math.isnan(one.value)]
    of_mean, of_next = over_domains(known, None if _quantity(data) else numbers)
    confidence = None
    if not _quantity(data):
        confidence = confidence_of({one.name: (one.outputs[0], one.labels[0]) for one in domains.values()})
    return Expectation(domains, float(known.mean()), of_mean, of_next, confidence)


def _quantity(data: MultiDomainData) -> bool:
    return data.domains[0].labels.is_floating_point()


def _left(found: Found, name: str, keys: Sequence[str], data: MultiDomainData, folder: Path) -> Left:
    records = [found.records[key] for key in keys]
    configs = [RunConfig.model_validate(record["config"]) for record in records]
    judge = judging(configs[0], DATASETS[found.space.dataset])
    metric = judge.metric
    files = [kept(folder, key) for key in keys]
    outputs, labels = tuple(file["outputs"] for file in files), tuple(file["labels"] for file in files)
    place = data.names.index(name)
    domain = data.domains[place]
    dealing = dealing_of(found.space.dataset, configs[0].folds)
    tested = []
    for config in configs:
        mask = parts(data, config.seed, dealing)[place].tested
        tested.append(torch.arange(len(domain)) if mask is None else mask.nonzero().flatten())
    defined = all(judge.is_defined(own, data.n_outputs) for own in labels)
    value = float(np.mean([metric(*pair) for pair in zip(outputs, labels, strict=True)])) if defined else math.nan
    quantity = _quantity(data)
    known = [own.labels for own in data.domains if own.name != name and own.name not in found.space.unseen]
    others = torch.cat(known)
    answer = constant(others, data.n_outputs)
    plain = [metric(answer.expand(len(own), -1), own) for own in labels] if defined else [math.nan]
    promised = _promised(found, configs)
    return Left(
        name=name,
        examples=len(labels[0]),
        value=value,
        inside=NOTHING,
        calibration=math.nan
        if quantity
        else float(np.mean([calibration_error(*pair) for pair in zip(outputs, labels, strict=True)])),
        constant=float(np.mean(plain)),
        promised=promised,
        algorithm=configs[0].algorithm,
        unlike=float(np.mean([float(file["unlike"]) for file in files])),
        outputs=outputs,
        labels=labels,
        tested=tuple(tested),
    )


def _with_intervals(expectation: Expectation, found: Found, data: MultiDomainData) -> Expectation:
    """The same, with an interval inside each domain."""
    run = found.space.run(found.space.default, frozenset([data.names[0]]), 0, 0)
    metric = judging(run, DATASETS[found.space.dataset]).metric
    domains = {}
    for name, one in expectation.domains.items():
        own = data.domains[data.names.index(name)].groups
        groups = [None if own is None else own[tested] for tested in one.tested]
        defined = not math.isnan(one.value)
        inside = _resampled(metric, one.outputs, one.labels, groups) if defined else NOTHING
        domains[name] = replace(one, inside=inside)
    return replace(expectation, domains=domains)


def _promised(found: Found, configs: Sequence[RunConfig]) -> float:
    """The validation figure of the runs that were refitted, at the checkpoint."""
    values = []
    for config in configs:
        origin = config.model_copy(update={"refit": None, "valley": ()})
        record = found.records[origin.key()]
        number = -(-(config.refit or config.rollouts) // config.evaluate_every) - 1
        values.append(record["curves"]["validation"][number])
    return float(np.mean(values)) if None not in values else math.nan


def _resampled(
    metric: Callable[[Tensor, Tensor], float],
    outputs: Sequence[Tensor],
    labels: Sequence[Tensor],
    groups: Sequence[Tensor | None],
) -> Interval:
    """Percentile bootstrap over the groups of a domain (its examples, where there are none), mean over seeds."""
    rng = np.random.default_rng(0)
    rows = [_rows(own, len(truth)) for own, truth in zip(groups, labels, strict=True)]
    if min(map(len, rows)) < 2:
        return NOTHING
    values = []
    for _ in range(RESAMPLES):
        drawn = []
        for own, said, truth in zip(rows, outputs, labels, strict=True):
            index = torch.from_numpy(np.concatenate([own[i] for i in rng.integers(0, len(own), len(own))]))
            drawn.append(metric(said[index], truth[index]))
        values.append(float(np.mean(drawn)))
    known = np.array(values)[~np.isnan(values)]
    tail = 50.0 * (1.0 - LEVEL)
    return Interval(*map(float, np.percentile(known, [tail, 100.0 - tail]))) if len(known) else NOTHING


def _rows(groups: Tensor | None, number: int) -> list[NDArray[np.int64]]:
    if groups is None:
        return list(np.arange(number)[:, None])
    values = groups.numpy()
    return [np.flatnonzero(values == group) for group in np.unique(values)]
