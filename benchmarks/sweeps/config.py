"""A sweep: data sets x held-out domains x seeds x points of random search x algorithms."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)
from torch.nn.functional import huber_loss, l1_loss, mse_loss, smooth_l1_loss

from benchmarks.algorithms import ALGORITHMS, QUICK
from benchmarks.algorithms.ranges import Regime, regime_of, wide
from benchmarks.base.config import Count, Frozen
from benchmarks.base.errors import all_different, one_of, unknown
from benchmarks.base.search import Grid, Space, draw, spread
from benchmarks.base.seeds import seed_from
from benchmarks.datasets import DATASETS
from benchmarks.models import known_model, require_fitting
from benchmarks.models.default import with_default
from benchmarks.models.weights import pinned
from benchmarks.runs.config import HeldOut, RunConfig, RunIdentity, Settings
from benchmarks.runs.judging import require_classes
from benchmarks.runs.rules import Rule, known_rule
from benchmarks.sweeps.launcher_config import InProcess, LauncherConfig, Local

DatasetName = Annotated[str, one_of(DATASETS)]
AlgorithmName = Annotated[str, one_of(ALGORITHMS)]
ModelName = Annotated[str, AfterValidator(known_model)]
Weights = Annotated[str, AfterValidator(pinned)]
Scale = Annotated[float, Field(gt=0)]


class SweepSettings(Settings):
    """Settings whose model and weights are checked.

    Attributes:
        lr_scale: Every learning rate of the search is multiplied by it, where it is not fixed: the ranges are those of
            small networks that are trained from scratch, and fine-tuning wants a hundredth of it. A wide search has
            ranges for each regime, and needs it no more.
        regime: What is trained, for a wide search: see `benchmarks.algorithms.ranges`. None for what model and loss
            tell.
    """

    model: ModelName | None = None
    weights: Weights = "none"
    lr_scale: Scale = 1.0
    regime: Regime | None = None


class Overrides(SweepSettings):
    """Settings of one data set that differ from those of the sweep; what is not given, or None, is the sweep's.

    Attributes:
        held_out: The sets of domains to leave out; None for all of the sweep's size.
    """

    held_out: tuple[HeldOut, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_none(cls, content: Any) -> Any:
        """None keeps the sweep's."""
        if not isinstance(content, dict):
            return content
        return {name: value for name, value in content.items() if value is not None}

    @model_serializer(mode="wrap")
    def _given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if name in self.model_fields_set}

    def settings(self, common: SweepSettings) -> SweepSettings:
        """The settings of this data set."""
        given = self.model_fields_set - {"held_out"}
        return common.model_copy(update={name: getattr(self, name) for name in given})


class Outputs(Frozen):
    """What a run leaves besides its record. None of it changes a result.

    Attributes:
        tensorboard: Write TensorBoard logs during the runs.
        weights: ``"none"``, or ``"best"``: the checkpoint with the best validation, floats as bfloat16.
    """

    tensorboard: bool = False
    weights: Literal["none", "best"] = "none"


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _as_mapping(value: Any) -> Any:
    if isinstance(value, (str, list, tuple)):
        names = _as_list(value)
        return {name: {} for name in all_different(tuple(names))}
    return {name: {} if own is None else own for name, own in value.items()} if isinstance(value, dict) else value


def _as_launcher(value: Any) -> Any:
    if isinstance(value, str):
        return {"kind": value}
    return {"kind": "local", **value} if isinstance(value, dict) else value


def _as_seeds(value: Any) -> Any:
    return tuple(range(value)) if isinstance(value, int) and not isinstance(value, bool) and value >= 1 else value


class Sweep(Protocol):
    """What a store and a coordinator ask of a sweep: its runs, a name of their set, and how they are done."""

    @property
    def launcher(self) -> LauncherConfig: ...
    @property
    def plugins(self) -> tuple[str, ...]: ...
    @property
    def outputs(self) -> Outputs: ...
    @property
    def max_attempts(self) -> int: ...
    def runs(self) -> Sequence[RunIdentity]: ...
    def key(self) -> str: ...
    def model_dump(self, *, mode: Literal["json"]) -> dict[str, Any]: ...


class SingleRun(Frozen):
    """A sweep of one run, done in this process as often as it takes.

    Attributes:
        datasets: The name of its data set alone.
        run: Its configuration.
    """

    datasets: tuple[str]
    run: SerializeAsAny[RunIdentity]
    launcher: LauncherConfig = InProcess()
    plugins: tuple[str, ...] = ()
    outputs: Outputs = Outputs()
    max_attempts: Count = 2**31

    @classmethod
    def of(cls, run: RunIdentity) -> SingleRun:
        """The sweep of a run."""
        return cls(datasets=(run.dataset,), run=run)

    def runs(self) -> list[RunIdentity]:
        """The one."""
        return [self.run]

    def key(self) -> str:
        """That of the run."""
        return self.run.key()


class SweepConfig(Frozen):
    """Which runs there are, and how they are done.

    Attributes:
        datasets: Names, or a mapping from names to settings of their own (and ``held_out``: the sets to leave out).
        algorithms: Names.
        seeds: A number n (the seeds 0 .. n - 1) or a list.
        points: Points of random search for each algorithm, seed and held-out set; the first is the defaults.
        leave_out: How many domains are held out at a time; every combination is.
        selection: Rules of selection; ``leave-one-domain-out`` and ``both`` add the runs that cross-validation needs.
        search: ``narrow`` draws every point by itself, from the ranges of the algorithms; ``wide`` spreads the points
            evenly over the ranges of `benchmarks.algorithms.ranges`.
        share_points: Whether all seeds try the same points, which rules need that share one choice.
        cross_points: Points that cross-validation has; the others only have runs of their own, so that validation may
            try as many more for the same cost. None for all.
        widen: How often the search is widened where its best point lies at the edge of a range, at most.
        families: Further names to choose for, each the algorithms that a rule chooses among.
        refit: Whether what the rules chose is trained again on training and validation parts (not for the oracle); or
            the names of the algorithms and families for which it is.
        confirmatory: Pairs of names, algorithm or family and baseline, that the sweep is to confirm; what else it
            compares is exploratory.
        settings: Of all runs, unless a data set has its own.
        fixed: Hyper-parameters that are not searched: algorithm to name to value.
        plugins: Modules or files that register data sets, algorithms and models.
        launcher: Where the runs are done.
        outputs: What they leave besides records.
        max_attempts: How often a run may lose its process before it counts as failed.

    Example:
        >>> sweep = SweepConfig(datasets="coloured-digits", algorithms=("erm",), seeds=2, points=3)
        >>> len(sweep.runs())
        18
        >>> SweepConfig.model_validate_json(sweep.model_dump_json()) == sweep
        True
    """

    datasets: Annotated[dict[DatasetName, Overrides], BeforeValidator(_as_mapping), Field(min_length=1)]
    algorithms: Annotated[
        tuple[AlgorithmName, ...], BeforeValidator(_as_list), AfterValidator(all_different), Field(min_length=1)
    ] = QUICK
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...],
        BeforeValidator(_as_seeds),
        AfterValidator(all_different),
        Field(min_length=1),
    ] = (0, 1, 2)
    points: Count = 1
    leave_out: Count = 1
    selection: Annotated[
        tuple[Annotated[str, AfterValidator(known_rule)], ...],
        BeforeValidator(_as_list),
        AfterValidator(all_different),
        Field(min_length=1),
    ] = ("validation",)
    search: Literal["narrow", "wide"] = "narrow"
    share_points: bool = False
    cross_points: Count | None = None
    widen: Annotated[int, Field(ge=0)] = 0
    families: dict[str, Annotated[tuple[AlgorithmName, ...], BeforeValidator(_as_list), Field(min_length=1)]] = Field(
        default_factory=dict
    )
    refit: Annotated[bool | tuple[str, ...], BeforeValidator(_as_list)] = False
    confirmatory: tuple[tuple[str, str], ...] = ()
    settings: SweepSettings = SweepSettings()
    fixed: dict[AlgorithmName, dict[str, int | float]] = Field(default_factory=dict)
    plugins: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = ()
    launcher: Annotated[LauncherConfig, BeforeValidator(_as_launcher)] = Local()
    outputs: Outputs = Outputs()
    max_attempts: Count = 3

    @field_validator("fixed")
    @classmethod
    def _known_hparams(cls, fixed: dict[str, dict[str, int | float]]) -> dict[str, dict[str, int | float]]:
        for algorithm, values in fixed.items():
            for name in values:
                if name not in ALGORITHMS[algorithm].space:
                    raise ValueError(f"{algorithm}: {unknown(name, ALGORITHMS[algorithm].space)}")
        return fixed

    @model_validator(mode="after")
    def _fits_together(self) -> SweepConfig:
        for family, members in self.families.items():
            if family in ALGORITHMS:
                raise ValueError(f"families: {family!r} is the name of an algorithm; give the family another one")
            _require_known(f"families.{family}", members, self.algorithms)
        names = (*self.algorithms, *self.families)
        _require_known("confirmatory", itertools.chain.from_iterable(self.confirmatory), names)
        if not isinstance(self.refit, bool):
            _require_known("refit", self.refit, names)
        shared = [rule for rule in self.selection if Rule.named(rule).shared]
        if shared and not self.share_points and not self._same_points():
            raise ValueError(f"selection {shared[0]} needs points that all seeds try alike: add share_points: true")
        if self.cross_points is not None and (not self.crossed or self.cross_points > self.points):
            raise ValueError(
                f"cross_points must be at most points={self.points}, with a selection that leaves one more domain out, "
                f"got {self.cross_points} with {', '.join(self.selection)}"
            )
        return self

    def _same_points(self) -> bool:
        """Whether all seeds try the same points without being told to: the defaults, or grids alone."""
        return self.points == 1 or all(
            isinstance(distribution, Grid) or name in self.fixed.get(algorithm, {})
            for algorithm in self.algorithms
            for name, distribution in ALGORITHMS[algorithm].space.items()
        )

    def refitted(self) -> tuple[str, ...]:
        """The algorithms and families whose choices are trained again."""
        if isinstance(self.refit, bool):
            return (*self.algorithms, *self.families) if self.refit else ()
        return self.refit

    @property
    def crossed(self) -> bool:
        """Whether a rule needs runs that hold one more domain out."""
        return any(Rule.named(name).crossed for name in self.selection)

    @model_validator(mode="after")
    def _possible(self) -> SweepConfig:
        for dataset, own in self.datasets.items():
            settings = own.settings(self.settings)
            try:
                settings = with_default(settings, DATASETS[dataset].model, DATASETS[dataset].pretrained)
                require_fitting(settings, settings.model or "")
                if DATASETS[dataset].loss in _OF_QUANTITIES:
                    require_classes(settings, quantity=True)
            except (ImportError, ValueError) as error:
                raise ValueError(f"{dataset}: {error}") from error
            domains = DATASETS[dataset].domains
            # Cross-validation holds out one more; at least one domain must be left to train on.
            extra = self.crossed
            sets = own.held_out if own.held_out is not None else [domains[: self.leave_out]]
            for held_out in sets:
                for name in held_out:
                    if name not in domains:
                        raise ValueError(f"held_out of {dataset}: {unknown(name, domains)}")
                if len(held_out) + extra >= len(domains):
                    raise ValueError(
                        f"{dataset} has {len(domains)} domains: holding out {len(held_out)}"
                        + (", and one more for leave-one-domain-out validation," if extra else "")
                        + " leaves none to train on"
                    )
        return self

    def held_out(self, dataset: str) -> list[tuple[str, ...]]:
        """The sets of domains to report on, in the data set's order of domains."""
        own = self.datasets[dataset].held_out
        if own is not None:
            return list(dict.fromkeys(_ordered(dataset, names) for names in own))
        return list(itertools.combinations(DATASETS[dataset].domains, self.leave_out))

    def training_sets(self, dataset: str) -> list[tuple[str, ...]]:
        """The sets to hold out in runs: those to report on, then those that cross-validation adds."""
        sets = dict.fromkeys(self.held_out(dataset))
        if self.crossed:
            for names in list(sets):
                others = [name for name in DATASETS[dataset].domains if name not in names]
                sets.update(dict.fromkeys(_ordered(dataset, (*names, other)) for other in others))
        return list(sets)

    def runs(self) -> list[RunConfig]:
        """All runs. Algorithms alternate, so that an unfinished sweep is unfinished for all of them alike."""
        return list(self._runs())

    def _runs(self) -> Iterator[RunConfig]:
        for dataset in self.datasets:
            reported, settings = set(self.held_out(dataset)), self.of_dataset(dataset)
            for seed, held_out, point, algorithm in itertools.product(
                self.seeds, self.training_sets(dataset), range(self.points), self.algorithms
            ):
                if held_out in reported or self.cross_points is None or point < self.cross_points:
                    hparams = self.hparams(dataset, algorithm, seed, point, settings)
                    yield self.run(dataset, algorithm, held_out, seed, point, hparams, settings)

    def run(
        self,
        dataset: str,
        algorithm: str,
        held_out: tuple[str, ...],
        seed: int,
        point: int,
        hparams: Mapping[str, float],
        settings: SweepSettings,
    ) -> RunConfig:
        """One run with these hyper-parameters; `settings` are those `of_dataset`."""
        return RunConfig(
            dataset=dataset,
            algorithm=algorithm,
            held_out=held_out,
            seed=seed,
            point=point,
            hparams=dict(hparams),
            **settings.model_dump(exclude={"lr_scale", "regime"}),
        )

    def of_dataset(self, dataset: str) -> SweepSettings:
        """The settings of a data set, with a model."""
        own = self.datasets[dataset].settings(self.settings)
        return with_default(own, DATASETS[dataset].model, DATASETS[dataset].pretrained)

    def space(self, dataset: str, algorithm: str, settings: SweepSettings) -> Space:
        """Where the points of an algorithm are searched on a data set."""
        space = ALGORITHMS[algorithm].space
        if self.search == "narrow":
            return space
        told = regime_of(settings.model or "", settings.tuning, DATASETS[dataset].loss)
        return wide(space, settings.regime or told)

    def hparams(self, dataset: str, algorithm: str, seed: int, point: int, settings: SweepSettings) -> dict[str, float]:
        """The hyper-parameters of a point."""
        # The held-out set is no part of the seed: the runs of a cross-validation must try the same points.
        names = (dataset, "all seeds") if self.share_points else (dataset, seed)
        take = spread if self.search == "wide" else draw
        drawn = take(self.space(dataset, algorithm, settings), point, seed_from(*names))
        if "lr" in drawn:
            drawn = {**drawn, "lr": settings.lr_scale * drawn["lr"]}
        return {**drawn, **self.fixed.get(algorithm, {})}

    def key(self) -> str:
        """A short name of the set of runs: the same for the same runs, wherever they are done."""
        keys = [run.key() for run in self.runs()]
        return hashlib.sha256(json.dumps(keys).encode()).hexdigest()[:16]

    def in_process(self) -> SweepConfig:
        """The same runs, done in this process."""
        return self.model_copy(update={"launcher": InProcess()})


def _require_known(where: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{where}: {unknown(name, known)}")


_OF_QUANTITIES = (mse_loss, l1_loss, smooth_l1_loss, huber_loss)
"""Losses that tell before the data are read that there are no classes."""


def _ordered(dataset: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in DATASETS[dataset].domains if name in names)
