"""Data sets of one's own inside DomainBed: ``--dataset folder:PATH``, as ``python -m benchmarks`` calls them.

The laboratory finds domains and classes, refuses what it cannot read, and gives the pictures; DomainBed's transforms,
splits and loops do the rest. Pictures have 224 pixels unless the name says ``?size=...``, and are held in memory.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from domainbed_ext.errors import Refusal

__all__ = ["entry", "is_own", "placeholder", "register", "tell"]

SCHEME = "folder:"
SIZE = 224  # of DomainBed's pictures


def is_own(dataset: str) -> bool:
    """Whether the name is that of a folder."""
    return dataset.startswith(SCHEME)


@functools.cache
def entry(dataset: str) -> Any:
    """What the laboratory knows by that name, at DomainBed's size.

    Raises:
        Refusal: if there is no such folder, or something is wrong with it.
    """
    try:
        from benchmarks.datasets import DATASETS
    except ImportError as error:
        raise Refusal(f"--dataset {dataset} needs the laboratory: pip install 'pgrad[bench]' ({error})") from error
    path, mark, query = dataset.partition("?")
    sized = any(word.partition("=")[0] == "size" for word in query.split("&"))
    name = dataset if sized else f"{path}?{query + '&' if mark and query else ''}size={SIZE}"
    try:
        return DATASETS[name]
    except (ValueError, KeyError, OSError) as error:
        raise Refusal(f"--dataset {dataset}: {error.args[0] if isinstance(error, KeyError) else error}") from error


def tell(dataset: str) -> None:
    """Say on stderr what the laboratory found odd about the files and did not refuse."""
    inventory = getattr(entry(dataset), "inventory", None)
    for finding in () if inventory is None else inventory().findings:
        print(f"{dataset}: {finding.text}", file=sys.stderr)


def register(datasets: Any, names: Iterable[str]) -> dict[str, Any]:
    """Let DomainBed know those of `names` that are folders.

    Returns:
        ``{"dataset": name, "domains": [...]}`` of the last of them, for the record of a job; nothing if there is none.

    Raises:
        Refusal: as `entry`.
    """
    found: dict[str, Any] = {}
    for name in dict.fromkeys(filter(is_own, names)):
        _set(datasets, name, _class(datasets, name))
        found = {"dataset": name, "domains": list(entry(name).domains)}
    return found


def placeholder(datasets: Any, name: str, domains: Sequence[str]) -> None:
    """Let DomainBed's tables know a folder that need not be there any more."""
    if name not in vars(datasets):
        _set(datasets, name, type("Folder", (datasets.MultipleDomainDataset,), {"ENVIRONMENTS": list(domains)}))


def _set(datasets: Any, name: str, kind: type) -> None:
    setattr(datasets, name, kind)
    if name not in datasets.DATASETS:
        datasets.DATASETS.append(name)


def _class(datasets: Any, name: str) -> type:
    class Folder(datasets.WILDSDataset):  # type: ignore[misc]
        """DomainBed's class for pictures whose domain is a number beside them."""

        ENVIRONMENTS = tuple(entry(name).domains)
        CHECKPOINT_FREQ = 300

        def __init__(self, root: str, test_envs: Sequence[int], hparams: dict[str, Any]) -> None:  # noqa: ARG002
            pictures = _pictures(name)
            datasets.WILDSDataset.__init__(self, pictures, "domain", test_envs, hparams["data_augmentation"], hparams)

    return Folder


@functools.cache
def _pictures(name: str) -> SimpleNamespace:
    """The examples of all domains in the form of a data set of WILDS, of which DomainBed makes its environments."""
    factory = entry(name).factory
    try:
        data = getattr(factory, "prepare", factory)()
    except (ValueError, OSError, RuntimeError) as error:
        raise Refusal(f"--dataset {name}: {error}") from error
    if any(each.groups is not None for each in data.domains):
        raise Refusal(
            f"--dataset {name}: it has groups, which DomainBed's splits would part between training and validation; "
            "train it with python -m benchmarks, or leave the groups out of the name"
        )
    pixels = torch.cat([_bytes(each.inputs, name) for each in data.domains]).permute(0, 2, 3, 1).contiguous().numpy()
    numbers = torch.cat([torch.full((len(each), 1), number) for number, each in enumerate(data.domains)])

    def get_input(index: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
        picture: np.ndarray[Any, np.dtype[np.uint8]] = pixels[int(index)]
        return picture

    return SimpleNamespace(
        metadata_fields=["domain"],
        metadata_array=numbers,
        y_array=torch.cat([each.labels for each in data.domains]),
        n_classes=data.n_outputs,
        get_input=get_input,
    )


def _bytes(inputs: torch.Tensor, name: str) -> torch.Tensor:
    """``[n, 3, height, width]`` bytes; deeper pictures, which are floats from 0 to 1, are rounded to 256 levels."""
    if inputs.ndim != 4 or inputs.shape[1] != 3:
        raise Refusal(f"--dataset {name}: DomainBed takes pictures of three channels, got inputs {tuple(inputs.shape)}")
    return (inputs * 255).round().clamp(0, 255).to(torch.uint8) if inputs.is_floating_point() else inputs
