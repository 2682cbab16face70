"""The predictor that looks at no input, by the official metric: what a run on WILDS has to beat.

It says the majority class of the training split; of several labels the more frequent value of each. No input is read.
There is none for boxes, and none for a quantity, whose official metric is a correlation.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
from sklearn.exceptions import UndefinedMetricWarning
from torch import Tensor

from benchmarks.base.records import HINDSIGHT, MAJORITY, constant_key
from benchmarks.studies.wilds.config import TEST
from pgrad.integrations import wilds

__all__ = ["figures"]

Answer = Callable[[Tensor], Tensor]
"""The same for every example: targets give predictions."""

MOST = 20
"""Classes of the validation split, the most frequent ones, among which the best answer in hindsight is looked for."""


def figures(dataset: Any, metric: str) -> dict[str, list[float]]:
    """What a record says of it (see `benchmarks.base.records`); empty where there is no such predictor.

    Args:
        dataset: Of WILDS, with labels.
        metric: Entry of the results of its ``eval``; what is not defined is left out.
    """
    kind = wilds.TASKS[dataset.dataset_name].predictions
    if kind == "boxes":
        return {}
    train, validation = (dataset.get_subset(split).y_array for split in ("train", wilds.SELECTION_SPLIT))
    if kind == "raw" and train.is_floating_point():
        return {}
    own = _answers(kind, train)[0]
    reached = _score(dataset, wilds.SELECTION_SPLIT, own, metric)
    others = [_score(dataset, wilds.SELECTION_SPLIT, answer, metric) for answer in _answers(kind, validation)]
    found = {
        constant_key(MAJORITY, "validation"): reached,
        constant_key(MAJORITY, "validation", HINDSIGHT): max((reached, *others), key=_known),
        constant_key(MAJORITY, "held out"): _score(dataset, TEST, own, metric),
    }
    return {name: [value] for name, value in found.items() if value is not None}


def _known(value: float | None) -> float:
    """What is not defined is the lowest."""
    return -math.inf if value is None else value


def _answers(kind: str, targets: Tensor) -> list[Answer]:
    """By the frequency of what they say in these targets; where there are several labels, one answer alone."""
    if kind == "sign":
        often = (targets.nanmean(dim=0) > 0.5).to(targets.dtype)
        return [lambda asked: often.expand(len(asked), -1)]
    numbers, counts = targets[~targets.isnan()].long().unique(return_counts=True)
    if kind == "raw":  # logits of classes
        shares = torch.zeros(int(numbers.max()) + 1)
        shares[numbers] = counts / counts.sum()
        return [lambda asked: shares.log().clamp(min=-100.0).expand(len(asked), -1)]
    ordered = numbers[counts.argsort(descending=True, stable=True)][:MOST]
    return [functools.partial(torch.full_like, fill_value=number) for number in ordered.tolist()]


def _score(dataset: Any, split: str, answer: Answer, metric: str) -> float | None:
    subset = dataset.get_subset(split)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)  # of classes that are never said
        results, _ = dataset.eval(answer(subset.y_array), subset.y_array, subset.metadata_array)
    value = float(results[metric])
    return value if math.isfinite(value) else None
