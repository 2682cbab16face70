"""Figures of merit of decisions: the larger the better, but for the error of the value.

Agreement is not success. A model that agrees with the teacher at nine steps of ten may fail at every task; only playing
tells (``pgrad-bench play``).
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.base.values import BINS
from benchmarks.datasets.decisions.losses import Critic, parted, value
from benchmarks.datasets.decisions.steps import RETURN, TEACHER


def agreement(outputs: Tensor, labels: Tensor) -> float:
    """The share of steps at which the best score is the teacher's choice."""
    scores, _, counts = parted(outputs, labels)
    right = scores.argmax(dim=-1) == labels[..., TEACHER]
    return _mean(right, counts)


def agreement_on_success(outputs: Tensor, labels: Tensor) -> float:
    """The same on steps whose return is above the mean of these examples: where rewards tell success, on the steps of
    episodes that succeed. NaN if returns are all the same.
    """
    scores, _, counts = parted(outputs, labels)
    gained = labels[..., RETURN].double()
    better = counts & (gained > gained[counts].mean() + 1e-12)
    return _mean(scores.argmax(dim=-1) == labels[..., TEACHER], better)


def value_error(outputs: Tensor, labels: Tensor, critic: Critic = "two-hot") -> float:
    """mean |V - G| over mean |G - median G|: 0 at best, 1 for the best constant, whatever the unit of returns.

    NaN if returns are all the same.
    """
    _, said, counts = parted(outputs, labels)
    gained = labels[..., RETURN][counts].double()
    spread = (gained - gained.median()).abs().mean() if len(gained) else torch.tensor(0.0)
    if not spread:
        return float("nan")
    return float((value(said, critic)[counts].double() - gained).abs().mean() / spread)


def most_frequent(labels: Tensor, n_outputs: int) -> Tensor:
    """``[1, 1, n_outputs]``: an answer that does not look at the inputs, the share of each option among the teacher's
    choices. Where options change from step to step it says next to nothing.
    """
    options = n_outputs - BINS
    chosen = labels[..., TEACHER].reshape(-1)
    counts = torch.bincount(chosen[chosen >= 0].long(), minlength=options).to(torch.float32) + 1e-6
    return torch.cat([(counts / counts.sum()).log(), counts.new_zeros(BINS)])[None, None]


def _mean(right: Tensor, counts: Tensor) -> float:
    return float(right[counts].double().mean()) if counts.any() else float("nan")
