"""The candidates of a search, and the runs that a figure of one of them asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.algorithms import ALGORITHMS
from benchmarks.datasets import DATASETS
from benchmarks.models import known_model
from benchmarks.models.backbones import PREFIX, skeleton
from benchmarks.models.settings import FROZEN, FULL
from benchmarks.models.weights import NONE, PACKAGE, PACKAGE_FITS, TIMM, pinned
from benchmarks.runs.config import RunConfig
from benchmarks.runs.fits import fit_of
from benchmarks.studies.choose.recipe import Recipe, Size
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.search import Search
from benchmarks.sweeps.settings import Overrides, SweepSettings

Outer = frozenset[str]
"""What a choice is made without: no domain, or one."""

MOST_POINTS, MOST_RUNGS = 100, 10


@dataclass(frozen=True)
class Candidate:
    """One line of the search.

    Attributes:
        model: Number of the model.
        algorithm: Name.
        point: Of the wide range.
    """

    model: int
    algorithm: str
    point: int


@dataclass(frozen=True)
class Space:
    """All that can be chosen.

    Attributes:
        dataset: Its name.
        domains: All of them.
        sweeps: For each model the sweep whose settings and points its runs have; after them one for each pretrained
            network that can be fine-tuned.
        size, recipe: Of the search.
        unseen: Further domains, which all runs hold out and no choice looks at: those of a study.
        tunable: How many of the sweeps fine-tune.
    """

    dataset: str
    domains: tuple[str, ...]
    sweeps: tuple[SweepConfig, ...]
    size: Size
    recipe: Recipe
    unseen: tuple[str, ...] = ()
    tunable: int = 0
    _settings: dict[int, SweepSettings] = field(default_factory=dict, repr=False, compare=False)

    @property
    def default(self) -> Candidate:
        """Plain ERM with the first model."""
        return Candidate(0, self.recipe.default, 0)

    @property
    def kept(self) -> range:
        """Numbers of the models that are not fine-tuned."""
        return range(len(self.sweeps) - self.tunable)

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Those of the size, without fine-tuning."""
        return self.recipe.algorithms[: self.size.algorithms]

    def algorithms_of(self, model: int) -> tuple[str, ...]:
        """Those of the size for a model; none if it is fine-tuned and the size has no fine-tuning."""
        return self.algorithms if model in self.kept else self.recipe.tuned[: self.size.tuned]

    def sizes(self, tuned: bool) -> list[Size]:
        """Those of the recipe, with fine-tuning or without."""
        return [size for size in self.recipe.sizes if not size.tuned or (tuned and self.tunable)]

    @property
    def rungs(self) -> range:
        """Numbers of the rungs of the size."""
        number = len(self.recipe.rungs)
        return range(number - min(self.size.rungs, number), number)

    def candidates(self) -> list[Candidate]:
        """The default first, then point by point."""
        found = [
            Candidate(model, algorithm, point)
            for point in range(self.size.points)
            for model in range(len(self.sweeps))
            for algorithm in self.algorithms_of(model)
        ]
        return list(dict.fromkeys([self.default, *found]))

    def rollouts(self, rung: int) -> int:
        """Length of the runs of a rung."""
        return max(self.recipe.checkpoints, round(self.recipe.rungs[rung].length * self.size.rollouts))

    def last(self, rung: int) -> int:
        """The number of the last checkpoint of a rung."""
        rollouts = self.rollouts(rung)
        every = -(-rollouts // self.recipe.checkpoints)
        return -(-rollouts // every) - 1

    def seeds(self, rung: int) -> range:
        """Of a rung."""
        return range(self.size.seeds if rung == len(self.recipe.rungs) - 1 else 1)

    def inner(self, outer: Outer) -> list[str]:
        """The domains that are left out in turn for a choice without `outer`; none where nothing is left to train on.

        For the empty set all; else the nearest in the circle of domains, so that two domains ask for each other.
        """
        if not outer:
            return list(self.domains)
        (own,) = outer
        others = len(self.domains) - 1
        if others < 2:
            return []
        if others <= self.recipe.inner:
            return [name for name in self.domains if name != own]
        place, reach = self.domains.index(own), self.recipe.inner // 2
        near = {(place + step) % len(self.domains) for step in range(-reach, reach + 1) if step}
        return [name for number, name in enumerate(self.domains) if number in near]

    def outers(self) -> list[Outer]:
        """The empty set, then each domain."""
        return [frozenset(), *(frozenset([name]) for name in self.domains)]

    def held_out(self, outer: Outer) -> list[Outer]:
        """What the runs hold out that a figure for `outer` asks for.

        With two domains nothing is left to leave out beside one: the choice without it is made by validation inside
        the other.
        """
        inner = self.inner(outer)
        return [outer | {name} for name in inner] if inner else [outer]

    def run(self, candidate: Candidate, held_out: Outer, seed: int, rung: int) -> RunConfig:
        """One run. Rungs and models have points of their own, for a report tells runs apart by their point."""
        sweep, settings = self.sweeps[candidate.model], self._settings_of(candidate.model)
        rollouts = self.rollouts(rung)
        every = -(-rollouts // self.recipe.checkpoints)
        hparams = sweep.hparams(self.dataset, candidate.algorithm, 0, candidate.point, settings)
        point = candidate.point + MOST_POINTS * (rung + MOST_RUNGS * candidate.model)
        names = (*(name for name in self.domains if name in held_out), *self.unseen)
        own = settings.model_copy(update={"rollouts": rollouts, "evaluate_every": every})
        return sweep.run(self.dataset, candidate.algorithm, names, seed, point, hparams, own)

    def _settings_of(self, model: int) -> SweepSettings:
        if model not in self._settings:
            self._settings[model] = self.sweeps[model].of_dataset(self.dataset)
        return self._settings[model]

    def runs(self, candidate: Candidate, outer: Outer, rung: int) -> list[RunConfig]:
        """Those that the figure of a candidate for `outer` asks for."""
        return [
            self.run(candidate, held_out, seed, rung) for held_out in self.held_out(outer) for seed in self.seeds(rung)
        ]


def space_of(
    dataset: str,
    models: Sequence[str],
    settings: SweepSettings,
    size: Size,
    recipe: Recipe,
    unseen: tuple[str, ...] = (),
) -> Space:
    """The space of a request.

    Args:
        dataset: Name of the data set.
        models: Names, or NAME=WEIGHTS of a network of timm; none for the data set's own.
        settings: Of all runs.
        size, recipe: Of the search.
        unseen: Domains that no choice looks at.

    Raises:
        ValueError: if a model cannot be had without a download, or does not fit.
    """
    entry = DATASETS[dataset]
    domains = tuple(name for name in entry.domains if name not in unseen)
    if len(domains) == 2:  # each run trains on one of them, and a roll-out over domains asks for two
        pooled, tuned = (
            tuple(name for name in names if ALGORITHMS[name].batches != "single-domain")
            for names in (recipe.algorithms, recipe.tuned)
        )
        recipe = replace(recipe, algorithms=pooled, tuned=tuned)

    def sweep(own: SweepSettings, algorithms: tuple[str, ...]) -> SweepConfig:
        return SweepConfig(
            datasets={dataset: Overrides()},
            algorithms=algorithms,
            seeds=tuple(range(size.seeds)),
            points=size.points,
            search=Search(ranges="wide"),
            share_points=True,
            settings=own,
        )

    common = {"batch_size": recipe.batch_size, "splits": recipe.splits}
    given = {key: getattr(settings, key) for key in settings.model_fields_set}
    found, fine = [], []
    for name in models or (None,):
        own = settings.model_copy(update={**common, **_of_model(name), **given})
        found.append(sweep(own, recipe.algorithms))
        own = found[-1].of_dataset(dataset)
        if own.tuning == FROZEN and fit_of(dataset, own.model) is None:
            fine.append(sweep(own.model_copy(update=_fine_tuned(own.model or "")), recipe.tuned))
    return Space(dataset, domains, (*found, *fine), size, recipe, unseen, len(fine))


def _fine_tuned(model: str) -> dict[str, str | None]:
    """The settings of a pretrained network all of which is trained; BatchNorm, where it has some, keeps its statistics,
    for mini-batches of one domain would move them from domain to domain."""
    layers = skeleton(model.removeprefix(PREFIX)).modules()
    normalises = any(isinstance(layer, _BatchNorm) for layer in layers)
    return {"tuning": FULL, "batch_norm": "frozen-statistics" if normalises else None}


def _of_model(name: str | None) -> dict[str, str]:
    if name is None:
        return {}
    model, _, weights = name.partition("=")
    try:
        known_model(model)
        if not model.startswith(PREFIX):
            if weights:
                raise ValueError(f"weights are for networks of timm; {model} is trained from scratch")
            return {"model": model}
        if not weights and model == PACKAGE_FITS:
            weights = PACKAGE
        if weights in ("", NONE, TIMM):
            raise ValueError(
                f"say where its weights are, {model}=FILE; nothing is downloaded here ({PACKAGE_FITS} has them from "
                "the extra models)"
            )
        return {"model": model, "weights": pinned(weights), "tuning": FROZEN}
    except ValueError as error:
        raise ValueError(f"--model {name}: {error}") from error
