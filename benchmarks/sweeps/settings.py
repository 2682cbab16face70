"""What a sweep says of its runs or of those of one data set: settings, held-out sets, what they leave."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from benchmarks.algorithms.ranges import Regime
from benchmarks.base.config import Frozen
from benchmarks.models import known_model
from benchmarks.models.weights import pinned
from benchmarks.runs.config import HeldOut, Settings

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
