"""A sweep: data sets x held-out domains x seeds x points of random search x algorithms."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator
from torch.nn.functional import huber_loss, l1_loss, mse_loss, smooth_l1_loss

from benchmarks.algorithms import ALGORITHMS, QUICK
from benchmarks.algorithms.ranges import regime_of, wide
from benchmarks.base.config import Count, Frozen
from benchmarks.base.errors import all_different, one_of, unknown
from benchmarks.base.search import Grid, Space, draw, spread
from benchmarks.base.seeds import seed_from
from benchmarks.datasets import DATASETS
from benchmarks.models import require_fitting
from benchmarks.models.default import with_default
from benchmarks.runs.config import RunConfig
from benchmarks.runs.judging import require_classes
from benchmarks.runs.rules import ORACLE, VALIDATION, Rule, known_rule
from benchmarks.sweeps.given import as_launcher, as_list, as_mapping, as_search, as_seeds
from benchmarks.sweeps.launcher_config import InProcess, LauncherConfig, Local
from benchmarks.sweeps.search import Round, Search, rounds
from benchmarks.sweeps.selected import Kept, key_of
from benchmarks.sweeps.settings import Outputs, Overrides, SweepSettings
from benchmarks.sweeps.written import HParams, Template, Written

DatasetName = Annotated[str, one_of(DATASETS)]
AlgorithmName = Annotated[str, one_of(ALGORITHMS)]


class SweepConfig(Frozen):
    """Which runs there are, and how they are done.

    Attributes:
        datasets: Names, or a mapping from names to settings of their own (and ``held_out``: the sets to leave out).
        algorithms: Names.
        seeds: A number n (the seeds 0 .. n - 1) or a list.
        points: Points for each algorithm, seed and held-out set, the first of which is the defaults; with pruning, the
            runs of full length whose cost more of them share.
        leave_out: How many domains are held out at a time; every combination is.
        selection: Rules of selection; ``leave-one-domain-out`` and ``both`` add the runs that cross-validation needs.
        search: How points are searched: see `benchmarks.sweeps.search`. In short ``narrow`` draws every point by
            itself, from the ranges of the algorithms; ``wide`` spreads them evenly over those of
            `benchmarks.algorithms.ranges`.
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

    datasets: Annotated[dict[DatasetName, Overrides], BeforeValidator(as_mapping), Field(min_length=1)]
    algorithms: Annotated[
        tuple[AlgorithmName, ...], BeforeValidator(as_list), AfterValidator(all_different), Field(min_length=1)
    ] = QUICK
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...],
        BeforeValidator(as_seeds),
        AfterValidator(all_different),
        Field(min_length=1),
    ] = (0, 1, 2)
    points: Count = 1
    leave_out: Count = 1
    selection: Annotated[
        tuple[Annotated[str, AfterValidator(known_rule)], ...],
        BeforeValidator(as_list),
        AfterValidator(all_different),
        Field(min_length=1),
    ] = ("validation",)
    search: Annotated[Search, BeforeValidator(as_search)] = Search()
    share_points: bool = False
    cross_points: Count | None = None
    widen: Annotated[int, Field(ge=0, strict=True)] = 0
    families: dict[
        str,
        Annotated[
            tuple[AlgorithmName, ...], BeforeValidator(as_list), AfterValidator(all_different), Field(min_length=1)
        ],
    ] = Field(default_factory=dict)
    refit: Annotated[bool | tuple[str, ...], BeforeValidator(as_list)] = False
    confirmatory: tuple[tuple[str, str], ...] = ()
    settings: SweepSettings = SweepSettings()
    fixed: dict[AlgorithmName, dict[str, int | float]] = Field(default_factory=dict)
    plugins: Annotated[tuple[str, ...], BeforeValidator(as_list)] = ()
    launcher: Annotated[LauncherConfig, BeforeValidator(as_launcher)] = Local()
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
        _require_pairs(self.confirmatory)
        if self.refit and all(Rule.named(rule).method == ORACLE for rule in self.selection):
            raise ValueError("refit: what the oracle chooses is not trained again; add a selection that does not cheat")
        shared = [rule for rule in self.selection if Rule.named(rule).shared]
        if shared and not self.share_points and (self.search.in_rounds or not self._same_points()):
            raise ValueError(f"selection {shared[0]} needs points that all seeds try alike: add share_points: true")
        if self.cross_points is not None and (not self.crossed or self.cross_points > self.points):
            raise ValueError(
                f"cross_points must be at most points={self.points}, with a selection that leaves one more domain out, "
                f"got {self.cross_points} with {', '.join(self.selection)}"
            )
        self._require_searchable()
        return self

    def _require_searchable(self) -> None:
        if not self.search.in_rounds:
            return
        if self.crossed:
            rule = next(name for name in self.selection if Rule.named(name).crossed)
            raise ValueError(
                f"search: every held-out set searches by its own training domains, and selection {rule} needs points "
                "that all of them try alike: choose by validation, or search without tpe and prune"
            )
        self.search.require_optuna()
        for dataset in self.datasets:
            self.rounds(dataset)

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
    def leading(self) -> Rule:
        """By which a search goes on: the first rule that does not cheat; validation where all do."""
        rules = (Rule.named(name) for name in self.selection)
        return next((rule for rule in rules if rule.method != ORACLE), Rule.named(VALIDATION))

    @property
    def crossed(self) -> bool:
        """Whether a rule needs runs that hold one more domain out."""
        return any(Rule.named(name).crossed for name in self.selection)

    @model_validator(mode="after")
    def _possible(self) -> SweepConfig:
        for algorithm in self.fixed:
            if algorithm not in self.algorithms:
                raise ValueError(
                    f"fixed: the sweep has no algorithm {algorithm!r}; its algorithms are: {', '.join(self.algorithms)}"
                )
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

    def rounds(self, dataset: str) -> tuple[Round, ...]:
        """The rounds of the search on a data set; one, unless its search has runs that follow from others."""
        settings = self.datasets[dataset].settings(self.settings)
        return rounds(self.search, self.points, settings.rollouts, settings.evaluate_every)

    def points_of(self, dataset: str) -> dict[tuple[str, ...], int]:
        """How many points each of the `training_sets` has in the first round, which is tried whatever comes of it."""
        reported = set(self.held_out(dataset))
        all_ = self.rounds(dataset)[0].numbers[0]
        fewer = all_ if self.cross_points is None else self.cross_points
        return {names: all_ if names in reported else fewer for names in self.training_sets(dataset)}

    def runs(self) -> list[RunConfig]:
        """All runs that are known from the start: of the first round, with their first length.

        Algorithms alternate, so that an unfinished sweep is unfinished for all of them alike.
        """
        return [
            self.run(
                *(dataset, name, held_out, seed, point),
                *(self.hparams(dataset, name, seed, point, settings), settings, length),
            )
            for dataset in self.datasets
            for settings, length in [(self.of_dataset(dataset), self.rounds(dataset)[0].lengths[0])]
            for seed, (held_out, points) in itertools.product(self.seeds, self.points_of(dataset).items())
            for point, name in itertools.product(range(points), self.algorithms)
        ]

    def first_runs(self) -> list[RunConfig]:
        """One run of each algorithm on each data set."""
        return [
            self._first(dataset, name, held_out)
            for dataset in self.datasets
            for held_out in self.training_sets(dataset)[:1]
            for name in self.algorithms
        ]

    def written(self, kept: Kept | None = None) -> Iterator[Written]:
        """The same as `runs`, as a store has them.

        Args:
            kept: Keeps hyper-parameters that are drawn, for the next call.
        """
        for dataset in self.datasets:
            rows = [
                (points, [Template(self._first(dataset, name, held_out)) for name in self.algorithms])
                for held_out, points in self.points_of(dataset).items()
            ]
            for seed in self.seeds:
                if kept is None or (dataset, seed) not in kept:
                    drawn = self._drawn(dataset, seed)
                    if kept is not None:
                        kept[dataset, seed] = drawn
                else:
                    drawn = kept[dataset, seed]
                for points, templates in rows:
                    for point, hparams in enumerate(drawn[:points]):
                        for template, own in zip(templates, hparams, strict=True):
                            yield template.fill(seed, point, own)

    def size(self) -> int:
        """How many runs are known from the start."""
        points = sum(sum(self.points_of(dataset).values()) for dataset in self.datasets)
        return len(self.seeds) * len(self.algorithms) * points

    def _first(self, dataset: str, algorithm: str, held_out: tuple[str, ...]) -> RunConfig:
        settings, seed = self.of_dataset(dataset), self.seeds[0]
        hparams = self.hparams(dataset, algorithm, seed, 0, settings)
        return self.run(dataset, algorithm, held_out, seed, 0, hparams, settings, self.rounds(dataset)[0].lengths[0])

    def run(
        self,
        dataset: str,
        algorithm: str,
        held_out: tuple[str, ...],
        seed: int,
        point: int,
        hparams: Mapping[str, float],
        settings: SweepSettings,
        length: int | None = None,
    ) -> RunConfig:
        """One run with these hyper-parameters; `settings` are those `of_dataset`, `length` its roll-outs if not all."""
        return RunConfig(
            dataset=dataset,
            algorithm=algorithm,
            held_out=held_out,
            seed=seed,
            point=point,
            hparams=dict(hparams),
            until=length if length is not None and length < settings.rollouts else None,
            **settings.model_dump(exclude={"lr_scale", "regime"}),
        )

    def of_dataset(self, dataset: str) -> SweepSettings:
        """The settings of a data set, with a model."""
        own = self.datasets[dataset].settings(self.settings)
        return with_default(own, DATASETS[dataset].model, DATASETS[dataset].pretrained)

    def space(self, dataset: str, algorithm: str, settings: SweepSettings) -> Space:
        """Where the points of an algorithm are searched on a data set."""
        space = ALGORITHMS[algorithm].space
        if self.search.ranges == "narrow":
            return space
        told = regime_of(settings.model or "", settings.tuning, DATASETS[dataset].loss)
        return wide(space, settings.regime or told)

    def hparams(
        self,
        dataset: str,
        algorithm: str,
        seed: int,
        point: int,
        settings: SweepSettings,
        drawn: dict[Any, float] | None = None,
    ) -> dict[str, float]:
        """The hyper-parameters of a point; `drawn` keeps those that other algorithms share with it."""
        drawn = {} if drawn is None else drawn
        # The held-out set is no part of the seed: the runs of a cross-validation must try the same points.
        names = (dataset, "all seeds") if self.share_points else (dataset, seed)
        take = spread if self.search.even else draw
        space = self.space(dataset, algorithm, settings)
        for name, distribution in space.items():
            if (name, distribution) not in drawn:
                drawn[name, distribution] = take({name: distribution}, point, seed_from(*names))[name]
        found = {name: drawn[name, distribution] for name, distribution in space.items()}
        if "lr" in found:
            found["lr"] = settings.lr_scale * found["lr"]
        return {**found, **self.fixed.get(algorithm, {})}

    def _drawn(self, dataset: str, seed: int) -> list[list[HParams]]:
        settings = self.of_dataset(dataset)
        drawn: list[dict[Any, float]] = [{} for _ in range(self.rounds(dataset)[0].numbers[0])]
        return [
            [HParams(self.hparams(dataset, name, seed, point, settings, shared)) for name in self.algorithms]
            for point, shared in enumerate(drawn)
        ]

    def key(self, kept: Kept | None = None) -> str:
        """A short name of the set of runs: the same for the same runs, wherever they are done."""
        return key_of(run.key for run in self.written(kept))

    def in_process(self) -> SweepConfig:
        """The same runs, done in this process."""
        return self.model_copy(update={"launcher": InProcess()})


def _require_pairs(pairs: Collection[tuple[str, str]]) -> None:
    """Of different names, each once: they are corrected for one another."""
    for one, other in pairs:
        if one == other:
            raise ValueError(f"confirmatory: {one!r} is compared with itself")
    if len({frozenset(pair) for pair in pairs}) < len(pairs):
        raise ValueError("confirmatory: a pair is given twice; each counts as one comparison")


def _require_known(where: str, names: Iterable[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{where}: {unknown(name, known)}")


_OF_QUANTITIES = (mse_loss, l1_loss, smooth_l1_loss, huber_loss)
"""Losses that tell before the data are read that there are no classes."""


def _ordered(dataset: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in DATASETS[dataset].domains if name in names)
