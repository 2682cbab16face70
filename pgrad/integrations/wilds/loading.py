"""WILDS data sets from disk, or an error that says what is wrong with the folder and what to run."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from pgrad.integrations.wilds._bridge import building, import_wilds
from pgrad.integrations.wilds.tasks import Task, task

__all__ = ["download_command", "get_dataset"]

_PROBES = 32  # inputs read when a data set is opened, evenly spaced: a folder with holes shows before the training


def get_dataset(name: str, root: str | Path, *, version: str | None = None, **options: Any) -> Any:
    """``wilds.get_dataset(name, root_dir=root, download=False, ...)`` on today's libraries, with the folder looked at.

    Args:
        name: one of `TASKS`.
        root: the folder that holds the folder of the data set, as WILDS has it.
        version: of the data set; None for the latest one.
        **options: for the class of the data set, such as ``split_scheme`` or poverty's ``fold``.

    Raises:
        FileNotFoundError: if there is no such data set there, or a part of it is missing; with the command that
            downloads it.
        ValueError: if the name is unknown or refused, an option is not allowed, or files cannot be read as WILDS wants
            them.
        ImportError: if wilds, or a library that this data set needs, is not installed.
    """
    line = task(name)
    wilds = import_wilds()
    kind = _class(name)
    folder = _folder(kind, name, Path(root), version)
    _check_files(name, folder, Path(root), line)
    try:
        with building(importlib.import_module(kind.__module__)):
            dataset = wilds.get_dataset(name, version=version, root_dir=str(root), download=False, **options)
        for index in range(0, len(dataset), max(1, len(dataset) // _PROBES)):
            _read(dataset.get_input(index))
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise ValueError(_unreadable(name, folder, Path(root), error)) from error
        raise ValueError(
            f"options of {name} must be arguments of its class in wilds, got {options!r} ({error})"
        ) from error
    except FileNotFoundError as error:
        raise FileNotFoundError(_unreadable(name, folder, Path(root), error)) from error
    except Exception as error:
        if any(marker in str(error) for marker in ("not recognized", "Fold must be", "Not supported")):
            raise ValueError(f"options of {name} are not allowed: {error}; got {options!r}") from error
        raise ValueError(_unreadable(name, folder, Path(root), error)) from error
    _check_vocabulary(name, dataset)
    return dataset


def download_command(name: str, root: str | Path) -> str:
    """The command of WILDS that downloads a data set; for those that WILDS cannot download, where to read on."""
    if _class(name)._versions_dict[_latest(name)]["download_url"] is None:
        return f'python -c "import wilds.datasets.{name}_dataset as m; help(m)"  # WILDS cannot download {name} itself'
    return f"python -m wilds.download_datasets --root_dir {root} --datasets {name}"


def _class(name: str) -> Any:
    module_name = f"wilds.datasets.{name.replace('-', '')}_dataset"
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ImportError(f"dataset {name!r} needs {error.name or error}: install it, for example with pip") from error
    from wilds.datasets.wilds_dataset import WILDSDataset

    kinds = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, WILDSDataset)]
    return next(kind for kind in kinds if getattr(kind, "_dataset_name", None) == name)


def _check_vocabulary(name: str, dataset: Any) -> None:
    """Without its files and without a network, transformers 5 makes an empty tokenizer where py150 asks for one."""
    if name == "py150" and dataset.n_classes <= int(dataset.y_array.nan_to_num(0.0).max()):
        raise FileNotFoundError(
            f"py150 takes its vocabulary from the tokenizer microsoft/CodeGPT-small-py of transformers, which could "
            f"not be had here (it came with {dataset.n_classes} words): fetch it once where there is a network, with "
            "python -c \"import transformers as t; t.AutoTokenizer.from_pretrained('microsoft/CodeGPT-small-py')\""
        )


def _read(value: Any) -> None:
    """Images are opened lazily: read the pixels, and close the file."""
    if hasattr(value, "load") and hasattr(value, "close"):
        value.load()
        value.close()


def _latest(name: str) -> str:
    versions: list[str] = list(_class(name)._versions_dict)
    return max(versions, key=lambda v: tuple(int(part) for part in v.split(".")))


def _folder(kind: Any, name: str, root: Path, version: str | None) -> Path:
    if version is not None and version not in kind._versions_dict:
        raise ValueError(f"version of {name} must be one of {', '.join(kind._versions_dict)}; got {version!r}")
    wanted = version or _latest(name)
    folder = root / f"{name}_v{wanted}"
    if folder.is_dir():
        return folder
    command = f"download it with: {download_command(name, root)}"
    if root.name.startswith(f"{name}_v"):
        raise FileNotFoundError(
            f"the data set {name} v{wanted} is not in {folder}: give the folder that holds {root.name}, "
            f"{root.parent}, not that folder itself; or {command}"
        )
    others = sorted(path.name for path in root.glob(f"{name}_v*") if path.is_dir())
    if others:
        known = [other.rpartition("_v")[2] for other in others if other.rpartition("_v")[2] in kind._versions_dict]
        hint = f"ask for version={known[-1]!r}" if known else "which this version of wilds does not read"
        raise FileNotFoundError(
            f"the data set {name} v{wanted} is not in {root}, which has {', '.join(others)}: {hint}, or {command}"
        )
    state = "which has no folder of that name" if root.is_dir() else "which does not exist"
    raise FileNotFoundError(f"the data set {name} v{wanted} is not in {root}, {state}; {command}")


def _check_files(name: str, folder: Path, root: Path, line: Task) -> None:
    version = folder.name.rpartition("_v")[2]
    again = f"delete {folder} and download it again: {download_command(name, root)}"
    if (folder / "archive.tar.gz").exists():
        raise FileNotFoundError(
            f"{folder} is half-extracted: archive.tar.gz is still there, which WILDS removes at the end; {again}"
        )
    by_hand = _class(name)._versions_dict[version]["download_url"] is None
    release = f"RELEASE_v{version}.txt"
    if not by_hand and not (folder / release).exists():
        found = sorted(path.name for path in folder.glob("RELEASE_v*.txt"))
        has = f"has {', '.join(found)} instead" if found else "has no such file"
        raise FileNotFoundError(f"{folder} must hold {release} but {has}: another version or a part of one; {again}")
    missing = [file for file in line.files if not (folder / file).exists()]
    if missing:
        raise FileNotFoundError(f"{folder} is not complete, it lacks {', '.join(missing)}; {again}")


def _unreadable(name: str, folder: Path, root: Path, error: Exception) -> str:
    return (
        f"{folder} cannot be read as the data set {name} ({type(error).__name__}: {error}); if it is half-extracted or "
        f"damaged, delete it and download it again: {download_command(name, root)}"
    )
