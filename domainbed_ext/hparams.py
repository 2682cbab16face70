"""Our hyper-parameters: defaults are the authors' released settings, and each has a range for random search.

They are drawn as DomainBed draws its own, each name from ``RandomState(seed_hash(seed, name))``, so that PGrad and its
controls get the same values at the same ``hparams_seed``. Learning rate, batch size and weight decay are DomainBed's
(those of ERM), which depend on the size of the images; ours do not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import RandomState

__all__ = ["COMMON", "NAMES", "ROLLOUT", "HParam", "install", "of"]


@dataclass(frozen=True)
class HParam:
    """One hyper-parameter: its default, how a random one is drawn, and what it means."""

    name: str
    default: Any
    draw: Callable[[RandomState], Any]
    meaning: str


def _fixed(name: str, value: Any, meaning: str) -> HParam:
    return HParam(name, value, lambda _: value, meaning)


# For every algorithm, DomainBed's too.
COMMON = (
    _fixed("ext_pretrained", "download", "where pretrained weights come from: download, none, or a folder"),
    _fixed("ext_featurizer", "", "another backbone: module:function of (input_shape, hparams)"),
)

_SPLITS = HParam("pgrad_splits", 3, lambda r: r.choice([1, 2, 3, 4]), "parts of a mini-batch; T = splits x domains")
_COMPONENTS = HParam("pgrad_components", 4, lambda r: r.choice([1, 2, 4, 8]), "principal directions in use")
_OUTER_LR = HParam("pgrad_outer_lr", 0.1, lambda r: 10 ** r.uniform(-1.5, 0), "learning rate of the outer SGD")
_REFRESH = _fixed(
    "pgrad_refresh_batchnorm", True, "unfrozen BatchNorm: take statistics at the anchor (one more forward pass)"
)
_DTYPE = _fixed(
    "pgrad_trajectory_dtype",
    "own",
    "of stored displacements: own (the parameters'), float32, bfloat16 (half the memory)",
)
_ALPHA = HParam("pgrad_mixup_alpha", 0.2, lambda r: 10 ** r.uniform(-1, 1), "Mixup's Beta(alpha, alpha)")

_SHARED = (_SPLITS, _OUTER_LR, _REFRESH)
ROLLOUT: dict[str, tuple[HParam, ...]] = {
    "PGrad": (*_SHARED, _COMPONENTS, _DTYPE),
    "PGradReptile": _SHARED,
    "PGradFull": (*_SHARED, _DTYPE),
    "PGradMix": (*_SHARED, _COMPONENTS, _DTYPE, _ALPHA),
    "PGradParallel": (*_SHARED, _COMPONENTS, _DTYPE),
}
NAMES = tuple(ROLLOUT)


def of(algorithm: str) -> tuple[HParam, ...]:
    """The hyper-parameters that an algorithm has beyond DomainBed's registry."""
    return (*COMMON, *ROLLOUT.get(algorithm, ()))


def install(registry: Any, seed_hash: Callable[..., int]) -> None:
    """Wrap ``hparams_registry._hparams``, the source of default_hparams and random_hparams.

    All values become plain Python scalars: numpy's break the JSON of the results and ``torch.load`` of the model.
    """
    original = registry._hparams
    if hasattr(original, "of_domainbed"):
        return

    def hparams(algorithm: str, dataset: str, random_seed: int) -> dict[str, tuple[Any, Any]]:
        drawn = dict(original(algorithm, dataset, random_seed))
        for h in of(algorithm):
            drawn[h.name] = (h.default, h.draw(RandomState(seed_hash(random_seed, h.name))))
        return {name: (_plain(default), _plain(value)) for name, (default, value) in drawn.items()}

    hparams.of_domainbed = original  # type: ignore[attr-defined]
    registry._hparams = hparams


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
