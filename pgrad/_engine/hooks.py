"""One optimizer step for each step that the user makes, whatever optimizers are at work inside."""

from __future__ import annotations

import functools
import importlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, MutableMapping, ValuesView
from contextlib import contextmanager
from typing import Any, TypeVar

from torch.autograd import profiler
from torch.optim import Optimizer

__all__ = ["inside_a_step", "noticed", "step_inside", "without_hooks"]

_torch: Any = importlib.import_module("torch.optim.optimizer")  # torch.optim hides its name
_WRAPPER = Optimizer.profile_hook_step(lambda: None).__code__  # of what torch puts around the step of every class
_REGISTRIES = ("_global_optimizer_pre_hooks", "_global_optimizer_post_hooks")
_installing = threading.Lock()
_Hooks = MutableMapping[int, Callable[..., Any]]
Step = TypeVar("Step", bound=Callable[..., Any])


class _Depth(threading.local):
    """How many steps this thread is in, one inside the other."""

    steps = 0


_inside = _Depth()


class _HooksOfEachThread(_Hooks):
    """The hooks on every optimizer, of which a thread inside a step is shown none.

    All that is written goes to the dict of torch that was there before: handles which were given out remove theirs
    from it.
    """

    def __init__(self, hooks: _Hooks) -> None:
        self._hooks = hooks

    def values(self) -> ValuesView[Callable[..., Any]]:
        return OrderedDict[int, Callable[..., Any]]().values() if _inside.steps else self._hooks.values()

    def __getitem__(self, key: int) -> Callable[..., Any]:
        return self._hooks[key]

    def __setitem__(self, key: int, hook: Callable[..., Any]) -> None:
        self._hooks[key] = hook

    def __delitem__(self, key: int) -> None:
        del self._hooks[key]

    def __iter__(self) -> Iterator[int]:
        return iter(self._hooks)

    def __len__(self) -> int:
        return len(self._hooks)


class inside_a_step:  # used like a function; a class, since it is entered at every step
    """Steps made inside are part of one: hooks on every optimizer (torch's profiler counts by one) do not see them.

    This holds for the thread that enters it alone: what others step at the same time is seen.
    """

    def __enter__(self) -> None:
        if _has_hooks_on_all():
            _install()
        _inside.steps += 1

    def __exit__(self, *_: object) -> None:
        _inside.steps -= 1


def noticed(step: Step) -> Step:
    """What torch puts around the `step` of every class, hooks and a record for its profiler, where somebody looks.

    Around the step of a small model that takes longer than the rest of the bookkeeping.
    """
    in_full = Optimizer.profile_hook_step(step)

    @functools.wraps(step)
    def either(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        return (in_full if _is_noticed(self) else step)(self, *args, **kwargs)

    either.hooked = True  # type: ignore[attr-defined]  # for torch: it is done
    return either  # type: ignore[return-value]


def step_inside(optimizer: Optimizer, *closure: Callable[[], Any]) -> None:
    """A step of this optimizer that is part of another.

    What torch puts around it is left out where nobody looks, as by `noticed`.
    """
    step: Any = type(optimizer).step
    of_torch_alone = getattr(step, "__code__", None) is _WRAPPER and "step" not in vars(optimizer)
    if of_torch_alone and not _is_noticed(optimizer):
        step.__wrapped__(optimizer, *closure)
        return
    with inside_a_step():
        optimizer.step(*closure)


def _is_noticed(optimizer: Any) -> bool:
    """Whether a hook or the profiler sees the step."""
    return bool(
        optimizer._optimizer_step_pre_hooks
        or optimizer._optimizer_step_post_hooks
        or profiler._is_profiler_enabled
        or _has_hooks_on_all()
    )


def _has_hooks_on_all() -> bool:
    return bool(_torch._global_optimizer_pre_hooks or _torch._global_optimizer_post_hooks)


def _install() -> None:
    """Where there are hooks, torch shall look for them by thread from now on."""
    with _installing:
        for name in _REGISTRIES:
            if not isinstance(getattr(_torch, name), _HooksOfEachThread):
                setattr(_torch, name, _HooksOfEachThread(getattr(_torch, name)))


@contextmanager
def without_hooks(optimizer: Optimizer) -> Iterator[None]:
    """Hooks on this optimizer do not see the steps inside."""
    pre, post = optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks
    optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks = OrderedDict(), OrderedDict()
    try:
        yield
    finally:
        optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks = pre, post
