"""Official evaluation: predictions of a model on a split, WILDS's own metrics, files for its leaderboard."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pgrad.integrations.wilds._bridge import undefined_correlations
from pgrad.integrations.wilds._given import require_data, require_labels, require_outputs, require_transform
from pgrad.integrations.wilds.tasks import TASKS, task

__all__ = ["Evaluation", "evaluate", "predict", "prediction_file", "read_predictions", "write_predictions"]


@dataclass(frozen=True)
class Evaluation:
    """What a model does on one split.

    Attributes:
        split: its name.
        predictions: what the data set's ``eval`` was given, in the order of the split.
        results: what it gave back, numbers by name.
        summary: its own text.
    """

    split: str
    predictions: Any
    results: dict[str, float]
    summary: str


def predict(
    model: nn.Module | Callable[[Any], Any],
    subset: Any,
    *,
    batch_size: int = 64,
    device: torch.device | str | None = None,
    **loader_options: Any,
) -> tuple[Any, Any, Tensor]:
    """Predictions, targets and metadata of a subset, in its order, on the CPU.

    The model is in eval mode inside and in its own mode again outside. Nothing random is drawn.

    Args:
        model: gives outputs for a batch of inputs.
        subset: from ``dataset.get_subset(split, transform=...)``.
        batch_size: examples at a time.
        device: where the inputs go; None for where the first parameter of the model is.
        **loader_options: for `torch.utils.data.DataLoader`.

    Raises:
        TypeError: if `subset` is none of WILDS, or the model gives something else than the task needs.
        ValueError: if the subset is empty, has no labels or inputs without a transform; if outputs have another shape
            than the task needs, or are NaN (for a regression: not finite).
    """
    require_data(subset)
    require_labels(subset)
    from wilds.common.data_loaders import get_eval_loader

    name = subset.dataset_name
    kind = task(name).predictions
    turn = _TURN[kind]
    if "collate_fn" not in loader_options:
        require_transform(subset)
    own = {"generator": torch.Generator(), **loader_options}
    loader = get_eval_loader("standard", subset, batch_size=batch_size, **own)
    module = model if isinstance(model, nn.Module) else nn.Module()
    if device is None:
        device = next((p.device for p in module.parameters()), torch.device("cpu"))
    outputs: list[Any] = []
    targets: list[Any] = []
    metadata: list[Tensor] = []
    training, seen = module.training, 0
    module.eval()
    try:
        with torch.no_grad():
            for x, y, meta in loader:
                found = model(x.to(device))
                require_outputs(found, y, subset, kind, seen)
                seen += len(meta)
                outputs.append(_to_cpu(turn(found)))
                targets.append(y)
                metadata.append(meta)
    finally:
        module.train(training)
    if not metadata:
        raise ValueError(f"subset of {name} is empty: there is nothing to evaluate")
    return _join(outputs), _join(targets), torch.cat(metadata)


def evaluate(
    model: nn.Module | Callable[[Any], Any],
    dataset: Any,
    splits: Sequence[str] | None = None,
    *,
    transform: Callable[[Any], Any] | None = None,
    **options: Any,
) -> dict[str, Evaluation]:
    """WILDS's own evaluation of a model, on several splits.

    `TASKS` says which entry of the results is the official metric, ``TASKS[name].metric``. It is NaN where it is not
    defined: a correlation of predictions that are all the same in a group, of which WILDS alone would say nothing.
    In the middle of a roll-out, evaluate inside ``with optimizer.at_anchor():``.

    Args:
        model: gives outputs for a batch of inputs: logits, or values for a regression.
        dataset: the whole data set.
        splits: names from ``dataset.split_dict``; None for all but "train" that have examples.
        transform: of one input.
        **options: as in `predict`.

    Raises:
        ValueError: if a split is unknown or empty; and as `predict`.
        TypeError: as `predict`.
    """
    require_data(dataset)
    require_labels(dataset)
    names = [s for s in dataset.split_dict if s != "train" and _size(dataset, s)] if splits is None else list(splits)
    evaluations = {}
    for split in names:
        if split not in dataset.split_dict or not _size(dataset, split):
            known = ", ".join(s for s in dataset.split_dict if _size(dataset, s))
            raise ValueError(
                f"split of {dataset.dataset_name} must be one of {known}, which have examples; got {split!r}"
            )
        subset = dataset.get_subset(split, transform=transform)
        predictions, targets, metadata = predict(model, subset, **options)
        with undefined_correlations():
            results, summary = dataset.eval(predictions, targets, metadata)
        numbers = {key: float(value) for key, value in results.items()}
        evaluations[split] = Evaluation(split, predictions, numbers, summary)
    return evaluations


def prediction_file(dataset: str, split: str, *, seed: int = 0, fold: str = "A", label: str = "epoch:best") -> str:
    """The name by which WILDS's evaluation finds the predictions of a replicate.

    Replicates are seeds from 0 on, of poverty the folds A to E.

    Example:
        >>> prediction_file("fmow", "test", seed=2)
        'fmow_split:test_seed:2_epoch:best_pred.csv'
        >>> prediction_file("poverty", "val", fold="C")
        'poverty_split:val_fold:C_epoch:best_pred.csv'
    """
    replicate = f"fold:{fold}" if dataset == "poverty" else f"seed:{seed}"
    suffix = "pth" if TASKS[dataset].predictions == "boxes" else "csv"
    return f"{dataset}_split:{split}_{replicate}_{label}_pred.{suffix}"


def write_predictions(path: str | Path, predictions: Any) -> None:
    """Write predictions as WILDS's leaderboard takes them: one line per example, values separated by commas, no header.

    Those of a detector, a list of dicts of tensors, are saved by `torch.save`. An existing file is replaced at once.

    Raises:
        ValueError: if the name has a colon, as WILDS's own have, and Windows is to hold it: it would write elsewhere.
    """
    path = Path(path)
    _check_name(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    if isinstance(predictions, Tensor):
        rows = predictions.reshape(len(predictions), -1).tolist()
        if predictions.is_floating_point():  # as few digits as give the same number back
            shortest = np.vectorize(str, otypes=[object])
            rows = shortest(predictions.reshape(len(predictions), -1).float().numpy()).tolist()
        partial.write_text("".join(",".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    else:
        torch.save(predictions, partial)
    partial.replace(path)


def _check_name(path: PurePath) -> None:
    if isinstance(path, PureWindowsPath) and ":" in path.name:
        raise ValueError(
            f"path must have no colon in its name on Windows, got {path.name!r}: WILDS's names have some, so write "
            "them on another system (WSL is one)"
        )


def read_predictions(path: str | Path) -> Any:
    """What `write_predictions` wrote, read as WILDS's evaluation (examples/evaluate.py) reads it.

    Raises:
        ValueError: if a line is not a number or numbers separated by commas; names file and line.
    """
    path = Path(path)
    if path.suffix == ".pth":
        return torch.load(path, weights_only=True)
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                rows.append(ast.literal_eval(line.strip()))
            except (SyntaxError, ValueError) as error:
                raise ValueError(f"{path}, line {number}: must be numbers separated by commas, got {line!r}") from error
    return torch.from_numpy(np.array(rows))


def _size(dataset: Any, split: str) -> int:
    return int((dataset.split_array == dataset.split_dict[split]).sum())


def _sign(outputs: Tensor) -> Tensor:
    return (outputs > 0).long()


def _argmax(outputs: Tensor) -> Tensor:
    return outputs.argmax(-1)


def _same(outputs: Any) -> Any:
    return outputs


_TURN: dict[str, Callable[[Any], Any]] = {"argmax": _argmax, "sign": _sign, "raw": _same, "boxes": _same}


def _to_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, dict):
        return {key: _to_cpu(item) for key, item in value.items()}
    return [_to_cpu(item) for item in value]


def _join(batches: list[Any]) -> Any:
    """Tensors one after another; the lists of a detector likewise."""
    return torch.cat(batches) if isinstance(batches[0], Tensor) else [item for batch in batches for item in batch]
