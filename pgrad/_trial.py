"""Whether an optimizer keeps weights of its own: it is tried on a few numbers before it gets the parameters.

An ordinary optimizer steps from where the parameters are. Others step from weights that they keep beside them
(schedule-free ones, Lookahead, Ranger, MADGRAD, FTRL), so that they undo, at once or little by little, what somebody
else does to the parameters, an outer step above all. This shows without knowing any of them: two of its kind get the
same gradients, the parameters of one are moved once on the way, and afterwards the two must stay as far apart.

Decay and projections (weight clipping, say) bring two together as well, but remember nothing: then two new ones, made
where those two were after the move, and so without other weights, come as near.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pgrad._engine.hooks import inside_a_step

__all__ = ["keeps_weights"]

_STEPS, _MOVED = 32, 9  # of the trial, and after how many the parameters are moved
_LR = 1e-3  # small: a step that depends on the norm of the parameters changes little by the move
_WIDTHS = {1: 8, 2: 8}  # of the parameters on trial, by the number of dimensions; 3 for more
_REMAINS = 0.9  # of the distance, with an ordinary optimizer
_AT_REST = 0.01  # of the distance: what may lie between two that nobody has moved


def keeps_weights(factory: Callable[..., Any], params: list[Any], lr: float | Tensor) -> bool:
    """Whether the optimizers that a factory makes of such parameters step from weights of their own.

    What cannot be tried, as it needs a graph of the loss or parameters of a certain size, or draws random numbers of
    its own, is taken for an ordinary one, and so is whatever comes with torch.

    Args:
        factory: as ``inner`` of `pgrad.PGrad`.
        params: what it is going to be called with; it stays as it is.
        lr: likewise.
    """
    if _is_of_torch(factory):
        return False
    device = _device_of(params)
    devices = [device] if device.type == "cuda" else []
    try:
        # Compiling for parameters so small would take longer than all the rest.
        with torch.random.fork_rng(devices), torch.compiler.set_stance("force_eager"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _goes_back(functools.partial(_Walk, factory, params, lr, device))
    except Exception:  # noqa: BLE001 - code of others, at work on parameters that it was not made for
        return False


class _Walk:
    """An optimizer at work on a few numbers, which begin at ``start`` [n] or anywhere."""

    def __init__(
        self,
        factory: Callable[..., Any],
        params: list[Any],
        lr: float | Tensor,
        device: torch.device,
        start: Tensor | None = None,
    ) -> None:
        _seed(device)
        self._generator = torch.Generator("cpu").manual_seed(0)
        self._device = device
        self._params: list[Tensor] = []
        small = [self._small(entry) for entry in _one_of_each(params)]
        self.way = torch.cat([0.1 * self._random(p).flatten() for p in self._params])
        if start is not None:
            self.move(start - self._point())
        optimizer = factory(small, lr=torch.full_like(lr, _LR) if isinstance(lr, Tensor) else _LR)
        found = [p for group in optimizer.param_groups for p in group["params"]]
        if not isinstance(optimizer, Optimizer) or {*found} != {*self._params}:
            raise ValueError("the factory does not make an optimizer of the parameters that it is given")
        for group in optimizer.param_groups:
            if "lr" in group:
                group["lr"] = torch.full_like(group["lr"], _LR) if isinstance(group["lr"], Tensor) else _LR
            if isinstance(group.get("weight_decay"), float):
                group["weight_decay"] = 0.0
        self._optimizer = optimizer
        self._takes_closure = "closure" in inspect.signature(optimizer.step).parameters

    def step(self, number: int) -> Tensor:
        """[n], all parameters after a step with a random gradient."""
        gradients = [self._random(p) for p in self._params]

        def closure() -> Tensor:
            for p, gradient in zip(self._params, gradients, strict=True):
                p.grad = gradient.clone()
            return torch.ones((), device=self._device)

        closure()
        _seed(self._device, number)
        with inside_a_step():
            self._optimizer.step(closure) if self._takes_closure else self._optimizer.step()  # type: ignore[arg-type]
        return self._point()

    @torch.no_grad()
    def move(self, way: Tensor) -> None:
        """Move all parameters by [n] from outside."""
        for p, part in zip(self._params, way.split([p.numel() for p in self._params]), strict=True):
            p += part.view_as(p)

    def _point(self) -> Tensor:
        return torch.cat([p.detach().flatten() for p in self._params])

    def _small(self, entry: Any) -> Any:
        """A group, a named parameter or a parameter, as it was given but small."""
        if isinstance(entry, dict):
            return {**entry, "params": [self._small(p) for p in entry["params"]]}
        if isinstance(entry, tuple):
            return (entry[0], self._small(entry[1]))
        dtype = entry.dtype if entry.dtype in (torch.float32, torch.float64) else torch.float32
        shape = [_WIDTHS.get(entry.ndim, 3)] * entry.ndim
        small = nn.Parameter(self._random(torch.empty(shape, dtype=dtype, device=self._device)))
        self._params.append(small)
        return small

    def _random(self, like: Tensor) -> Tensor:
        drawn = torch.randn(like.shape, dtype=like.dtype, device="cpu", generator=self._generator)
        return drawn.to(like.device)


def _goes_back(walk: Callable[..., _Walk]) -> bool:
    still, moved = walk(), walk()
    for number in range(_MOVED):
        point = still.step(number)
        if (moved.step(number) - point).norm() > _AT_REST * still.way.norm():  # no two are alike, moved or not
            return False
    moved.move(still.way)
    remains = _remains(still, moved, still.way)
    if min(remains) >= _REMAINS:
        return False
    of_new = _remains(walk(start=point), walk(start=point + still.way), still.way)
    return any(found < _REMAINS * min(other, 1.0) for found, other in zip(remains, of_new, strict=True))


def _remains(still: _Walk, moved: _Walk, way: Tensor) -> list[float]:
    """How much of the way between the two there is after each step, 1 for all of it."""
    steps = range(_MOVED, _STEPS)
    return [float((moved.step(number) - still.step(number)) @ way / (way @ way)) for number in steps]


def _one_of_each(params: list[Any]) -> list[Any]:
    """The first parameter of each group, or of the only one."""
    if not isinstance(params[0], dict):
        return params[:1]
    return [{**group, "params": _first(group["params"])} for group in params]


def _first(params: Any) -> list[Any]:
    if not isinstance(params, (list, tuple)):
        raise TypeError("parameters that can be gone through but once are left to the optimizer itself")
    return list(params[:1])


def _device_of(params: list[Any]) -> torch.device:
    entry = params[0] if params else None
    while isinstance(entry, (dict, list, tuple)):
        entry = entry["params"] if isinstance(entry, dict) else entry[-1 if isinstance(entry, tuple) else 0]
    device = entry.device if isinstance(entry, Tensor) else torch.device("cpu")
    return torch.device("cpu") if device.type == "meta" else device


def _seed(device: torch.device, seed: int = 0) -> None:
    """For optimizers that draw: the same in both walks."""
    torch.default_generator.manual_seed(seed)
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)


def _is_of_torch(factory: Any) -> bool:
    while isinstance(factory, functools.partial):
        factory = factory.func
    return inspect.isclass(factory) and factory.__module__.startswith("torch.optim.")
