"""What a run minimizes and is judged by: the data set's loss and metric, and what its settings put in their place."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.base.judges import JUDGES
from benchmarks.base.losses import Loss
from benchmarks.datasets import DatasetEntry, Metric
from benchmarks.datasets.base import Domain
from benchmarks.datasets.decisions.losses import DecisionLoss
from benchmarks.runs.config import Settings
from benchmarks.runs.view import Score, Scores


@dataclass(frozen=True)
class Judging:
    """By what a run is judged.

    Attributes:
        metric: Chooses points and checkpoints.
        measures: The other figures, by the name that records have for them.
        answer: The answer that does not look at the inputs, from labels and the number of outputs.
    """

    metric: Metric
    measures: Mapping[str, Metric]
    answer: Callable[[Tensor, int], Tensor] = field(default_factory=lambda: constant)

    def scores(self, outputs: Mapping[str, tuple[Tensor, Tensor]]) -> Scores:
        """Of outputs and labels by domain; None where a figure is not defined."""

        def by(metric: Metric) -> dict[str, Score]:
            return {name: _defined(metric(found, labels)) for name, (found, labels) in outputs.items()}

        return Scores(by(self.metric), {name: by(measure) for name, measure in self.measures.items()})

    def defined(self, parts: Sequence[Domain], n_outputs: int) -> tuple[str, ...]:
        """The names of the parts on which the metric is defined: a class may be missing.

        Raises:
            ValueError: if it is defined on none of them.
        """
        found = tuple(part.name for part in parts if self.is_defined(part.labels, n_outputs))
        if not found:
            names = ", ".join(part.name for part in parts)
            raise ValueError(
                f"the metric is not defined on the validation part of any training domain ({names}): each has examples "
                "of one class only; choose by another metric"
            )
        return found

    def is_defined(self, labels: Tensor, n_outputs: int) -> bool:
        """Whether the metric has a value on examples with these labels."""
        return not math.isnan(self.metric(_repeated(self.answer(labels, n_outputs), labels), labels))


def _repeated(answer: Tensor, labels: Tensor) -> Tensor:
    """``[1, ...]`` to ``[n, ...]``."""
    return answer.expand(len(labels), *answer.shape[1:])


def _defined(value: float) -> Score:
    return None if math.isnan(value) else value


def judging(settings: Settings, dataset: DatasetEntry) -> Judging:
    """What the settings name goes before the data set's own; the data set's own metric is then a measure.

    Raises:
        ValueError: if the model gives one answer for an example where there is one to give for every step.
    """
    if isinstance(dataset.loss, DecisionLoss) and (settings.model in _OF_EXAMPLES or _is_of_timm(settings.model)):
        raise ValueError(
            f"model: {settings.model!r} gives one answer for an example, and a set of decisions needs one for every "
            f"step: take {dataset.model!r}"
        )
    measures = dict(dataset.measures)
    metric = dataset.metric if settings.metric is None else JUDGES[settings.metric].metric
    named = [judge for judge in JUDGES.values() if judge.metric is dataset.metric] if settings.metric else []
    for judge in (*named, *(JUDGES[name] for name in settings.measures)):
        if judge.metric is not metric and judge.metric not in measures.values():
            measures[judge.label] = judge.metric
    if settings.metric is not None:
        measures = {name: own for name, own in measures.items() if own is not metric}
    return Judging(metric, measures, dataset.constant or constant)


_OF_EXAMPLES = ("mlp", "linear", "cnn")


def _is_of_timm(model: str | None) -> bool:
    return model is not None and model.startswith("timm:")


def require_classes(settings: Settings, quantity: bool) -> None:
    """Refuses figures for classes where a quantity is predicted.

    Raises:
        ValueError: names the setting.
    """
    if not quantity:
        return
    given = {"metric": settings.metric, "measures": ", ".join(settings.measures) or None}
    given["class_weights"] = None if settings.class_weights == "none" else settings.class_weights
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name}={value} is for classes, but this data set predicts a quantity; leave {name} out")


def weighted(settings: Settings, dataset: DatasetEntry, labels: Tensor, n_classes: int) -> Loss:
    """The data set's loss with the weights of the classes.

    Args:
        labels: ``[n]``, of the training parts.
        n_classes: Outputs of the model.

    Raises:
        ValueError: if the loss takes no weights, or their number is not that of the classes.
    """
    if settings.class_weights == "none":
        return dataset.loss
    if dataset.loss is not cross_entropy:
        raise ValueError(
            f"class_weights={settings.class_weights} needs the loss cross_entropy, which alone takes weights of "
            f"classes; this data set has {getattr(dataset.loss, '__name__', dataset.loss)}"
        )
    if settings.class_weights == "balanced":
        truth = labels.cpu().numpy()
        present = torch.unique(labels).cpu()
        weights = torch.ones(n_classes)  # of a class that training does not show it is never asked for
        found = compute_class_weight("balanced", classes=present.numpy(), y=truth)
        weights[present] = torch.as_tensor(found, dtype=torch.float32)
    else:
        weights = torch.tensor([float(word) for word in settings.class_weights.split(",")])
        if len(weights) != n_classes:
            raise ValueError(
                f"class_weights must have one number for each of the {n_classes} classes, got {len(weights)}: "
                f"{settings.class_weights}"
            )
    return functools.partial(cross_entropy, weight=weights.to(labels.device))


def constant(labels: Tensor, n_outputs: int) -> Tensor:
    """``[1, n_outputs]``: an answer that does not look at the inputs. The log of the classes' shares, whose largest is
    the majority class; of targets the mean of the columns that a model predicts, the first ones.

    Example:
        >>> constant(torch.tensor([2, 0, 2, 2]), n_outputs=3).argmax().item()
        2
        >>> constant(torch.tensor([[1.0], [4.0]]), n_outputs=1)
        tensor([[2.5000]])
    """
    if labels.is_floating_point():
        return labels.reshape(len(labels), -1)[:, :n_outputs].mean(dim=0, keepdim=True)
    counts = torch.bincount(labels.reshape(-1), minlength=n_outputs).double() + 1e-6
    return (counts / counts.sum()).log()[None]


def constant_scores(judge: Judging, labels: Tensor, n_outputs: int, parts: Sequence[Domain]) -> Scores:
    """What the constant of the training labels reaches on every part."""
    answer = judge.answer(labels, n_outputs)
    return judge.scores({part.name: (_repeated(answer, part.labels), part.labels) for part in parts})


def best_constant(judge: Judging, labels: Tensor, n_outputs: int, parts: Sequence[Domain]) -> float:
    """The highest mean over `parts` that an answer reaches which is the same for all examples, chosen in hindsight.

    Where classes are even, the largest of the training part is by the split the smallest of the validation part, and
    guessing any class beats it; this is what guessing cannot beat.
    """
    if labels.is_floating_point():
        theirs = torch.cat([part.labels for part in parts])
        answers = [judge.answer(labels, n_outputs), judge.answer(theirs, n_outputs)]
    else:
        answers = [constant(labels, n_outputs), *torch.eye(n_outputs, device=labels.device).split(1)]
    scores = [[judge.metric(_repeated(answer, part.labels), part.labels) for part in parts] for answer in answers]
    return max(sum(found) / len(found) for found in scores)
