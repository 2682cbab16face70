"""Networks of timm as backbones: pictures in 0..1 to one vector of features each.

What a network expects of its inputs is part of it here, taken from timm's configuration of its weights:

- normalisation by mean and standard deviation, so that data stay in 0..1 (bytes are divided by 255);
- channels: one is shown to all three; any other number than three gives the first layer weights adapted by timm;
- size: as the data are; networks for one size (most transformers) get their pictures enlarged or reduced to it.
  ``image_size`` is the size instead: for those networks timm then resamples the embedding of positions.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import textwrap
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from benchmarks.models import weights as sources
from benchmarks.models.small import in_parts, require_pictures

PREFIX = "timm:"


def library() -> Any:
    """timm.

    Raises:
        ImportError: If it is not installed; says what installs it.
    """
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise ImportError(f"models of timm need timm ({error}); pip install 'pgrad[models]' installs it") from error


def require_known(name: str) -> None:
    """Refuses names that timm does not have.

    Raises:
        ImportError: If timm is not installed.
        ValueError: If timm has no such network, or no such weights for it (``network.weights``).
    """
    timm = library()
    network, _, tag = name.partition(".")
    if timm.is_model(network) and (not tag or name in timm.list_pretrained(f"{network}.*")):
        return
    names = timm.list_pretrained(f"{network}.*") if timm.is_model(network) else timm.list_models()
    near = difflib.get_close_matches(name, names, n=4, cutoff=0.5)
    hint = f" Near are: {', '.join(near)}." if near else ""
    raise ValueError(f"{name!r} is not known to timm {timm.__version__}.{hint} timm.list_models() names all")


def create(name: str, **options: Any) -> nn.Module:
    """`timm.create_model` after a look at the name.

    Raises:
        ImportError: If timm is not installed.
        ValueError: If there is no such network, or it cannot be built like this.
        OSError: If its weights are neither in timm's cache nor can be downloaded.
    """
    require_known(name)
    try:
        model: nn.Module = library().create_model(name, **options)
    except (RuntimeError, TypeError, KeyError) as error:
        raise ValueError(f"timm cannot build {name!r} with these options or weights: {_shortened(error)}") from error
    return model


def _shortened(error: Exception, length: int = 400) -> str:
    """A list of all tensors helps nobody."""
    return textwrap.shorten(str(error), length, placeholder=" ...")


@functools.cache
def skeleton(name: str) -> nn.Module:
    """The network without classifier and without memory for its weights: to be looked at."""
    with torch.device("meta"):
        return create(name, num_classes=0)


def expected(name: str) -> dict[str, Any]:
    """What timm says about the inputs and the classifier that the network's weights were trained with."""
    found: Any = skeleton(name).pretrained_cfg
    return dict(found)


class Backbone(nn.Module):
    """``[n, channels, height, width]`` in 0..1, or bytes, to features ``[n, n_features]``.

    Args:
        name: Of the network in timm.
        input_shape: Of a picture.
        weights: See `benchmarks.models.weights`.
        image_size: Pictures are enlarged or reduced to this many pixels; None for what the network needs.

    Raises:
        ImportError: If a package is not installed.
        OSError: If weights cannot be downloaded.
        ValueError: If an input is no picture, pictures are too small, or the weights are those of another network.
    """

    def __init__(
        self, name: str, input_shape: tuple[int, ...], weights: str = sources.NONE, image_size: int | None = None
    ) -> None:
        super().__init__()
        require_pictures(PREFIX + name, input_shape)
        require_known(name)
        settings = expected(name)
        channels = 3 if input_shape[0] == 1 else input_shape[0]
        size = image_size
        if settings.get("fixed_input_size") and size is None:
            size = settings["input_size"][-1]
        _require_size(name, (size, size) if size else input_shape[1:])
        options: dict[str, Any] = {"in_chans": channels}
        if settings.get("fixed_input_size") and size != settings["input_size"][-1]:
            options["img_size"] = size
        self.size = size
        self.net = _loaded(name, weights, options)
        for key in ("mean", "std"):
            values = torch.tensor(settings[key], dtype=torch.float32)
            values = values if channels == len(values) else values.mean().expand(channels).clone()
            self.register_buffer(key, values.view(1, -1, 1, 1), persistent=False)
        self.n_features = _n_features(self, name, input_shape)

    def forward(self, x: Tensor) -> Tensor:
        return in_parts(lambda part: self.net(self.normalised(part)), x, self.training)

    def normalised(self, x: Tensor) -> Tensor:
        """What the network of timm gets."""
        x = x / 255 if x.dtype == torch.uint8 else x
        if x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        if self.size is not None and x.shape[-2:] != (self.size, self.size):
            x = interpolate(x, (self.size, self.size), mode="bilinear", antialias=True)
        return (x - self.get_buffer("mean")) / self.get_buffer("std")


def _require_size(name: str, size: tuple[int, ...]) -> None:
    stages: Any = getattr(skeleton(name), "feature_info", None)
    smallest = stages[-1]["reduction"] if stages else 1
    if min(size) < smallest:
        raise ValueError(
            f"pictures of {size[0]} x {size[1]} pixels are too small for {PREFIX}{name}, whose features lie "
            f"{smallest} pixels apart; image_size: {2 * smallest} or more enlarges them"
        )


def _loaded(name: str, weights: str, options: dict[str, Any]) -> nn.Module:
    """The network without its classifier."""
    if weights == sources.NONE:
        return create(name, num_classes=0, **options)
    if weights == sources.TIMM:
        try:
            return create(name, pretrained=True, num_classes=0, **options)
        except OSError as error:
            raise OSError(
                f"the weights of {PREFIX}{name} are not on this machine and could not be downloaded ({error}); "
                "weights: the path of a file needs no network"
            ) from error
    if weights == sources.PACKAGE:
        state = sources.from_package(create(name).state_dict())
    else:
        state = sources.from_file(weights)
    # Loading is strict if the number of classes is that of the weights: nothing may be missing or left over.
    classifier = expected(name).get("classifier")
    last = state.get(f"{classifier}.weight") if isinstance(classifier, str) else None
    classes = 0 if last is None else len(last)
    overlay = {"state_dict": state, "num_classes": classes, "label_offset": 0}
    try:
        model: Any = create(name, pretrained=True, pretrained_cfg_overlay=overlay, num_classes=classes, **options)
    except ValueError as error:
        raise ValueError(f"the weights in {weights} are not those of {PREFIX}{name}: {error}") from error
    if classes:
        model.reset_classifier(0)
    loaded: nn.Module = model
    return loaded


@torch.no_grad()
def _n_features(backbone: Backbone, name: str, input_shape: tuple[int, ...]) -> int:
    found = backbone.eval()(torch.zeros(1, *input_shape))
    backbone.train()
    if found.ndim != 2:
        raise ValueError(f"{PREFIX}{name} gives no vector of features but the shape {list(found.shape)}")
    return int(found.shape[1])
