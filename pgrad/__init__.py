"""pgrad: roll-outs for domain generalization in PyTorch.

An ordinary optimizer makes a short roll-out over the training domains, a mini-batch of one domain a step; then the
model moves once, along what an aggregation makes of the roll-out: its principal gradient (PGrad, arXiv:2305.01134) or
its plain displacement (Reptile, Fish). Averages of weights follow it, or any other optimizer.

Example:
    >>> import torch, pgrad
    >>> model = torch.nn.Linear(2, 1)
    >>> opt = pgrad.PGrad(model.parameters(), lr=1e-2, rollout_length=6)
    >>> average = pgrad.averaging.EMA(model, decay=0.9).follow(opt)
    >>> for step in range(6):  # one mini-batch of one domain a step
    ...     opt.zero_grad()
    ...     loss = model(torch.randn(4, 2)).square().mean()
    ...     loss.backward()
    ...     _ = opt.step()
    >>> opt.rollout_position, opt.last_update.n_components, average.count
    (0, 3, 1)

Only what is used is imported: `analysis`, `averaging` and `testing` come when they are asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pgrad import aggregation, data, presets, reference
from pgrad.aggregation import Aggregation, Rollout
from pgrad.data import DomainBatchSampler, GroupBatchSampler, ResumableLoader, microbatches, split_by_domain
from pgrad.optimizer import PGrad
from pgrad.principal import PrincipalWeights, Update, principal_weights, random_walk_spectrum

if TYPE_CHECKING:
    from pgrad import analysis, averaging, testing

__all__ = [
    "Aggregation",
    "DomainBatchSampler",
    "GroupBatchSampler",
    "PGrad",
    "PrincipalWeights",
    "ResumableLoader",
    "Rollout",
    "Update",
    "aggregation",
    "analysis",
    "averaging",
    "data",
    "microbatches",
    "presets",
    "principal_weights",
    "random_walk_spectrum",
    "reference",
    "split_by_domain",
    "testing",
]

__version__ = "0.2.0"

_LAZY = ("analysis", "averaging", "testing")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"pgrad.{name}")
    raise AttributeError(f"module 'pgrad' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
