"""What stands in ``model.json``: the schema, and the limits that a file from elsewhere is held to."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from benchmarks.base.config import Frozen

FORMAT = "pgrad-model"
VERSION = 1
LARGEST = 2**28
"""Numbers of one input, at most."""


def _bounded(shape: tuple[int, ...]) -> tuple[int, ...]:
    if not shape or min(shape) < 1 or math.prod(shape) > LARGEST:
        raise ValueError(f"must be sizes from 1 on whose product is at most {LARGEST}, got {shape}")
    return shape


Shape = Annotated[tuple[int, ...], Field(min_length=1, max_length=4), AfterValidator(_bounded)]
Numbers = tuple[float, ...]


class NetworkShape(Frozen):
    """A network, by its name and sizes.

    Attributes:
        model: Name in the registry of models, or ``timm:NAME``: its features under a head of `depth` hidden layers.
        input_shape: Of what it gets, one example.
        n_outputs: Logits of the classes, or one number.
        width: Of hidden layers.
        depth: Hidden layers; None for what the model has.
        image_size: Pixels to which a network of timm gets its pictures scaled; None for none of its own.
    """

    model: Annotated[str, Field(max_length=200)]
    input_shape: Shape
    n_outputs: Annotated[int, Field(ge=1, le=100_000)]
    width: Annotated[int, Field(ge=1, le=65_536)] = 64
    depth: Annotated[int, Field(ge=0, le=64)] | None = None
    image_size: Annotated[int, Field(ge=1, le=4096)] | None = None


class Constants(Frozen):
    """What becomes of inputs before the network.

    Attributes:
        kind: ``none``; ``columns``: (x - mean) / scale in float64, 0 where it is missing or the column did not vary;
            ``channels``: (x - mean) * factor for each channel; ``timm``: (x - mean) / scale for each channel.
        mean, scale, factor: One number for each column or channel, as the kind asks for.
        varies: Of columns.
    """

    kind: Literal["none", "columns", "channels", "timm"] = "none"
    mean: Numbers = ()
    scale: Numbers = ()
    factor: Numbers = ()
    varies: tuple[bool, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Constants:
        asked = {"none": (), "columns": ("mean", "scale", "varies"), "channels": ("mean", "factor")}
        sizes = {len(getattr(self, name)) for name in asked.get(self.kind, ("mean", "scale"))}
        if self.kind != "none" and (len(sizes) != 1 or 0 in sizes):
            raise ValueError(f"the constants of kind {self.kind!r} must be lists of one length")
        return self


class Description(Frozen):
    """All of ``model.json``.

    Attributes:
        format, version: Of the folder.
        network: The network.
        constants: Of the transformation before it.
        reading: How a file becomes an input (`benchmarks.datasets.base.Origin.reading`); ``{"scheme": "named",
            "name": ...}`` for a data set of the registry.
        classes: Names of the classes in the order of the outputs; empty for a quantity.
        scale: A quantity is the output times this.
        files: SHA-256 of the other files that a prediction reads, by name.
        versions: Of the libraries that it was made with.
        data: Name and digest of the data, domains and numbers of examples.
        choice: What was chosen, among what, and how.
        expectation: What is to be expected on an unseen domain.
        unlike: The scale of the measure of unlikeness: see `benchmarks.runs.model_folder.seen`.
        confidence: The estimate without labels: see `benchmarks.runs.model_folder.confidence`.
    """

    format: Literal["pgrad-model"] = "pgrad-model"
    version: int = VERSION
    network: NetworkShape
    constants: Constants = Constants()
    reading: dict[str, Any]
    classes: tuple[str, ...] = ()
    scale: Annotated[float, Field(gt=0)] = 1.0
    files: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    data: dict[str, Any] = Field(default_factory=dict)
    choice: dict[str, Any] = Field(default_factory=dict)
    expectation: dict[str, Any] = Field(default_factory=dict)
    unlike: dict[str, Any] = Field(default_factory=dict)
    confidence: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> Description:
        if self.classes and len(self.classes) != self.network.n_outputs:
            raise ValueError(f"there are {len(self.classes)} classes and {self.network.n_outputs} outputs")
        if not self.classes and self.network.n_outputs != 1:
            raise ValueError(f"a quantity has one output, got {self.network.n_outputs} and no classes")
        numbers, kind = len(self.constants.mean), self.constants.kind
        wanted = 3 if kind == "timm" else self.network.input_shape[0]
        if kind != "none" and numbers != wanted:
            raise ValueError(f"there are constants for {numbers} columns or channels of an input, and it has {wanted}")
        return self
