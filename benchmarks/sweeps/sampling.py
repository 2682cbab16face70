"""What Optuna decides: the next points of a search, and which of them go on.

Nothing is kept in a study: it is made anew from what is told, asked, and thrown away. The same results and the same
seed give the same answers, so that a sweep that was killed goes on as it would have gone on.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.base.search import Choice, Distribution, Grid, Space

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Told:
    """What became of a point.

    Attributes:
        hparams: Its hyper-parameters; those that the space does not have are passed over.
        figure: What it reached with runs of full length; None if they failed, diverged or were not made.
        shorter: Roll-outs of its shorter runs, and what it reached with them. Without either a point that diverged is
            worse than all others.
        failed: Whether it says nothing about its hyper-parameters: no memory, a library that is missing.
    """

    hparams: Mapping[str, float]
    figure: float | None = None
    shorter: Mapping[int, float] = field(default_factory=dict)
    failed: bool = False


def proposals(kind: str, space: Space, told: Sequence[Told], number: int, seed: int) -> list[dict[str, float]]:
    """So many more points, the higher figure being the better one.

    Args:
        kind: Name of the sampler; there is ``tpe``.
        space: Where to look. A default outside its range belongs to it; a `Grid` is a choice of its values.
        told: The points so far.
        number: How many are wanted, all of the same results.
        seed: Of the sampler.

    Example:
        >>> from benchmarks.base.search import LogUniform
        >>> space = {"lr": LogUniform(default=1e-2, low=1e-4, high=1e-1)}
        >>> told = [Told({"lr": 1e-3 * 2**k}, figure=-float(k)) for k in range(6)]
        >>> [1e-4 <= point["lr"] <= 1e-1 for point in proposals("tpe", space, told, number=2, seed=0)]
        [True, True]
    """
    with _quiet():
        import optuna

        distributions = {name: _distribution(distribution) for name, distribution in space.items()}
        sampler = {"tpe": optuna.samplers.TPESampler}[kind](n_startup_trials=1, seed=seed, constant_liar=True)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials([_trial(each, distributions) for each in told])
        return [dict(study.ask(distributions).params) for _ in range(number)]


def going_on(figures: Sequence[float], factor: int, number: int) -> list[int]:
    """Which of the points with these figures go on, in their order: those that Optuna's pruner of successive halving
    lets live when it knows all of them. Of equals the first ones, so that there are no more than `number`.

    Example:
        >>> going_on([0.2, 0.9, 0.5, 0.9, 0.1, 0.3], factor=3, number=2)
        [1, 3]
    """
    best_first = sorted(range(len(figures)), key=lambda place: (-figures[place], place))
    with _quiet():
        return sorted(place for place in best_first[:number] if _lives(figures, place, factor))


def _lives(figures: Sequence[float], place: int, factor: int) -> bool:
    """Optuna's pruner compares with what was reported before: the one in question reports last."""
    import optuna

    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=factor)
    )
    others = [figure for other, figure in enumerate(figures) if other != place]
    pruned = True
    for figure in (*others, figures[place]):
        trial = study.ask()
        trial.report(figure, step=1)
        pruned = trial.should_prune()
    return not pruned


def _distribution(distribution: Distribution) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(distribution, (Choice, Grid)):
        return CategoricalDistribution(tuple(dict.fromkeys((*distribution.values, distribution.default))))
    low, high = min(distribution.low, distribution.default), max(distribution.high, distribution.default)
    return FloatDistribution(low, high, log=True)


def _trial(told: Told, distributions: Mapping[str, Any]) -> optuna.trial.FrozenTrial:
    from optuna.trial import TrialState, create_trial

    params = {name: _inside(told.hparams[name], distributions[name]) for name in distributions}
    shorter = {step: figure for step, figure in told.shorter.items() if math.isfinite(figure)}
    common: dict[str, Any] = {"params": params, "distributions": dict(distributions), "intermediate_values": shorter}
    if told.failed:
        return create_trial(state=TrialState.FAIL, **common)
    if told.figure is not None and math.isfinite(told.figure):
        return create_trial(state=TrialState.COMPLETE, value=told.figure, **common)
    return create_trial(state=TrialState.PRUNED, **common)


def _inside(value: float, distribution: Any) -> float:
    """Without the last bits by which a value can lie beyond the end of its range."""
    if hasattr(distribution, "choices"):
        return value
    return float(min(max(value, distribution.low), distribution.high))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's lines for every study, and its warnings about what it calls experimental."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
