"""What stages that are not trained make of pictures, computed once for a data set and shared between the workers.

They lie beside the prepared data as float32, one tensor ``[n, ...]`` for each domain, and are mapped into memory.
The name of the file is a digest of the data's bytes, the backbone, its weights and size, the code that computes them
and the versions of timm and torch; what is read is held against the digest that was written with it. A lock lets one
process compute; the file appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from filelock import FileLock
from torch import Tensor

from benchmarks.datasets import MultiDomainData
from benchmarks.models.backbones import PREFIX, Backbone, library
from benchmarks.models.build import require_fitting
from benchmarks.models.cut import Cut, before, find
from benchmarks.models.settings import FROZEN, FULL
from benchmarks.runs.config import RunConfig
from benchmarks.runs.fits import fit_of
from benchmarks.runs.prepared import prepared

_CODE = ("models/backbones.py", "models/cut.py", "runs/features.py", "models/weights.py")


@dataclass(frozen=True)
class FrozenBackbone:
    """What decides the features of a picture, if not all of a network is trained.

    Attributes:
        name: Of the network in timm.
        weights: See `benchmarks.models.weights`.
        image_size: See `benchmarks.models.backbones.Backbone`.
        cut: Where the trained stages begin; None if none is trained.
    """

    name: str
    weights: str
    image_size: int | None = None
    cut: Cut | None = None


def frozen_backbone(config: RunConfig, input_shape: tuple[int, ...]) -> FrozenBackbone | None:
    """That of a run; None if its model is trained on the inputs themselves, of `input_shape`.

    Raises:
        ValueError, ImportError: If the settings do not go together.
    """
    if config.tuning == FULL:
        return None
    model = config.model or ""
    require_fitting(config, model)
    name = model.removeprefix(PREFIX)
    if config.tuning == FROZEN:
        return FrozenBackbone(name, config.weights, config.image_size)
    if fit_of(config.dataset, model) is not None:
        return None
    cut = find(name, config.tuning, input_shape, config.image_size)
    return FrozenBackbone(name, config.weights, config.image_size, cut) if cut else None


@functools.lru_cache(maxsize=4)
def featured(dataset: str, backbone: FrozenBackbone, folder: Path | None, device: str = "cpu") -> MultiDomainData:
    """The data set with features in the place of pictures; from ``folder/data`` if it is there, and written to it else.

    Raises:
        ValueError: If the inputs are no pictures, or are transformed by what is fitted on the training domains.
        ImportError, OSError: As `benchmarks.models.backbones.Backbone`.
    """
    if fit_of(dataset, PREFIX + backbone.name) is not None:
        raise ValueError(
            f"tuning: 'frozen' computes features once and for all, but {dataset} transforms its inputs by what it "
            "learns from the training domains of each run"
        )
    data = prepared(dataset, folder)
    if folder is None:
        return _with(data, computed(data, backbone, device))
    path = features_path(data, backbone, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        features = _read(path) if path.exists() else None
        if features is None:
            _write(computed(data, backbone, device), path)
            features = _read(path)
    if features is None:
        raise OSError(f"{path} was written and cannot be read back")
    return _with(data, features)


def computed(data: MultiDomainData, backbone: FrozenBackbone, device: str = "cpu") -> list[Tensor]:
    """The features of every domain ``[n, features]``, on the CPU."""
    with torch.random.fork_rng(devices=[]):  # a run's own draws do not depend on who computes
        net = Backbone(backbone.name, data.input_shape, backbone.weights, backbone.image_size)
    net = net.eval().to(device)
    passed = net if backbone.cut is None else functools.partial(before, net, backbone.cut)
    with torch.inference_mode():
        parts = [[passed(part.to(device)).cpu() for part in domain.inputs.split(256)] for domain in data.domains]
    return [torch.cat(part).float() for part in parts]


def features_path(data: MultiDomainData, backbone: FrozenBackbone, folder: Path) -> Path:
    """The file of the features."""
    return folder / "data" / f"{_key(data, backbone)}.features"


def _with(data: MultiDomainData, features: list[Tensor]) -> MultiDomainData:
    domains = zip(data.domains, features, strict=True)
    return replace(data, domains=tuple(replace(domain, inputs=found) for domain, found in domains))


def _key(data: MultiDomainData, backbone: FrozenBackbone) -> str:
    code = [hashlib.sha256((Path(__file__).parents[1] / name).read_bytes()).hexdigest() for name in _CODE]
    versions = [library().__version__, torch.__version__]
    found = json.dumps([data.digest(), asdict(backbone), code, versions])
    return hashlib.sha256(found.encode()).hexdigest()[:16]


def _digest(features: list[Tensor]) -> str:
    found = hashlib.sha256()
    for tensor in features:
        found.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.numpy().data)
    return found.hexdigest()


def _write(features: list[Tensor], path: Path) -> None:
    partial = path.with_suffix(".partial")
    try:
        torch.save({"features": features, "sha256": _digest(features)}, partial)
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()
        raise


def _read(path: Path) -> list[Tensor] | None:
    """None, and a warning, if the file is damaged."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        features: list[Tensor] = content["features"]
        if _digest(features) == content["sha256"]:
            return features
        reason = "its digest is not the one that was written with it"
    except Exception as error:  # noqa: BLE001  whatever is wrong with the file, it is computed again
        reason = f"{type(error).__name__}: {error}"
    warnings.warn(f"{path} is damaged ({reason}); the features are computed again", stacklevel=3)
    return None
