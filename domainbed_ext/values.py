"""Which numbers arguments and hyper-parameters may be. DomainBed itself looks at none of them."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from domainbed import algorithms, hparams_registry

from domainbed_ext.errors import Refusal

__all__ = ["check_argument", "check_value", "known", "users"]


@dataclass(frozen=True)
class _Range:
    """From `low` to `high`, which are allowed themselves unless open."""

    low: float
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def holds(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below and abs(value) < 1e308  # also of whole numbers that are no float any more

    def __str__(self) -> str:
        if self.low == -math.inf:
            return "that is finite"
        above = f"{'above' if self.open_low else 'of at least'} {self.low:g}"
        if self.high == math.inf:
            return above
        return f"{above} and {'below' if self.open_high else 'at most'} {self.high:g}"


_POSITIVE, _NOT_NEGATIVE = _Range(0, open_low=True), _Range(0)
_SHARE, _BELOW_ONE = _Range(0, 1), _Range(0, 1, open_high=True)
_ONE, _FRACTION = _Range(1), _Range(0, 1, open_low=True, open_high=True)

_HPARAMS: dict[str, _Range] = {
    **dict.fromkeys(("lr", "lr_g", "lr_d", "meta_lr", "rdm_lr", "eqrm_lr", "linear_lr"), _POSITIVE),
    **dict.fromkeys(("urm_discriminator_lr", "temperature", "mixup_alpha", "k"), _POSITIVE),
    **dict.fromkeys(("pgrad_outer_lr", "pgrad_mixup_alpha"), _POSITIVE),
    **dict.fromkeys(("batch_size", "pgrad_splits", "pgrad_components", "d_steps_per_g", "mlp_width"), _ONE),
    **dict.fromkeys(("n_meta_test", "urm_discriminator_hidden_layers"), _ONE),
    "mlp_depth": _Range(2),
    **dict.fromkeys(("resnet_dropout", "vit_dropout", "mlp_dropout", "beta1"), _BELOW_ONE),
    **dict.fromkeys(("rsc_f_drop_factor", "rsc_b_drop_factor", "mtl_ema", "ema", "tau"), _SHARE),
    "urm_discriminator_label_smoothing": _BELOW_ONE,
    "eqrm_quantile": _FRACTION,
}
_WORDS = {"pgrad_trajectory_dtype": ("own", "float32", "bfloat16")}
_MLP = {"mlp_width": 256, "mlp_depth": 3, "mlp_dropout": 0.0}  # read by the network of flat inputs too

_ARGUMENTS: dict[str, tuple[_Range, str]] = {
    "steps": (_ONE, "--steps 5001"),
    "checkpoint_freq": (_ONE, "--checkpoint_freq 300"),
    "holdout_fraction": (_FRACTION, "--holdout_fraction 0.2"),
    "uda_holdout_fraction": (_BELOW_ONE, "--uda_holdout_fraction 0.5"),
    "hparams_seed": (_NOT_NEGATIVE, "--hparams_seed 0"),
    "trial_seed": (_NOT_NEGATIVE, "--trial_seed 0"),
    "seed": (_Range(0, 2**32 - 1), "--seed 0"),
}


def check_argument(name: str, value: float | None) -> None:
    """Refuses a number on the command line that DomainBed would take for another, or fail with; None is left out."""
    allowed, right = _ARGUMENTS[name]
    if value is not None and not allowed.holds(value):
        raise Refusal(f"--{name} must be {allowed}, got {value}; write, for example, {right}")


@functools.cache
def known(algorithm: str, dataset: str) -> Mapping[str, Any]:
    """The hyper-parameters that have an effect, and their defaults."""
    return {**_MLP, **hparams_registry.default_hparams(algorithm, dataset)}


@functools.cache
def users(name: str, dataset: str) -> list[str]:
    """The algorithms that have a hyper-parameter of that name."""
    return [a for a in algorithms.ALGORITHMS if name in hparams_registry.default_hparams(a, dataset)]


def check_value(name: str, value: Any, default: Any, drawn: Iterable[Any]) -> None:
    """Refuses a hyper-parameter of another type, or a number that it cannot be.

    Args:
        name: of the hyper-parameter.
        value: what was given.
        default: DomainBed's; its type counts.
        drawn: what DomainBed draws at random; a whole number is needed where nothing else is ever drawn, and none
            below zero where nothing below zero is.
    """
    all_known = [default, *drawn]
    whole = all(isinstance(each, int) for each in all_known)
    wanted = "true or false" if isinstance(default, bool) else "a string" if isinstance(default, str) else None
    if wanted is not None:
        fits = isinstance(value, type(default))
        if fits and value not in _WORDS.get(name, (value,)):
            raise _wrong(name, f"one of {', '.join(_WORDS[name])}", value, default)
    else:
        never_negative = all(each >= 0 for each in all_known)
        allowed = _HPARAMS.get(name, _NOT_NEGATIVE if never_negative else _Range(-math.inf))
        wanted = f"a {'whole ' if whole else ''}number {allowed}"
        number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        fits = number and allowed.holds(value)
    if not fits:
        raise _wrong(name, wanted, value, default)


def _wrong(name: str, wanted: str, value: Any, default: Any) -> Refusal:
    right = json.dumps({name: default})
    return Refusal(f"--hparams: {name} must be {wanted}, got {value!r}; DomainBed's default is --hparams '{right}'")
