"""Where a wide search looks for learning rates: one table, by what is trained and by the kind of optimizer.

The *regime* says what is trained. A learning rate is searched from two decades below its usual value to five times that
value; the usual value is point 0. The usual values are a starting point and no more: where the best point lies at the
edge of its range, `benchmarks.sweeps.edges` says so, and the search is widened.

==============  =======  =======  ===============================================
regime          Adam     SGD      what is trained
==============  =======  =======  ===============================================
from-scratch    0.01     0.1      a small network
features        0.003    0.03     a head on features that come trained
fine-tuning     0.0003   0.01     a pretrained network, all of it or its last part
sequence        0.001    0.1      a transformer or recurrent network
regression      0.003    0.01     a network that predicts quantities
==============  =======  =======  ===============================================

An outer learning rate is searched from a tenth of the way to the whole way, whatever is trained. Other hyper-parameters
keep their ranges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from torch.nn.functional import huber_loss, l1_loss, mse_loss, smooth_l1_loss

from benchmarks.algorithms.optimizers import ADAM, SGD
from benchmarks.base.losses import Loss
from benchmarks.base.search import Distribution, LogUniform, Space

Regime = Literal["from-scratch", "features", "fine-tuning", "sequence", "regression"]
REGIMES: tuple[Regime, ...] = get_args(Regime)


@dataclass(frozen=True)
class Usual:
    """Usual learning rates of a regime."""

    adam: float
    sgd: float


USUAL: Mapping[Regime, Usual] = {
    "from-scratch": Usual(adam=1e-2, sgd=0.1),
    "features": Usual(adam=3e-3, sgd=3e-2),
    "fine-tuning": Usual(adam=3e-4, sgd=1e-2),
    "sequence": Usual(adam=1e-3, sgd=0.1),
    "regression": Usual(adam=3e-3, sgd=1e-2),
}
BELOW, ABOVE = 1e-2, 5.0
"""Ends of a range, as multiples of the usual value."""

OUTER = LogUniform(default=0.5, low=0.1, high=1.0)
LEARNING_RATES = ("lr", "outer_lr")

SEQUENCES = ("decisions", "decisions-by-step", "decisions-pixels")
"""Models that are transformers or recurrent networks."""

_SGD_LIKE = SGD["lr"].default
_QUANTITIES = (mse_loss, l1_loss, smooth_l1_loss, huber_loss)


def regime_of(model: str, tuning: str, loss: Loss) -> Regime:
    """The regime that model and loss tell of; features that a data set brings have to be named.

    Example:
        >>> from torch.nn.functional import cross_entropy
        >>> regime_of("mlp", "full", cross_entropy), regime_of("timm:resnet18", "last-1", cross_entropy)
        ('from-scratch', 'fine-tuning')
    """
    if loss in _QUANTITIES:
        return "regression"
    if model in SEQUENCES:
        return "sequence"
    if model.startswith("timm:"):
        return "features" if tuning == "frozen" else "fine-tuning"
    return "from-scratch"


def wide(space: Space, regime: Regime) -> Space:
    """The space with wide ranges of its learning rates.

    A learning rate is one of SGD's where its default in `space` is that of SGD or more; a `Grid`, whose values somebody
    has chosen, stays.

    Example:
        >>> wide(ADAM, "fine-tuning")["lr"]
        LogUniform(default=0.0003, low=3e-06, high=0.0015)
    """

    def widened(name: str, distribution: Distribution) -> Distribution:
        if not isinstance(distribution, LogUniform) or name not in LEARNING_RATES:
            return distribution
        if name == "outer_lr":
            return OUTER
        usual = USUAL[regime].sgd if distribution.default >= _SGD_LIKE else USUAL[regime].adam
        return LogUniform(default=usual, low=_rounded(BELOW * usual), high=_rounded(ABOVE * usual))

    return {name: widened(name, distribution) for name, distribution in space.items()}


def _rounded(value: float) -> float:
    """Without the last bits of a product: the ends of ranges are read."""
    return float(f"{value:.6g}")


__all__ = ["ADAM", "LEARNING_RATES", "OUTER", "REGIMES", "USUAL", "Regime", "Usual", "regime_of", "wide"]
