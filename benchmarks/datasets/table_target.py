"""The target of a table: classes or a quantity, decided over the whole column; asked back where both could be meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.datasets.inventory import Finding
from benchmarks.datasets.table_cells import Column, in_order
from benchmarks.datasets.table_texts import EMPTY, NUMBERS, TRUTH

__all__ = ["TASKS", "Target", "target_of"]

CLASSIFICATION, REGRESSION = TASKS = ("classification", "regression")
MANY_CLASSES = 20
MANY_WORDS = 100


@dataclass(frozen=True)
class Target:
    """What is predicted.

    Attributes:
        labels: ``[rows]`` int64 classes, or ``[rows, 1]`` float32, divided by the scale.
        classes: Their names; empty for a regression.
        values: The quantity in its own units, float64; the names of classes otherwise.
        findings: What is to be said about it.
    """

    labels: Tensor
    classes: tuple[str, ...]
    values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]
    findings: tuple[Finding, ...]

    @property
    def regression(self) -> bool:
        """Whether it is a quantity."""
        return not self.classes

    @property
    def n_outputs(self) -> int:
        """Of a model."""
        return len(self.classes) or 1


def target_of(column: Column, options: Mapping[str, str]) -> Target:
    """The target that a column is.

    Raises:
        ValueError: if it is none, or it is not clear which task is meant.
    """
    task = options.get("task")
    if task not in (None, *TASKS):
        raise ValueError(f"task must be {' or '.join(TASKS)}, got {task!r}")
    name = column.name
    if column.trouble:
        trouble = column.trouble.partition(", or say empty=")[0]  # an empty target would be refused, too
        rows = ", or drop these rows" if trouble != column.trouble else ""
        raise ValueError(f"the target {name!r} {trouble}{rows}; or words={name}, if these are classes")
    if column.kind == EMPTY or column.empty.any():
        raise ValueError(f"column {name!r} of the table is empty in {int(column.empty.sum())} rows; fill or drop them")
    if task == REGRESSION and column.kind != NUMBERS:
        raise ValueError(f"task=regression needs numbers in the target, column {name!r} holds {column.kind}")
    numbers = column.kind == NUMBERS
    whole = not numbers or bool((column.values % 1 == 0).all())
    if task is None and numbers and whole:
        _ask(column)
    if numbers and (task == REGRESSION or (task is None and not whole)):
        return _quantity(column, options)
    if "scale" in options:
        raise ValueError("scale is for regression; give task=regression or leave it out")
    return _classes(column, said=task is not None)


def _ask(column: Column) -> None:
    number, rows = len(np.unique(column.values)), len(column.values)
    if number > MANY_CLASSES or number > max(2, rows / 2):
        raise ValueError(
            f"the target {column.name!r} holds {number} different whole numbers in {rows} rows, which may be classes "
            "or a quantity: say task=classification or task=regression"
        )


def _quantity(column: Column, options: Mapping[str, str]) -> Target:
    try:
        scale = float(options.get("scale", "1"))
    except ValueError:
        scale = 0.0
    if not 0.0 < scale < float("inf"):
        raise ValueError(f"scale must be a positive number, got {options['scale']!r}")
    values, name = column.values.astype(np.float64), column.name
    mean, deviation = values.mean(), values.std()
    if np.ptp(values) == 0.0:
        raise ValueError(f"the target {name!r} is {values[0]:g} in all rows: there is nothing to predict")
    findings = list(column.findings)
    if abs(mean) > 1e5 * deviation:
        text = f"the target {name!r} varies by {deviation:.3g} around {mean:.10g}, of which 32 bits keep seven digits"
        findings.append(Finding("precision", f"{text}; subtract a constant", refused=True))
    if not 0.01 <= deviation / scale <= 100:
        near = f"{10.0 ** round(float(np.log10(deviation))):g}"
        text = f"the target {name!r} varies by {deviation:.3g} and scale is {scale:g}"
        findings.append(Finding("scale", f"{text}: models are made for targets of the order of one, say scale={near}"))
    labels = torch.from_numpy((values / scale).astype(np.float32)[:, np.newaxis])
    return Target(labels, (), values, tuple(findings))


def _classes(column: Column, said: bool) -> Target:
    named = _named(column)
    classes = in_order(sorted(set(named)))
    rows, name = len(named), column.name
    if column.kind == TRUTH:
        classes = sorted(classes)
    if len(classes) < 2:
        raise ValueError(f"column {name!r} holds one class only: {classes}")
    if len(classes) > max(2, rows / 2) or (len(classes) > MANY_WORDS and not said):
        raise ValueError(
            f"the target {name!r} holds {len(classes)} different values in {rows} rows, as {classes[0]!r} and "
            f"{classes[1]!r}: too many to be classes; name another column, or group them"
            + ("" if said or len(classes) > rows / 2 else ", or say task=classification")
        )
    labels = np.searchsorted(sorted(classes), named)
    place = np.array([classes.index(word) for word in sorted(classes)])
    return Target(torch.from_numpy(place[labels].astype(np.int64)), tuple(classes), named, column.findings)


def _named(column: Column) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """``[rows]``: the name of each row's class."""
    if column.kind == TRUTH:
        return np.where(column.values > 0, "True", "False").astype(object)
    if column.kind == NUMBERS:
        return np.array([f"{value:.0f}" if value % 1 == 0 else repr(float(value)) for value in column.values], object)
    return column.values
