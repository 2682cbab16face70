"""From a description to the network that predicts: the transformation of inputs, and the model behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from benchmarks.base.errors import unknown
from benchmarks.datasets.pixel_scaling import StandardisedChannels
from benchmarks.datasets.scaling import Standardised
from benchmarks.models.backbones import PREFIX, Backbone, create, expected
from benchmarks.models.catalogue import MODELS
from benchmarks.models.small import mlp
from benchmarks.runs.model_folder.description import Constants, Description, NetworkShape


class Predictor(nn.Module):
    """Inputs as they come from a file to outputs.

    Attributes:
        transform: Of the inputs; holds no weights.
        network: The rest; its tensors are those of ``model.safetensors``.
    """

    def __init__(self, transform: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.transform = transform
        self.network = network
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.network(self.transform(x))
        return out


class _Columns(nn.Module):
    """As `benchmarks.datasets.scaling.Standardised`."""

    def __init__(self, constants: Constants) -> None:
        super().__init__()
        for name, value in (("mean", constants.mean), ("scale", constants.scale)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float64), persistent=False)
        self.register_buffer("varies", torch.tensor(constants.varies), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        fitted = Standardised(*(self.get_buffer(name) for name in ("mean", "scale", "varies")))
        return fitted(x)


class _Channels(nn.Module):
    """As `benchmarks.datasets.pixel_scaling.StandardisedChannels`."""

    def __init__(self, constants: Constants) -> None:
        super().__init__()
        for name, value in (("mean", constants.mean), ("factor", constants.factor)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32)[:, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.get_buffer("mean")) * self.get_buffer("factor")


class _Timm(nn.Module):
    """As `benchmarks.models.backbones.Backbone`, with the constants of the folder."""

    def __init__(self, constants: Constants, size: int | None) -> None:
        super().__init__()
        self.size = size
        for name, value in (("mean", constants.mean), ("std", constants.scale)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32).view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x
        if self.size is not None and x.shape[-1] != self.size:
            x = interpolate(x, (self.size, self.size), mode="bilinear", antialias=True)
        return (x - self.get_buffer("mean")) / self.get_buffer("std")


def constants_of(transformation: Callable[[Tensor], Tensor] | None) -> Constants:
    """The constants of what a data set has fitted.

    Raises:
        ValueError: if it is a transformation that a folder cannot keep.

    Example:
        >>> constants_of(StandardisedChannels(torch.tensor([[[0.5]]]), torch.tensor([[[2.0]]])))
        Constants(kind='channels', mean=(0.5,), scale=(), factor=(2.0,), varies=())
    """
    if transformation is None:
        return Constants()
    if isinstance(transformation, Standardised):
        fitted = transformation
        return Constants(
            kind="columns",
            mean=tuple(fitted.mean.tolist()),
            scale=tuple(fitted.scale.tolist()),
            varies=tuple(fitted.varies.tolist()),
        )
    if isinstance(transformation, StandardisedChannels):
        shift, factor = (tuple(each.flatten().tolist()) for each in (transformation.shift, transformation.factor))
        return Constants(kind="channels", mean=shift, factor=factor)
    raise ValueError(
        "the transformation of the inputs of this data set has no constants that a model folder can keep; data of "
        "yours (folder:, table:) and data sets without one, or with standardised columns, have"
    )


def built(about: Description) -> Predictor:
    """The network of a description, with weights at random.

    Raises:
        ValueError: if there is no such network, or it does not take such inputs.
        ImportError: if it needs a package that is not installed.
    """
    shape, constants = about.network, about.constants
    if shape.model.startswith(PREFIX):
        if constants.kind != "timm":
            raise ValueError(f"{shape.model} needs constants of the kind timm, got {constants.kind!r}")
        return Predictor(_Timm(constants, shape.image_size), _of_timm(shape))
    if shape.model not in MODELS:
        raise ValueError(f"model: {unknown(shape.model, MODELS)}")
    depth: dict[str, Any] = {} if shape.depth is None else {"depth": shape.depth}
    network = MODELS[shape.model].factory(shape.input_shape, shape.n_outputs, shape.width, **depth)
    ways: dict[str, Callable[[], nn.Module]] = {
        "none": nn.Identity,
        "columns": lambda: _Columns(constants),
        "channels": lambda: _Channels(constants),
    }
    if constants.kind not in ways:
        raise ValueError(f"constants of the kind {constants.kind!r} are for networks of timm, got {shape.model}")
    return Predictor(ways[constants.kind](), network)


def _of_timm(shape: NetworkShape) -> nn.Sequential:
    name = shape.model.removeprefix(PREFIX)
    told = expected(name)
    other = told.get("fixed_input_size") and shape.image_size not in (None, told["input_size"][-1])
    net = create(name, num_classes=0, **({"img_size": shape.image_size} if other else {}))
    features: Any = net.num_features
    head = mlp((int(features),), shape.n_outputs, shape.width, shape.depth or 0)
    return _named(backbone=net, head=head)


def _named(**parts: nn.Module) -> nn.Sequential:
    found = nn.Sequential()
    for name, part in parts.items():
        found.add_module(name, part)
    return found


def with_head(backbone: Backbone, head: nn.Module) -> nn.Sequential:
    """The network of a frozen backbone and of the head that was trained on its features."""
    return _named(backbone=backbone.net, head=head)


def timm_constants(backbone: Backbone) -> Constants:
    """Those that timm has for the weights of a backbone."""
    mean, std = (tuple(backbone.get_buffer(name).flatten().tolist()) for name in ("mean", "std"))
    return Constants(kind="timm", mean=mean, scale=std)
