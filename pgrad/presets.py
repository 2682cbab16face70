"""Named settings of the optimizer, each with its source."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from pgrad.optimizer import PGrad

__all__ = ["paper"]

SPLITS = 3  # parts of a domain's mini-batch in the authors' code


def paper(params: Any, lr: float | Tensor, domains: int, weight_decay: float = 0.0, **options: Any) -> PGrad:
    """The settings of the code that the authors of PGrad released.

    Three splits, so that T = 3 x domains; four components; Adam without weight decay inside, whose moments carry over;
    SGD with learning rate 0.1 and weight decay outside. A roll-out thus moves the model by a tenth of its length: the
    learning rate of a comparable plain optimizer is about a tenth of `lr`. The order of the mini-batches is that of
    `pgrad.DomainBatchSampler` or `pgrad.microbatches` with ``splits=3``.

    Args:
        params: as for `pgrad.PGrad`.
        lr: learning rate of the inner Adam.
        domains: number of training domains.
        weight_decay: of the outer SGD.
        **options: other arguments of `pgrad.PGrad`, which go before these settings.

    Raises:
        TypeError: if ``domains`` is not an int.
        ValueError: if it is below 1, and as `pgrad.PGrad`.

    Source: PGrad, arXiv:2305.01134, and its released code.

    Example:
        >>> opt = paper(torch.nn.Linear(3, 1).parameters(), lr=1e-3, domains=4, weight_decay=1e-4)
        >>> opt.rollout_length, opt.n_components, opt.outer.param_groups[0]["lr"]
        (12, 4, 0.1)
    """
    if isinstance(domains, bool) or not isinstance(domains, int):
        raise TypeError(f"domains must be the number of training domains, an int, got {domains!r}")
    if domains < 1:
        raise ValueError(f"domains must be at least 1, got {domains}")
    settings: dict[str, Any] = {
        "rollout_length": SPLITS * domains,
        "n_components": 4,
        "outer_lr": 0.1,
        "inner": torch.optim.Adam,
        "outer": functools.partial(torch.optim.SGD, weight_decay=weight_decay),
    }
    return PGrad(params, lr, **{**settings, **options})
