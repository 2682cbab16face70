"""Where a network of timm can be cut, so that the stages that are not trained are computed once and for all.

The modules that run before the first trained stage become identities, and that stage is given what it would have got
from them. Whether the network then says the same is tried out with random weights: networks that do more between
their modules than to pass on what these return (the position embedding of a transformer) cannot be cut.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.models.backbones import Backbone
from benchmarks.models.settings import trained_stages
from benchmarks.models.small import in_parts
from benchmarks.models.tuning import stages


@dataclass(frozen=True)
class Cut:
    """A place in a network.

    Attributes:
        entry: The first module of which everything is trained.
        before: The modules that run before it, the outermost alone.
    """

    entry: str
    before: tuple[str, ...]


@functools.cache
def find(name: str, tuning: str, input_shape: tuple[int, ...], image_size: int | None = None) -> Cut | None:
    """Where the trained stages of ``last-K`` begin.

    Returns:
        None if everything is trained, the network cannot be cut there, or what would be kept of a picture is larger
        than the picture.

    Raises:
        ValueError, ImportError: As `benchmarks.models.backbones.Backbone`.
    """
    number = trained_stages(tuning)
    if number is None:
        return None
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        backbone = Backbone(name, input_shape, image_size=image_size).eval()
        x = torch.rand(2, *input_shape)
        trained = {each for stage in stages(backbone.net)[-number:] for each in stage}
        called = _called(backbone, x)
        entry = next((each for each in called if _all_trained(backbone.net, each, trained)), None)
        if entry is None:
            return None
        found = Cut(entry, _outermost(called[: called.index(entry)], entry))
        net = copy.deepcopy(backbone.net)
        _remove(net, found)
        try:
            given = before(backbone, found, x)
            same = given.numel() <= x.numel() and torch.allclose(net(given), backbone(x), rtol=1e-5, atol=1e-6)
        except (RuntimeError, TypeError, ValueError, AttributeError, IndexError):  # what is left wants something else
            return None
        return found if same else None


class Rest(nn.Module):
    """What follows a cut: from what the first trained stage is given to features ``[n, n_features]``.

    Args:
        backbone: It is taken apart.
        cut: From `find`.
    """

    def __init__(self, backbone: Backbone, cut: Cut) -> None:
        super().__init__()
        self.net = backbone.net
        self.n_features = backbone.n_features
        _remove(self.net, cut)

    def forward(self, x: Tensor) -> Tensor:
        return in_parts(self.net, x, self.training)


def before(backbone: Backbone, cut: Cut, x: Tensor) -> Tensor:
    """``[n, ...]``: what pictures have become where the network is cut.

    Raises:
        ValueError: If that is not one tensor with a row for each picture.
    """
    caught: list[tuple[Any, ...]] = []
    with _told(backbone, lambda name, inputs: caught.append(inputs) if name == cut.entry else None):
        backbone(x)
    rows = [each for inputs in caught for each in inputs if isinstance(each, Tensor)]
    if any(len(inputs) != 1 for inputs in caught) or sum(map(len, rows)) != len(x):
        raise ValueError(f"{cut.entry} is not given one tensor with a row for each example")
    return torch.cat(rows)


def _called(backbone: Backbone, x: Tensor) -> list[str]:
    """The names of the modules, in the order in which they begin."""
    order: list[str] = []
    with _told(backbone, lambda name, inputs: order.append(name)):
        backbone(x)
    return list(dict.fromkeys(order))


@contextlib.contextmanager
def _told(backbone: Backbone, tell: Callable[[str, tuple[Any, ...]], None]) -> Iterator[None]:
    """Calls ``tell(name, inputs)`` whenever a module of the network begins."""
    with contextlib.ExitStack() as hooks:
        for name, module in backbone.net.named_modules():
            hook = module.register_forward_pre_hook(lambda _, inputs, name=name: tell(name, inputs))
            hooks.callback(hook.remove)
        yield


def _all_trained(net: nn.Module, name: str, trained: set[str]) -> bool:
    own = {f"{name}.{each}".lstrip(".") for each, _ in net.get_submodule(name).named_parameters()}
    return bool(own) and own <= trained


def _outermost(names: list[str], entry: str) -> tuple[str, ...]:
    """Without those that hold the entry, and without the parts of others."""
    chosen: list[str] = []
    for name in names:
        holds = not name or entry.startswith(f"{name}.")
        if not holds and not any(name.startswith(f"{other}.") for other in chosen):
            chosen.append(name)
    return tuple(chosen)


def _remove(net: nn.Module, cut: Cut) -> None:
    for name in cut.before:
        net.set_submodule(name, nn.Identity())
