"""Figures of merit for classes that a sweep can name: what chooses, and what is measured beside it.

Each takes logits ``[n, classes]`` and labels ``[n]`` and gives a share in 0..1; NaN where it is not defined. The
arithmetic is scikit-learn's and torchmetrics'; stated here is only what they leave to the user: which classes count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score
from torch import Tensor

from benchmarks.base.errors import unknown
from benchmarks.base.metrics import accuracy, balanced_accuracy, macro_f1

BINS = 15
"""Of the calibration error."""


def auc(logits: Tensor, labels: Tensor) -> float:
    """The area under the ROC curve; of more than two classes the mean over one against the rest.

    A class that does not occur, or has all examples, has no curve and is left out; NaN if none is left.

    Example:
        >>> import torch
        >>> auc(torch.tensor([[0.0, -1.0], [0.0, 2.0], [0.0, 1.0], [0.0, 3.0]]), torch.tensor([0, 0, 1, 1]))
        0.75
    """
    scores, truth = logits.double().log_softmax(dim=1).cpu().numpy(), labels.cpu().numpy()
    if scores.shape[1] == 2:  # the difference, for log-softmax rounds what is nearly certain to 0
        scores = np.stack([scores[:, 0] - scores[:, 1], scores[:, 1] - scores[:, 0]], axis=1)
    found = [
        float(roc_auc_score(truth == number, scores[:, number]))
        for number in range(scores.shape[1])
        if 0 < (truth == number).sum() < len(truth)
    ]
    return float(np.mean(found)) if found else float("nan")


def calibration_error(logits: Tensor, labels: Tensor) -> float:
    """The mean over 15 equal bins of confidence of | confidence - accuracy |, weighted by examples: 0 at best.

    Example:
        >>> import torch
        >>> even = torch.zeros(4, 2)  # 50 % sure, and right in three of four
        >>> calibration_error(even, torch.tensor([0, 0, 0, 1]))
        0.25
    """
    try:
        from torchmetrics.functional.classification import multiclass_calibration_error
    except ImportError as error:
        raise ImportError(
            f"calibration-error needs torchmetrics ({error}); pip install 'pgrad[bench]' installs it"
        ) from error
    probabilities = logits.double().softmax(dim=1)
    return float(multiclass_calibration_error(probabilities, labels, logits.shape[1], n_bins=BINS, norm="l1"))


@dataclass(frozen=True)
class Judge:
    """One line of the list.

    Attributes:
        metric: ``metric(logits, labels)``.
        label: How records and tables call it.
        chooses: Whether a sweep may choose by it: the larger the better.
    """

    metric: Callable[[Tensor, Tensor], float]
    label: str
    chooses: bool = True


JUDGES: Mapping[str, Judge] = {
    "accuracy": Judge(accuracy, "accuracy"),
    "balanced-accuracy": Judge(balanced_accuracy, "balanced accuracy"),
    "macro-f1": Judge(macro_f1, "macro F1"),
    "auc": Judge(auc, "AUC"),
    "calibration-error": Judge(calibration_error, "calibration error", chooses=False),
}
"""By the name that the settings ``metric`` and ``measures`` take."""


def known_judge(name: str) -> str:
    """The same name.

    Raises:
        ValueError: if there is no such figure.
    """
    if name not in JUDGES:
        raise ValueError(unknown(name, JUDGES))
    return name


def known_chooser(name: str) -> str:
    """The same name.

    Raises:
        ValueError: if there is no such figure, or it cannot choose.
    """
    if not JUDGES[known_judge(name)].chooses:
        raise ValueError(
            f"{name} cannot choose: a model that says the shares of the classes, whatever it is shown, is the best by "
            f"it; name it under measures, and choose by {', '.join(word for word in JUDGES if JUDGES[word].chooses)}"
        )
    return name
