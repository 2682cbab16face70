"""Writing and reading a model folder. Nothing in it is executed, and what is wrong with it is one sentence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from benchmarks.runs.model_folder.description import FORMAT, VERSION, Description
from benchmarks.runs.model_folder.network import Predictor, built

ABOUT, WEIGHTS, SEEN = "model.json", "model.safetensors", "seen.safetensors"
INSIDE = "model"
"""The folder of the model in the output of ``choose``."""
LARGEST_JSON = 64 * 2**20


class ModelFolderError(ValueError):
    """A folder is none of a model, damaged, or of another version; says which file, and what is wrong."""


@dataclass(frozen=True)
class Loaded:
    """A model folder.

    Attributes:
        folder: It.
        about: What it says.
        model: Predicts.
        seen: What the training examples looked like: see `benchmarks.runs.model_folder.seen`.
    """

    folder: Path
    about: Description
    model: Predictor
    seen: Mapping[str, Tensor]


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise ImportError(
            f"model folders need safetensors ({error}); pip install 'pgrad[choose]' installs it"
        ) from error
    return safetensors


def save(folder: Path, about: Description, model: Predictor, seen: Mapping[str, Tensor]) -> None:
    """Writes weights, ``seen`` and the description, with the digests of both, into a folder that is there."""
    library = _safetensors()
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.network.state_dict().items()}
    library.torch.save_file(tensors, folder / WEIGHTS)
    files = {WEIGHTS: _digest(folder / WEIGHTS)}
    if seen:
        library.torch.save_file({name: value.contiguous() for name, value in seen.items()}, folder / SEEN)
        files[SEEN] = _digest(folder / SEEN)
    about = about.model_copy(update={"files": files})
    text = json.dumps(about.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / ABOUT).write_text(text, encoding="utf-8")
    for name in files:  # the library makes files that nobody else may read
        (folder / name).chmod((folder / ABOUT).stat().st_mode)


def load(folder: Path) -> Loaded:
    """The model of a folder, or of the output of ``choose``.

    Raises:
        ModelFolderError: if it is none, or damaged.
        ImportError: if it needs a package that is not installed.
    """
    place = folder if (folder / ABOUT).is_file() or not (folder / INSIDE / ABOUT).is_file() else folder / INSIDE
    about = describe(place)
    for name, wanted in about.files.items():
        if name not in (WEIGHTS, SEEN):
            raise ModelFolderError(f"{place / ABOUT} names the file {name!r}, which is none of a model")
        if not (place / name).is_file():
            raise ModelFolderError(f"{place / name} is missing: copy the whole folder again")
        if _digest(place / name) != wanted:
            raise ModelFolderError(
                f"{place / name} is damaged or of another model: its SHA-256 is not that of {ABOUT}; copy the folder "
                "again"
            )
    if WEIGHTS not in about.files:
        raise ModelFolderError(f"{place / ABOUT} names no {WEIGHTS}: the folder was not written to its end")
    try:
        with torch.device("meta"):
            shapes = {name: tuple(value.shape) for name, value in built(about).network.state_dict().items()}
        _require_shapes(place / WEIGHTS, shapes)
        model = built(about)
    except ModelFolderError:
        raise
    except (ValueError, RuntimeError) as error:
        raise ModelFolderError(f"{place / ABOUT} describes no network that can be built here: {error}") from error
    model.network.load_state_dict(_tensors(place / WEIGHTS))
    seen = _tensors(place / SEEN) if SEEN in about.files else {}
    return Loaded(place, about, model, seen)


def describe(folder: Path) -> Description:
    """What ``model.json`` of a folder says.

    Raises:
        ModelFolderError: if there is none, or it is not one of a model.
    """
    path = folder / ABOUT
    if not folder.is_dir():
        raise ModelFolderError(f"there is no folder {folder}{'; it is a file' if folder.is_file() else ''}")
    if not path.is_file():
        raise ModelFolderError(f"{folder} is no model folder: it has no {ABOUT}; name the --output of choose")
    if path.stat().st_size > LARGEST_JSON:
        raise ModelFolderError(f"{path} is larger than {LARGEST_JSON // 2**20} MiB, which no model writes")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelFolderError(f"{path} is damaged: it is no JSON ({error})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelFolderError(f"{path} is not of a model that choose made: its format is not {FORMAT!r}")
    if content.get("version") != VERSION:
        raise ModelFolderError(
            f"{path} has the version {content.get('version')!r} of the format, and this pgrad reads {VERSION}: predict "
            "with the pgrad that made it, or make the model again"
        )
    try:
        return Description.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ModelFolderError(f"{path} is damaged: {where}: {first['msg']}") from error


def _require_shapes(path: Path, wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Holds the header of a file of tensors against a network, before a tensor is read."""
    library = _safetensors()
    try:
        with library.safe_open(path, framework="pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  no mapping
    except library.SafetensorError as error:
        raise ModelFolderError(f"{path} is damaged: it is no file of tensors ({error})") from error
    for name in (*wanted, *found):
        here, asked = found.get(name), wanted.get(name)
        if here != asked:
            raise ModelFolderError(
                f"the weights in {path} are not those of the network in {ABOUT}: tensor {name!r} has "
                f"{'no such place' if asked is None else f'the shape {list(asked)}'} there and "
                f"{'is missing' if here is None else f'the shape {list(here)}'} in the file"
            )


def _tensors(path: Path) -> dict[str, Tensor]:
    library = _safetensors()
    try:
        found = {name: value.clone() for name, value in library.torch.load_file(path).items()}  # no longer the file's
    except library.SafetensorError as error:
        raise ModelFolderError(f"{path} is damaged: it is no file of tensors ({error})") from error
    return found


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()
