"""A sweep: data sets x held-out domains x seeds x points of random search x algorithms."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator
from torch.nn.functional import huber_loss, l1_loss, mse_loss, smooth_l1_loss

from benchmarks.algorithms import ALGORITHMS, QUICK
from benchmarks.base.config import Count, Frozen
from benchmarks.base.errors import all_different, one_of, unknown
from benchmarks.base.search import draw
from benchmarks.base.seeds import seed_from
from benchmarks.datasets import DATASETS
from benchmarks.models import require_fitting
from benchmarks.models.default import with_default
from benchmarks.runs.config import RunConfig
from benchmarks.runs.judging import require_classes
from benchmarks.runs.protocol import LEAVE_ONE_OUT, METHODS
from benchmarks.sweeps.launcher_config import InProcess, LauncherConfig, Local
from benchmarks.sweeps.selected import Kept, key_of
from benchmarks.sweeps.settings import Outputs, Overrides, SweepSettings
from benchmarks.sweeps.written import HParams, Template, Written

DatasetName = Annotated[str, one_of(DATASETS)]
AlgorithmName = Annotated[str, one_of(ALGORITHMS)]


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


class SweepConfig(Frozen):
    """Which runs there are, and how they are done.

    Attributes:
        datasets: Names, or a mapping from names to settings of their own (and ``held_out``: the sets to leave out).
        algorithms: Names.
        seeds: A number n (the seeds 0 .. n - 1) or a list.
        points: Points of random search for each algorithm, seed and held-out set; the first is the defaults.
        leave_out: How many domains are held out at a time; every combination is.
        selection: Methods of selection; ``leave-one-domain-out`` adds the runs that its cross-validation needs.
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
        tuple[Annotated[str, one_of(METHODS)], ...],
        BeforeValidator(_as_list),
        AfterValidator(all_different),
        Field(min_length=1),
    ] = ("training-domain",)
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
            extra = LEAVE_ONE_OUT in self.selection
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
        if LEAVE_ONE_OUT in self.selection:
            for names in list(sets):
                others = [name for name in DATASETS[dataset].domains if name not in names]
                sets.update(dict.fromkeys(_ordered(dataset, (*names, other)) for other in others))
        return list(sets)

    def runs(self) -> list[RunConfig]:
        """All runs. Algorithms alternate, so that an unfinished sweep is unfinished for all of them alike."""
        return [
            self._run(dataset, seed, held_out, point, algorithm)
            for dataset in self.datasets
            for seed, held_out, point, algorithm in itertools.product(
                self.seeds, self.training_sets(dataset), range(self.points), self.algorithms
            )
        ]

    def first_runs(self) -> list[RunConfig]:
        """One run of each algorithm on each data set."""
        return [
            self._run(dataset, self.seeds[0], held_out, 0, algorithm)
            for dataset in self.datasets
            for held_out in self.training_sets(dataset)[:1]
            for algorithm in self.algorithms
        ]

    def written(self, kept: Kept | None = None) -> Iterator[Written]:
        """The same as `runs`, as a store has them.

        Args:
            kept: Keeps hyper-parameters that are drawn, for the next call.
        """
        for dataset in self.datasets:
            scale = self._settings(dataset).lr_scale
            templates = [
                [Template(self._run(dataset, self.seeds[0], held_out, 0, name)) for name in self.algorithms]
                for held_out in self.training_sets(dataset)
            ]
            for seed in self.seeds:
                if kept is None or (dataset, seed) not in kept:
                    drawn = [self._drawn(dataset, seed, point, scale) for point in range(self.points)]
                    if kept is not None:
                        kept[dataset, seed] = drawn
                else:
                    drawn = kept[dataset, seed]
                for row in templates:
                    for point, hparams in enumerate(drawn):
                        for template, own in zip(row, hparams, strict=True):
                            yield template.fill(seed, point, own)

    def size(self) -> int:
        """How many runs there are."""
        each = len(self.seeds) * self.points * len(self.algorithms)
        return sum(each * len(self.training_sets(dataset)) for dataset in self.datasets)

    def _run(self, dataset: str, seed: int, held_out: tuple[str, ...], point: int, algorithm: str) -> RunConfig:
        settings = self._settings(dataset).model_dump()
        scale = settings.pop("lr_scale")
        return RunConfig(
            dataset=dataset,
            algorithm=algorithm,
            held_out=held_out,
            seed=seed,
            point=point,
            hparams=self._hparams(dataset, seed, point, algorithm, scale, {}),
            **settings,
        )

    def _settings(self, dataset: str) -> SweepSettings:
        own = self.datasets[dataset].settings(self.settings)
        return with_default(own, DATASETS[dataset].model, DATASETS[dataset].pretrained)

    def _hparams(
        self, dataset: str, seed: int, point: int, algorithm: str, scale: float, drawn: dict[Any, float]
    ) -> dict[str, float]:
        """The hyper-parameters of a run; `drawn` keeps those that other algorithms share."""
        # The held-out set is no part of the seed: the runs of a cross-validation must try the same points.
        space = ALGORITHMS[algorithm].space
        for name, distribution in space.items():
            if (name, distribution) not in drawn:
                drawn[name, distribution] = draw({name: distribution}, point, seed_from(dataset, seed))[name]
        found = {name: drawn[name, distribution] for name, distribution in space.items()}
        if "lr" in found:
            found["lr"] = scale * found["lr"]
        return {**found, **self.fixed.get(algorithm, {})}

    def _drawn(self, dataset: str, seed: int, point: int, scale: float) -> list[HParams]:
        drawn: dict[Any, float] = {}
        return [HParams(self._hparams(dataset, seed, point, name, scale, drawn)) for name in self.algorithms]

    def key(self, kept: Kept | None = None) -> str:
        """A short name of the set of runs: the same for the same runs, wherever they are done."""
        return key_of(run.key for run in self.written(kept))

    def in_process(self) -> SweepConfig:
        """The same runs, done in this process."""
        return self.model_copy(update={"launcher": InProcess()})


_OF_QUANTITIES = (mse_loss, l1_loss, smooth_l1_loss, huber_loss)
"""Losses that tell before the data are read that there are no classes."""


def _ordered(dataset: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in DATASETS[dataset].domains if name in names)
