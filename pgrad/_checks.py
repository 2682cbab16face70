"""Refusals of what `pgrad.PGrad` cannot work with: which argument, what was found, what is allowed."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from pgrad._engine import sharding
from pgrad.principal import PrincipalWeights, Update, principal_weights

__all__ = [
    "LossValue",
    "check_aggregation",
    "check_closures",
    "check_group",
    "check_inside",
    "check_lr",
    "check_params",
    "check_rollout_length",
    "check_trajectory_device",
    "check_trajectory_dtype",
    "checked_domain",
    "checked_domains",
    "checked_update",
    "refuse_capture",
    "refuse_closure",
    "refuse_factory",
    "refuse_nonfinite",
    "refuse_options",
    "refuse_own_lr",
    "refuse_own_weights",
    "scalar",
]

LossValue = Tensor | float
_OPTIONS = [
    *("lr", "rollout_length", "n_components", "outer_lr", "inner", "outer", "aggregation"),
    *("trajectory_dtype", "trajectory_device", "nonfinite", "check_ranks"),
]


def checked_update(found: Any, gram: Tensor, domains: tuple[int | str, ...] | None) -> Update:
    """What an aggregation returned for a roll-out, as a record that knows its domains."""
    points = len(gram)
    weights = found.weights if isinstance(found, Update) else found
    if not isinstance(weights, Tensor):
        raise TypeError(
            f"aggregation must return a tensor of {points} row weights, or a record of them such as "
            f"pgrad.PrincipalWeights, got {type(found).__name__}"
        )
    if weights.is_complex() or weights.dtype == torch.bool:
        raise TypeError(f"aggregation must give real numbers as weights, got {weights.dtype}")
    if weights.shape != (points,) or not all(map(math.isfinite, weights.tolist())):
        raise ValueError(f"aggregation must give {points} finite weights, one for each point, got {weights}")
    if isinstance(found, PrincipalWeights):
        return found if found.domains == domains else dataclasses.replace(found, domains=domains)
    return found if isinstance(found, Update) else Update.of(weights, gram, domains)


def refuse_options(options: dict[str, Any], inner: Any) -> None:
    """Options that this optimizer does not have are most often those of the one inside."""
    if options:
        written = ", ".join(f"{name}={value!r}" for name, value in options.items())
        near = [match for name in options for match in difflib.get_close_matches(name, _OPTIONS, 1, 0.8)]
        meant = f" Did you mean {', '.join(near)}?" if near else ""
        raise TypeError(
            f"PGrad got unexpected keyword arguments: {written}.{meant} Options of the inner optimizer belong to it, "
            f"those of the outer one likewise: inner={_written(inner, written)}"
        )


def refuse_factory(name: str, factory: Any) -> None:
    """Refuse what makes no optimizer, a name above all."""
    if callable(factory):
        return
    hint = ""
    if isinstance(factory, str):
        known = {n.lower(): n for n, o in vars(torch.optim).items() if inspect.isclass(o) and issubclass(o, Optimizer)}
        found = known.get(factory.lower())
        hint = f"; write {name}=torch.optim.{found}" if found else ""
        hint += "; names of timm are known to pgrad.integrations.timm.make_pgrad"
    elif isinstance(factory, Optimizer):
        made = type(factory).__name__
        hint = f": pass the class, {name}={made}, or a functools.partial of it; the parameters come from PGrad"
    raise TypeError(f"{name} must be a callable (params, lr=...) -> torch.optim.Optimizer, got {factory!r}{hint}")


def refuse_own_lr(name: str, factory: Any, lr: float | Tensor) -> None:
    """Refuse a learning rate inside a functools.partial, which that of PGrad would replace."""
    if not isinstance(factory, functools.partial) or "lr" not in factory.keywords:
        return
    found = factory.keywords["lr"]
    argument = "lr" if name == "inner" else "outer_lr"
    if found is not lr and not (isinstance(found, (int, float)) and found == float(lr)):
        raise TypeError(
            f"{name} must not have a learning rate of its own, got a functools.partial with lr={found!r}, which "
            f"{argument}={lr!r} would replace: write PGrad(..., {argument}={found!r}) and leave it out of the partial"
        )


def refuse_own_weights(name: str, optimizer: Optimizer, found: bool) -> None:
    """Refuse optimizers with weights of their own: whoever else moves the parameters leaves those behind.

    Args:
        name: "inner" or "outer".
        optimizer: what was made.
        found: whether a trial has shown it. Modes and two names tell as well, where that was not possible.
    """
    modes = all(callable(getattr(optimizer, mode, None)) for mode in ("train", "eval"))
    made = type(optimizer).__name__
    if found or modes or "lookahead" in made.lower() or "schedulefree" in made.lower():
        others = "an outer step" if name == "inner" else "a checkpoint, an average or forget_rollout()"
        raise ValueError(
            f"{name}={made} keeps weights of its own beside the parameters and goes back to them, which undoes what "
            f"{others} does to the parameters; use an ordinary {name} optimizer (and pgrad.averaging for an average), "
            "or this one alone, without PGrad"
        )


def refuse_capture() -> None:
    """An outer step reads numbers on the host, and every step of a roll-out is another program."""
    if torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing():
        raise RuntimeError(
            "PGrad cannot be captured in a CUDA graph: capture the forward and backward pass and call step() outside; "
            "an inner optimizer with capturable=True or fused=True works there"
        )


def _written(inner: Any, options: str) -> str:
    """The line that gives the inner optimizer these options."""
    function = inner.func if isinstance(inner, functools.partial) else inner
    name = getattr(function, "__qualname__", type(function).__qualname__)
    module = getattr(function, "__module__", "")
    name = f"torch.optim.{name}" if module.startswith("torch.optim") else name
    before = "..., " if isinstance(inner, functools.partial) else ""
    return f"functools.partial({name}, {before}{options})"


def check_inside(name: str, optimizer: Any, refused: type[Optimizer]) -> None:
    """One of the two optimizers inside; one with roll-outs of its own is ``refused``."""
    if not isinstance(optimizer, Optimizer):
        made = getattr(optimizer, "__name__", "torch.optim.SGD")
        raise TypeError(
            f"{name} must be a torch.optim.Optimizer once there is one, got {optimizer!r}: make it of the parameters, "
            f"opt.{name} = {made}(model.parameters(), lr=...)"
        )
    if isinstance(optimizer, refused):
        raise ValueError(
            f"{name} must be an ordinary optimizer, got a {type(optimizer).__name__}: roll-outs inside roll-outs are "
            f"not supported; give {name}= what that one has inside"
        )
    if name == "outer":
        refuse_closure(name, optimizer)


def check_group(group: dict[str, Any], known: Iterable[str]) -> None:
    """Refuse options of this optimizer in a parameter group, where the inner one would not heed them.

    Args:
        group: one of the inner optimizer.
        known: options that the inner optimizer has itself.
    """
    found = {name: group[name] for name in _OPTIONS if name in group and name not in {"lr", *known}}
    if found:
        written = ", ".join(f"{name}={value!r}" for name, value in found.items())
        raise TypeError(
            f"a parameter group must not have options of PGrad itself, which hold for all groups, got {written}: give "
            "them to PGrad; another outer learning rate for one group is opt.outer.param_groups[n]['lr']"
        )


def refuse_closure(name: str, optimizer: Optimizer) -> None:
    parameters = list(inspect.signature(optimizer.step).parameters.values())
    if any(p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters):
        raise ValueError(f"{name} must step without a closure, but {type(optimizer).__name__}.step needs one")


def check_lr(name: str, lr: float | Tensor) -> None:
    number = isinstance(lr, (int, float)) and not isinstance(lr, bool)
    if not number and not (isinstance(lr, Tensor) and lr.numel() == 1):
        raise TypeError(f"{name} must be a number, got {lr!r}")
    if not 0.0 <= float(lr) < math.inf:
        raise ValueError(f"{name} must be finite and not negative, got {float(lr)}")


def check_rollout_length(rollout_length: Any) -> int | None:
    """T as an int, of a sampler its own; None stays."""
    if rollout_length is None:
        return None
    length = getattr(rollout_length, "rollout_length", rollout_length)
    if isinstance(length, bool) or not hasattr(length, "__index__"):
        inside = hasattr(getattr(rollout_length, "batch_sampler", None), "rollout_length")
        raise TypeError(
            "rollout_length must be a positive int, a sampler that has one, or None with rollout(closures), got "
            f"{rollout_length!r}" + ("; the sampler is in it: write rollout_length=loader.batch_sampler" * inside)
        )
    if length < 1:
        raise ValueError(f"rollout_length must be at least 1, or None with rollout(closures), got {length}")
    return operator.index(length)


def check_aggregation(aggregation: Any) -> None:
    """Refuse what cannot be called with one record of a roll-out, now and not at the first outer step."""
    if aggregation is principal_weights:
        raise TypeError("aggregation must be called with a pgrad.Rollout: write pgrad.aggregation.principal")
    if not callable(aggregation) or inspect.isclass(aggregation):
        raise TypeError(
            "aggregation must be a callable that makes row weights of a pgrad.Rollout, as those of pgrad.aggregation, "
            f"got {aggregation!r}"
        )
    try:
        inspect.signature(aggregation).bind(None)
    except ValueError:  # a callable that does not tell its arguments
        return
    except TypeError as error:
        raise TypeError(
            "aggregation must be called with one pgrad.Rollout (gram, rtol, domains, n_components), got "
            f"{aggregation!r}, which needs other arguments ({error})"
        ) from None


def checked_domain(name: str, domain: Any) -> tuple[int | str | None, str]:
    """The domain of a mini-batch, and what was mixed if that of all its examples was given, and is not one.

    A string, None, or an int, of numpy or of a tensor too; or a sequence or an array of them.
    """
    if hasattr(domain, "tolist") and getattr(domain, "ndim", 0) > 0:
        domain = domain.reshape(-1).tolist()
    if isinstance(domain, (list, tuple)):
        found = sorted({_one_domain(f"{name}[{n}]", value) for n, value in enumerate(domain)}, key=str)
        if not found:
            raise ValueError(f"{name} must name the domain of the mini-batch, got an empty {type(domain).__name__}")
        return (found[0], "") if len(found) == 1 else (None, f"{len(found)} domains ({', '.join(map(repr, found))})")
    return (None if domain is None else _one_domain(name, domain)), ""


def _one_domain(name: str, domain: Any) -> int | str:
    if isinstance(domain, str):
        return domain
    if isinstance(domain, bool) or not hasattr(domain, "__index__"):
        raise TypeError(f"{name} must be an int or a string, got {domain!r} ({type(domain).__name__})")
    return operator.index(domain)


def checked_domains(domains: Any, number: int) -> list[int | str | None]:
    """One for each of ``number`` closures."""
    if domains is None:
        return [None] * number
    values = domains.tolist() if hasattr(domains, "tolist") else domains
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(f"domains must be a list with the domain of each closure, got {type(domains).__name__}")
    if len(values) != number:
        raise ValueError(f"domains must hold one for each of the {number} closures, got {len(values)}")
    for index, domain in enumerate(values):
        if domain is None:
            raise TypeError(f"domains[{index}] must be an int or a string, got None; leave domains out if unknown")
    return [_one_domain(f"domains[{index}]", domain) for index, domain in enumerate(values)]


def check_trajectory_device(device: Any) -> torch.device | None:
    if device is None:
        return None
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise type(error)(f"trajectory_device must be a device of torch or None, got {device!r}: {error}") from None
    if found.type == "meta":
        raise ValueError("trajectory_device must hold values, got the meta device")
    return found


def check_trajectory_dtype(dtype: torch.dtype | None) -> torch.dtype | None:
    if dtype is not None and not isinstance(dtype, torch.dtype):
        raise TypeError(f"trajectory_dtype must be a torch.dtype or None, got {dtype!r}")
    if dtype not in (None, torch.float64, torch.float32, torch.bfloat16):
        raise ValueError(
            f"trajectory_dtype must be torch.float64, float32 or bfloat16 (displacements are tiny: they need the range "
            f"of float32), got {dtype}"
        )
    return dtype


def check_params(params: Iterable[Tensor]) -> None:
    seen: set[Tensor] = set()
    for p in params:
        if p.is_meta:
            raise ValueError(
                f"a parameter of shape {tuple(p.shape)} is on the meta device, without values: materialise the model "
                "(to_empty and initialise) before making the optimizer"
            )
        if p.layout != torch.strided:
            raise ValueError(f"parameters must be strided (dense) tensors, got layout {p.layout}")
        sharding.check_param(p)
        if p in seen:
            raise ValueError(f"a parameter of shape {tuple(p.shape)} is listed twice in one group")
        seen.add(p)


def scalar(index: int, loss: LossValue) -> LossValue:
    if isinstance(loss, Tensor) and loss.numel() == 1:
        return loss.detach()
    if isinstance(loss, (int, float)) and not isinstance(loss, bool):
        return loss
    found = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else repr(loss)
    raise TypeError(f"closures[{index}] must return the loss as a scalar tensor or a number, got {found}")


def refuse_nonfinite(losses: dict[int, LossValue]) -> None:
    for index, loss in losses.items():
        if not math.isfinite(float(loss)):
            raise ValueError(
                f"closures[{index}] must return a finite loss, got {float(loss)}; the roll-out was dropped"
            )


def check_closures(closures: Any, rollout_length: int | None, position: int) -> None:
    """Accept the closures of a whole roll-out that begins at an anchor."""
    if isinstance(closures, str) or not isinstance(closures, Sequence):
        raise TypeError(f"closures must be a list with one callable per inner step, got {type(closures).__name__}")
    for index, closure in enumerate(closures):
        if not callable(closure):
            raise TypeError(f"closures[{index}] must be callable, got {closure!r}")
    if not closures or rollout_length not in (None, len(closures)):
        expected = "at least 1" if rollout_length is None else f"rollout_length={rollout_length}"
        raise ValueError(f"closures must hold {expected} of them, one per inner step, got {len(closures)}")
    if position > 0:
        raise RuntimeError(
            f"rollout() starts at an anchor, but {position} steps of a roll-out are done: "
            "call finish_rollout() or discard_rollout() first"
        )
