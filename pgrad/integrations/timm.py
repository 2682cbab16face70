"""``pgrad`` by name in timm's optimizer factory.

After ``register()``, timm's own code makes the optimizer::

    optimizer = timm.optim.create_optimizer_v2(model, "pgrad", lr=1e-4, weight_decay=1e-4, rollout_length=12)

and timm's train script takes ``--opt pgrad --opt-kwargs rollout_length=12 inner=adamw``. Without the registry it is
one line as well: ``PGrad(param_groups_weight_decay(model, weight_decay), lr=..., rollout_length=...)``.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from pgrad.optimizer import PGrad

try:
    _optim: Any = importlib.import_module("timm.optim")
except ImportError as error:
    raise ImportError("pgrad.integrations.timm needs timm: pip install 'pgrad[timm]'") from error

__all__ = ["make_pgrad", "register"]

_OWN = inspect.signature(PGrad).parameters.keys() - {"params", "lr", "inner", "outer"}


def make_pgrad(
    params: Any,
    lr: float = 1e-3,
    inner: str | Callable[..., Optimizer] = "adam",
    outer: Callable[..., Optimizer] = torch.optim.SGD,
    outer_weight_decay: float = 0.0,
    momentum: float = 0.9,
    **kwargs: Any,
) -> PGrad:
    """A PGrad whose inner optimizer may be the name of a timm optimizer, as a command line gives it.

    Args:
        params: parameters or parameter groups. timm's groups have ``weight_decay`` (0 for biases and norms) and, with
            layer decay, ``lr_scale``: both belong to the inner optimizer.
        lr: learning rate of the inner optimizer.
        inner: name of a timm optimizer, or any callable ``(params, lr=...)``. A named one is made by timm's factory
            with its rules: ``momentum``, ``eps`` and ``betas`` reach those which take them.
        outer: any callable ``(params, lr=...)``.
        outer_weight_decay: of the outer optimizer: where the code released with arXiv:2305.01134 has its weight decay.
        momentum: of a named inner optimizer, if it has one. timm always gives it.
        **kwargs: arguments of `pgrad.PGrad`; all others go to the inner optimizer.

    Raises:
        ValueError: if timm does not know the name ``inner``.
        TypeError: if an optimizer does not take an argument.

    Example:
        >>> model = torch.nn.Linear(3, 1)
        >>> opt = make_pgrad(model.parameters(), lr=0.01, inner="adamw", weight_decay=0.1, rollout_length=6)
        >>> type(opt.inner).__name__, opt.inner.param_groups[0]["weight_decay"], opt.rollout_length
        ('AdamW', 0.1, 6)
    """
    own = {name: kwargs.pop(name) for name in list(kwargs) if name in _OWN}
    factory: Callable[..., Optimizer]
    if isinstance(inner, str):
        _check_name(inner)
        kwargs |= {"opt": inner, "momentum": momentum}
        factory = _optim.create_optimizer_v2
    else:
        factory = inner
    factory = functools.partial(factory, **kwargs) if kwargs else factory
    outer = functools.partial(outer, weight_decay=outer_weight_decay) if outer_weight_decay else outer
    return PGrad(params, lr, inner=factory, outer=outer, **own)


def register() -> None:
    """Enter ``pgrad`` into the registry of timm's factory; calling it again changes nothing.

    timm splits a name at its underscores and heeds the last part: "pgrad_adam" is plain Adam. Choose the inner
    optimizer with ``inner="adamw"``.

    Raises:
        ImportError: if this version of timm keeps its registry elsewhere.

    Example:
        >>> import timm.optim, torch
        >>> register()
        >>> opt = timm.optim.create_optimizer_v2(torch.nn.Linear(3, 1), "pgrad", lr=0.01, rollout_length=6)
        >>> type(opt.inner).__name__, opt.rollout_length
        ('Adam', 6)
    """
    try:
        if _optim.list_optimizers("pgrad"):
            return
        registry: Any = importlib.import_module("timm.optim._optim_factory")  # private, so that it may move
        registry.default_registry.register(
            _optim.OptimInfo(
                name="pgrad",
                opt_class=make_pgrad,
                description="PGrad: one step along the principal directions of a roll-out over the training domains",
                has_eps=True,
                has_momentum=True,
                has_betas=True,
            )
        )
    except (ImportError, AttributeError, TypeError) as error:
        version = getattr(importlib.import_module("timm"), "__version__", "?")
        raise ImportError(
            f"timm {version} keeps its optimizer registry elsewhere than timm 1.0.12 and later, so that pgrad cannot "
            "be entered by name; use pgrad.integrations.timm.make_pgrad(params, lr=..., rollout_length=...) instead"
        ) from error


def _check_name(inner: str) -> None:
    if inner == "pgrad" or inner not in _optim.list_optimizers():
        raise ValueError(
            f"inner must be the name of an ordinary optimizer of timm, such as 'adamw', got {inner!r}; "
            "timm.optim.list_optimizers() has them all"
        )
