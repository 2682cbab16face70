"""What a user gives, looked at before WILDS or a DataLoader stumbles over it."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils.data import ConcatDataset, Subset

__all__ = ["require_data", "require_labels", "require_outputs", "require_transform"]


def require_data(dataset: Any) -> None:
    """A WILDS data set, or a subset that still carries the metadata.

    Raises:
        TypeError: for anything else, such as torch's ``Subset`` or ``ConcatDataset`` around one.
    """
    if all(hasattr(dataset, name) for name in ("metadata_array", "metadata_fields", "collate")):
        return
    kind = type(dataset)
    named = f"dataset must be a WILDS data set or what its get_subset gave, got {kind.__module__}.{kind.__qualname__}"
    if isinstance(dataset, Subset):
        raise TypeError(
            f"{named}, which hides the metadata; for some examples only: from wilds.datasets.wilds_dataset import "
            "WILDSSubset; WILDSSubset(dataset, indices, transform)"
        )
    if isinstance(dataset, ConcatDataset):
        raise TypeError(
            f"{named}, which hides the metadata; for several splits of one data set: from wilds.datasets.wilds_dataset "
            "import WILDSSubset; WILDSSubset(dataset, numpy.concatenate([a.indices, b.indices]), transform)"
        )
    raise TypeError(f"{named}; pgrad.integrations.wilds.get_dataset gives one")


def require_labels(dataset: Any) -> None:
    """Raises ValueError for unlabelled data."""
    if str(dataset.dataset_name).endswith("_unlabeled"):
        raise ValueError(
            f"dataset {dataset.dataset_name} has no labels, so that nothing can be evaluated on it; evaluate on "
            f"get_dataset({str(dataset.dataset_name).removesuffix('_unlabeled')!r}, ...) without unlabeled=True"
        )


def require_transform(dataset: Any) -> None:
    """Raises ValueError where inputs are pictures or texts and nothing makes tensors of them. Draws nothing."""
    inner = dataset
    while inner is not None:
        if getattr(inner, "transform", None) is not None:
            return
        inner = getattr(inner, "dataset", None)
    if not len(dataset):
        return
    x = dataset[0][0]
    kind = "texts" if isinstance(x, str) else "pictures" if hasattr(x, "convert") else ""
    if hasattr(x, "close"):
        x.close()
    if kind:
        raise ValueError(
            f"transform is missing: inputs of {dataset.dataset_name} are {kind}, of which no batch can be made; write "
            "dataset.get_subset(split, transform=...) with a function of one input that gives a tensor"
            + (", such as torchvision.transforms.ToTensor()" if kind == "pictures" else ", such as a tokenizer")
        )


def require_outputs(outputs: Any, targets: Any, dataset: Any, predictions: str, first: int) -> None:
    """What a model gave for a batch is what the task needs, and numbers.

    Args:
        outputs: of the model.
        targets: of the batch.
        dataset: the subset they are of.
        predictions: as in `pgrad.integrations.wilds.Task`.
        first: number of the first example of the batch in the subset.

    Raises:
        TypeError: if `outputs` are of another type.
        ValueError: if they have another shape, or are not numbers.
    """
    name = dataset.dataset_name
    if predictions == "boxes":
        _require_boxes(outputs, targets, name, first)
        return
    if not isinstance(outputs, Tensor):
        raise TypeError(f"model must give a tensor for a batch of {name}, got {type(outputs).__name__}")
    classes = None if predictions == "sign" else dataset.n_classes
    expected = (*targets.shape, classes) if classes else tuple(targets.shape)
    if tuple(outputs.shape) != tuple(expected):
        what = f"one output for each of its {classes} classes" if classes else "one output for each target"
        raise ValueError(
            f"model must give outputs of shape {_shape(expected)} for {len(targets)} examples of {name}, {what}; got "
            f"{_shape(outputs.shape)}: look at its last layer"
        )
    wrong = ~outputs.isfinite() if predictions == "raw" else outputs.isnan()
    if wrong.any():
        rows = wrong.reshape(len(outputs), -1).any(1).nonzero().flatten()
        raise ValueError(
            f"model gave {'NaN or infinity' if predictions == 'raw' else 'NaN'} for {len(rows)} of {len(outputs)} "
            f"examples of {name} in a batch, first for example {first + int(rows[0])} of the split; no metric can be "
            "computed of that: look at its weights (a smaller learning rate?) and at that input"
        )


def _require_boxes(outputs: Any, targets: Any, name: str, first: int) -> None:
    fields = ("boxes", "labels", "scores")
    fine = isinstance(outputs, list) and all(isinstance(o, dict) and set(fields) <= o.keys() for o in outputs)
    if not fine:
        raise TypeError(f"model must give a list of dicts of {', '.join(fields)} for a batch of {name}")
    if len(outputs) != len(targets):
        raise ValueError(f"model must give a dict for each of {len(targets)} examples of {name}, got {len(outputs)}")
    for number, found in enumerate(outputs):
        if not (found["boxes"].isfinite().all() and found["scores"].isfinite().all()):
            raise ValueError(
                f"model gave a box or a score that is not finite for example {first + number} of {name}; no metric can "
                "be computed of that: look at its weights (a smaller learning rate?) and at that input"
            )


def _shape(shape: Any) -> str:
    return f"[{', '.join(map(str, shape))}]"
