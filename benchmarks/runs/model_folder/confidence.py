"""An estimate of accuracy without labels: average thresholded confidence (Garg et al. 2022, arXiv:2201.04234).

An example counts as right where the model's confidence, its largest probability, is above a threshold. The threshold is
found where labels are known: so that on average over the domains, each as the model without it had it, as many examples
lie below it as are wrong. How far the estimate is off is found in the same way, each domain with the threshold of the
others, and held against the plain guess that a domain is as easy as the others were on average. In the study of
`choose` it was no closer to the truth than that guess: it stands on the card with its error, and nothing prints it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]


def confidences(outputs: Tensor) -> Floats:
    """``[n]``: the log of the largest probability of logits ``[n, classes]``."""
    return np.asarray(outputs.double().log_softmax(dim=1).amax(dim=1).numpy())


def threshold(domains: Mapping[str, tuple[Floats, float]]) -> float:
    """Below which on average as many confidences lie as are wrong.

    Args:
        domains: Name -> confidences ``[n]`` and accuracy; every domain counts the same.

    Example:
        >>> scores = np.log(np.array([0.5, 0.6, 0.7, 0.9]))
        >>> round(float(np.exp(threshold({"a": (scores, 0.75)}))), 2)
        0.6
    """
    wrong = float(np.mean([1.0 - accuracy for _, accuracy in domains.values()]))
    scores = np.concatenate([own for own, _ in domains.values()])
    weights = np.concatenate([np.full(len(own), 1.0 / (len(own) * len(domains))) for own, _ in domains.values()])
    order = np.argsort(scores, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(weights[order])])
    place = int(np.argmin(np.abs(below - wrong)))  # so many of them lie below
    return float("inf") if place == len(scores) else float(scores[order[place]])


def estimated(scores: Floats, limit: float) -> float:
    """The share of examples that count as right."""
    return float((scores >= limit).mean())


@dataclass(frozen=True)
class Confidence:
    """The estimate, and how far it was off.

    Attributes:
        limit: The threshold, of all domains together.
        error: Mean distance from the truth over the left-out domains.
        plain_error: The same of the plain guess.
    """

    limit: float
    error: float
    plain_error: float

    @property
    def helps(self) -> bool:
        """Whether it was closer to the truth than the plain guess."""
        return self.error < self.plain_error


def confidence_of(domains: Mapping[str, tuple[Tensor, Tensor]]) -> Confidence | None:
    """The estimate of a model from left-out domains; None if there are less than three, or nothing varies.

    Args:
        domains: Name -> logits ``[n, classes]`` and labels ``[n]``, each by the model that was trained without it.
    """
    if len(domains) < 3:
        return None
    known = {
        name: (confidences(outputs), float((outputs.argmax(dim=1) == labels).double().mean()))
        for name, (outputs, labels) in domains.items()
    }
    errors, plain = [], []
    for name, (scores, accuracy) in known.items():
        others = {other: own for other, own in known.items() if other != name}
        errors.append(abs(estimated(scores, threshold(others)) - accuracy))
        plain.append(abs(float(np.mean([own for _, own in others.values()])) - accuracy))
    limit = threshold(known)
    if not np.isfinite(limit):
        return None
    return Confidence(limit, float(np.mean(errors)), float(np.mean(plain)))


def said(outputs: Tensor, limit: float) -> float:
    """The estimated accuracy on examples with these logits."""
    return estimated(confidences(torch.as_tensor(outputs)), limit)
