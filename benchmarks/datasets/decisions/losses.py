"""Losses of decisions. They hold no state: a target network, which temporal differences need, has no place here.

``outputs`` ``[n, T, K + BINS]`` are scores of the options and what is said about the value; ``labels`` ``[n, T, 3]``
are those of `benchmarks.datasets.decisions.steps`. Every loss is the mean over the steps that are not padding.

*Cloning* (``bc``) is the cross-entropy of the scores with the choice of the teacher, or with the one that was done.
*Filtered* cloning takes part only in steps whose return G is above what the critic expects there, and the critic gets
no gradient of that::

    loss = -1[G > V(s)] log p(choice | s) + critic(V(s), G)

(arXiv:2505.03181 calls it advantage-filtered). Returns are those of the log (Monte-Carlo): this is no off-policy
reinforcement learning with a bootstrapped critic.

The critic is a *classification* on two-hot targets of symlog bins (`benchmarks.base.values`), or *squared*: the first
of its outputs is V, and the loss (V - G)^2 / 2 depends on the unit of returns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.base.values import BINS, expected, two_hot
from benchmarks.datasets.decisions.steps import DONE, RETURN, TEACHER

Learn = Literal["teacher", "done"]
Cloning = Literal["bc", "filtered"]
Critic = Literal["two-hot", "squared", "none"]


def parted(outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scores ``[n, T, K]``, what is said about the value ``[n, T, BINS]``, and which steps count ``[n, T]``.

    An answer for one step, ``[n, 1, ...]``, is that for all of them.

    Raises:
        ValueError: If outputs are not those of a model of decisions.
    """
    if outputs.ndim != 3 or outputs.shape[-1] <= BINS or outputs.shape[1] not in (1, labels.shape[1]):
        raise ValueError(
            f"outputs must be [n, {labels.shape[1]}, options + {BINS}], scores and values of every step, got "
            f"{list(outputs.shape)}; decisions need a model made for them, such as 'decisions'"
        )
    outputs = outputs.expand(-1, labels.shape[1], -1)
    return outputs[..., :-BINS], outputs[..., -BINS:], labels[..., DONE] >= 0


def value(said: Tensor, critic: Critic) -> Tensor:
    """``[n, T, BINS]`` to ``[n, T]``: the return that is expected."""
    return said[..., 0] if critic == "squared" else expected(said)


@dataclass(frozen=True)
class DecisionLoss:
    """The loss of a data set of decisions; the mean over steps, or ``[n, T]`` with ``reduction="none"``.

    Attributes:
        learn: Whose choices are cloned.
        cloning: All of them, or those whose return is above the critic's value.
        critic: How the value is learned; none for cloning without a critic.
    """

    learn: Learn = "teacher"
    cloning: Cloning = "bc"
    critic: Critic = "none"

    def __post_init__(self) -> None:
        if self.cloning == "filtered" and self.critic == "none":
            raise ValueError("loss=filtered needs a critic: critic=two-hot or critic=squared")

    @property
    def __name__(self) -> str:
        return f"{self.cloning} of {self.learn}" + ("" if self.critic == "none" else f", {self.critic} critic")

    def __call__(self, input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:  # noqa: A002  as torch
        scores, said, counts = parted(input, target)
        choice = target[..., TEACHER if self.learn == "teacher" else DONE].long().clamp(min=0)
        loss = cross_entropy(scores.flatten(0, 1), choice.flatten(), reduction="none").view_as(choice)
        gained = target[..., RETURN]
        if self.cloning == "filtered":
            loss = loss * (gained > value(said.detach(), self.critic))
        if self.critic == "squared":
            loss = loss + 0.5 * (said[..., 0] - gained).square()
        elif self.critic == "two-hot":
            loss = loss - (two_hot(gained) * said.log_softmax(dim=-1)).sum(dim=-1)
        loss = torch.where(counts, loss, 0.0)
        if reduction == "none":
            return loss
        if reduction != "mean":
            raise ValueError(f"reduction must be 'mean' or 'none', got {reduction!r}")
        return loss.sum() / counts.sum().clamp(min=1)
