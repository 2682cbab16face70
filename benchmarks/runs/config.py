"""What identifies a run: everything that decides its result except the code, and nothing else."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from benchmarks.base.config import Count, Frozen
from benchmarks.base.errors import all_different
from benchmarks.base.judges import known_chooser, known_judge
from benchmarks.base.records import SEPARATOR, held_out_domains
from benchmarks.datasets import DATASETS
from benchmarks.models.settings import ModelSettings
from benchmarks.runs.folds import Dealing


class HParamValues(dict[str, int | float]):
    """Hyper-parameters that cannot be changed: their run's key depends on them."""

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError("the hyper-parameters of a run are fixed; make another configuration with model_copy()")

    __setitem__ = __delitem__ = __ior__ = _refuse
    update = pop = popitem = clear = setdefault = _refuse

    def __reduce__(self) -> tuple[type[HParamValues], tuple[dict[str, int | float]]]:
        return HParamValues, (dict(self),)


HeldOut = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: held_out_domains(value) if isinstance(value, str) else value),
    AfterValidator(lambda names: tuple(dict.fromkeys(names))),
    PlainSerializer(SEPARATOR.join, return_type=str),
    Field(min_length=1),
]
"""The held-out domains: a tuple here, one string in JSON."""

LATER: dict[str, Any] = {
    "depth": None,
    "weights": "none",
    "tuning": "full",
    "batch_norm": None,
    "image_size": None,
    "class_weights": "none",
    "metric": None,
    "measures": [],
    "folds": None,
    "refit": None,
    "valley": [],
    "until": None,
}
"""Fields that came later, and their defaults: with these a run is the one that it was before, and has its key."""


def _known_weights(text: str) -> str:
    if text not in ("none", "balanced"):
        try:
            numbers = [float(word) for word in text.split(",")]
        except ValueError:
            numbers = []
        if not numbers or not all(0.0 < number < math.inf for number in numbers):
            raise ValueError(
                f"must be 'none', 'balanced', or positive numbers joined by commas, one for each class; got {text!r}"
            )
    return text


ClassWeights = Annotated[str, AfterValidator(_known_weights)]
Measures = Annotated[
    tuple[Annotated[str, AfterValidator(known_judge)], ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    AfterValidator(all_different),
]


class Settings(ModelSettings):
    """How the runs on one data set are made.

    Attributes:
        rollouts: Length of the run in roll-outs; each is `splits` gradient evaluations for every training domain, also
            for algorithms that know no roll-outs.
        evaluate_every: Roll-outs between checkpoints; the end is a checkpoint too.
        batch_size: Examples per gradient evaluation.
        splits: Gradient evaluations of a roll-out for every training domain.
        class_weights: Of the loss: ``none``, ``balanced`` (n / (classes x examples of the class), counted on the
            training parts of the training domains), or numbers joined by commas, one for each class in its order.
        metric: What chooses points and checkpoints, by its name in `benchmarks.base.judges`; None for the data set's.
        measures: What is measured beside it, from the same list.
        folds: How groups are dealt to folds: see `benchmarks.runs.folds`. None for what the data set has.

    The other fields are those of `benchmarks.models.settings.ModelSettings`.
    """

    rollouts: Count = 160
    evaluate_every: Count = 20
    batch_size: Count = 32
    splits: Count = 3
    class_weights: ClassWeights = "none"
    metric: Annotated[str, AfterValidator(known_chooser)] | None = None
    measures: Measures = ()
    folds: Dealing | None = None


class RunIdentity(Frozen):
    """What every run has, whatever its data set is: a place in a comparison, and a name made of all that decides it.

    Attributes:
        dataset: Name of the data set.
        algorithm: Name in the registry of algorithms.
        held_out: Names of the domains that the run must not see; in JSON joined by "+".
        seed: Of the data split, the initialisation and the order of the batches.
        point: Number of the point of random search; point 0 is the defaults.
        hparams: The hyper-parameters of that point.
        model: Name of the network.
    """

    dataset: str
    algorithm: str
    held_out: HeldOut
    seed: Annotated[int, Field(ge=0)]
    point: Annotated[int, Field(ge=0)]
    hparams: Annotated[dict[str, int | float], AfterValidator(HParamValues), PlainSerializer(dict)]
    model: str

    def config(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return self.model_dump(mode="json")

    def key(self) -> str:
        """A short name, the same for the same fields, whatever their order."""
        return hashlib.sha256(json.dumps(self.config(), sort_keys=True).encode()).hexdigest()[:16]

    def __hash__(self) -> int:
        return hash(self.key())

    def budget(self) -> int | None:
        """Gradient evaluations that the run pays for; None where its configuration alone does not tell."""
        return None


class RunConfig(RunIdentity, Settings):
    """A training run on a data set of the registry, held in memory.

    Attributes:
        refit: Roll-outs after which the run ends that trains a choice again, on training and validation parts of the
            training domains; None for a run of the search. What has a schedule has that of all `rollouts`.
        valley: Validation losses of the run that was chosen, one for each checkpoint until there, which a refit tells
            an algorithm that asks for them: it has no validation part of its own.
        until: Roll-outs after which a run of the search ends that is shorter than `rollouts`; None for one of full
            length. What has a schedule has that of all `rollouts`: the run is the beginning of the one of full length.

    Example:
        >>> run = RunConfig(dataset="coloured-digits", algorithm="erm", held_out="10%", seed=0, point=0, hparams={})
        >>> RunConfig.model_validate_json(run.model_dump_json()) == run
        True
        >>> run.held_out, run.config()["held_out"], len(run.key())
        (('10%',), '10%', 16)
    """

    model: str = "mlp"
    refit: Count | None = None
    valley: tuple[float, ...] = ()
    until: Count | None = None

    @model_validator(mode="after")
    def _ends_in_time(self) -> RunConfig:
        if self.until is not None and (self.until >= self.rollouts or self.refit is not None):
            raise ValueError(
                f"until must be less than rollouts={self.rollouts}, of a run that is no refit, got {self.until}"
            )
        if self.refit is not None and self.refit > self.rollouts:
            raise ValueError(f"refit must be at most the {self.rollouts} rollouts of the search, got {self.refit}")
        if self.valley and self.refit is None:
            raise ValueError("valley is for a refit: leave it out, or give refit as well")
        return self

    def config(self) -> dict[str, Any]:
        """The fields, ready for JSON; of those in `LATER` the ones that are not at their defaults."""
        return {name: value for name, value in super().config().items() if name not in LATER or value != LATER[name]}

    @property
    def ends(self) -> int:
        """Roll-outs after which the run ends."""
        return self.refit or self.until or self.rollouts

    def evaluations(self, n_domains: int) -> int:
        """Gradient evaluations that the run pays for on a data set of `n_domains` domains in all."""
        return self.ends * self.splits * (n_domains - len(self.held_out))

    def budget(self) -> int:
        return self.evaluations(len(DATASETS[self.dataset].domains))
