"""WILDS data sets from disk, or an error that says what is wrong with the folder and what to run."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgrad.integrations.wilds._bridge import building, import_wilds
from pgrad.integrations.wilds.tasks import UNLABELED, task

__all__ = ["download_command", "get_dataset"]

_PROBES = 32  # inputs read when a data set is opened, evenly spaced: a folder with holes shows before the training


def get_dataset(
    name: str, root: str | Path, *, version: str | None = None, unlabeled: bool = False, **options: Any
) -> Any:
    """``wilds.get_dataset(name, root_dir=root, download=False, ...)`` on today's libraries, with the folder looked at.

    Args:
        name: one of `TASKS`.
        root: the folder that holds the folder of the data set, as WILDS has it.
        version: of the data set; None for the latest one.
        unlabeled: whether to give the unlabelled examples, for those in `UNLABELED`: splits such as "train_unlabeled",
            whose examples are ``(x, metadata)``.
        **options: for the class of the data set, such as ``split_scheme`` or poverty's ``fold``.

    Raises:
        FileNotFoundError: if there is no such data set there, or a part of it is missing; with the command that
            downloads it.
        ValueError: if the name is unknown or refused, it has no unlabelled examples, an option is not allowed, or files
            cannot be read as WILDS wants them.
        TypeError: if `unlabeled` is neither True nor False.
        ImportError: if wilds, or a library that this data set needs, is not installed.
    """
    task(name)
    if not isinstance(unlabeled, bool):
        raise TypeError(f"unlabeled must be True or False, got {unlabeled!r}")
    if unlabeled and name not in UNLABELED:
        raise ValueError(f"dataset with unlabeled=True must be one of {', '.join(UNLABELED)}; got {name!r}")
    wilds = import_wilds()
    place = _Place.of(name, Path(root), version, unlabeled)
    place.check_files()
    try:
        with building(importlib.import_module(place.kind.__module__)):
            dataset = wilds.get_dataset(
                name, version=version, unlabeled=unlabeled, root_dir=str(root), download=False, **options
            )
        for index in range(0, len(dataset), max(1, len(dataset) // _PROBES)):
            _read(dataset.get_input(index))
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise ValueError(place.unreadable(error)) from error
        raise ValueError(
            f"options of {name} must be arguments of its class in wilds, got {options!r} ({error})"
        ) from error
    except FileNotFoundError as error:
        raise FileNotFoundError(place.unreadable(error)) from error
    except Exception as error:
        if any(marker in str(error) for marker in ("not recognized", "Fold must be", "Not supported")):
            raise ValueError(f"options of {name} are not allowed: {error}; got {options!r}") from error
        raise ValueError(place.unreadable(error)) from error
    if not unlabeled:
        _check_vocabulary(name, dataset)
    return dataset


def download_command(name: str, root: str | Path, *, unlabeled: bool = False) -> str:
    """The command of WILDS that downloads a data set; for those that WILDS cannot download, where to read on."""
    if _class(name)._versions_dict[_latest(_class(name))]["download_url"] is None:
        return f'python -c "import wilds.datasets.{name}_dataset as m; help(m)"  # WILDS cannot download {name} itself'
    command = f"python -m wilds.download_datasets --root_dir {root} --datasets {name}"
    return f"{command} --unlabeled True" if unlabeled else command


def _class(name: str, unlabeled: bool = False) -> Any:
    package, suffix = ("unlabeled.", "_unlabeled") if unlabeled else ("", "")
    module_name = f"wilds.datasets.{package}{name.replace('-', '')}{suffix}_dataset"
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ImportError(f"dataset {name!r} needs {error.name or error}: install it, for example with pip") from error
    from wilds.datasets.wilds_dataset import WILDSDataset

    kinds = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, WILDSDataset)]
    return next(kind for kind in kinds if getattr(kind, "_dataset_name", None) == f"{name}{suffix}")


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


def _latest(kind: Any) -> str:
    versions: list[str] = list(kind._versions_dict)
    return max(versions, key=lambda v: tuple(int(part) for part in v.split(".")))


@dataclass(frozen=True)
class _Place:
    """Where a data set must be.

    Attributes:
        kind: its class in wilds.
        name: in WILDS.
        title: how messages call it.
        root, folder: as WILDS has them.
        version: of the data set.
        files: what the folder must hold.
        shared: whether the unlabelled examples are in the folder of the labelled ones.
        command: what downloads it.
    """

    kind: Any
    name: str
    title: str
    root: Path
    folder: Path
    version: str
    files: tuple[str, ...]
    shared: bool
    command: str

    @classmethod
    def of(cls, name: str, root: Path, version: str | None, unlabeled: bool) -> _Place:
        """Raises ValueError for a version that never was, FileNotFoundError if the folder is not there."""
        kind = _class(name, unlabeled)
        if version is not None and version not in kind._versions_dict:
            raise ValueError(f"version of {name} must be one of {', '.join(kind._versions_dict)}; got {version!r}")
        wanted = version or _latest(kind)
        equivalent = kind._versions_dict[wanted].get("equivalent_dataset")
        place = cls(
            kind,
            name,
            f"the unlabelled data of {name}" if unlabeled else f"the data set {name}",
            root,
            root / (equivalent or f"{kind._dataset_name}_v{wanted}"),
            wanted,
            UNLABELED[name] if unlabeled else task(name).files,
            shared=equivalent is not None,
            command=download_command(name, root, unlabeled=unlabeled and equivalent is None),
        )
        if not place.folder.is_dir():
            raise FileNotFoundError(place._absent(unlabeled))
        return place

    def _absent(self, unlabeled: bool) -> str:
        what, root, own = f"{self.title} v{self.version}", self.root, self.folder.name.rpartition("_v")[0]
        command = f"download it with: {self.command}"
        if root.name.startswith((f"{self.name}_v", f"{self.name}_unlabeled_v")):
            return (
                f"{what} is not in {self.folder}: give the folder that holds {root.name}, {root.parent}, not that "
                f"folder itself; or {command}"
            )
        labelled = sorted(path.name for path in root.glob(f"{self.name}_v*") if path.is_dir())
        if unlabeled and labelled and not self.shared:
            return (
                f"{what} is not in {root}, which has the labelled data only, in {', '.join(labelled)}: keep them; the "
                f"unlabelled ones are another folder, {self.folder.name}; {command}"
            )
        others = sorted(path.name for path in root.glob(f"{own}_v*") if path.is_dir())
        if others:
            known = [o.rpartition("_v")[2] for o in others if o.rpartition("_v")[2] in self.kind._versions_dict]
            hint = f"ask for version={known[-1]!r}" if known else "which this version of wilds does not read"
            return f"{what} is not in {root}, which has {', '.join(others)}: {hint}, or {command}"
        state = "which has no folder of that name" if root.is_dir() else "which does not exist"
        return f"{what} is not in {root}, {state}; {command}"

    def check_files(self) -> None:
        """Raises FileNotFoundError if the folder is a part of the data set only."""
        folder = self.folder
        if (folder / "archive.tar.gz").exists():
            raise FileNotFoundError(
                f"{folder} is half-extracted: archive.tar.gz is still there, which WILDS removes at the end; "
                f"{self._again()}"
            )
        by_hand = self.kind._versions_dict[self.version]["download_url"] is None
        release = f"RELEASE_v{folder.name.rpartition('_v')[2]}.txt"
        if not by_hand and not (folder / release).exists():
            found = sorted(path.name for path in folder.glob("RELEASE_v*.txt"))
            has = f"has {', '.join(found)} instead" if found else "has no such file"
            raise FileNotFoundError(
                f"{folder} must hold {release} but {has}: another version or a part of one; {self._again()}"
            )
        missing = [file for file in self.files if not (folder / file).exists()]
        if missing:
            raise FileNotFoundError(f"{folder} is not complete, it lacks {', '.join(missing)}; {self._again()}")

    def unreadable(self, error: Exception) -> str:
        """What is said about a folder that WILDS stumbles over."""
        what = f"{self.folder} cannot be read as {self.title} ({type(error).__name__}: {error})"
        return f"{what}; if it is half-extracted or damaged, {self._again()}"

    def _again(self) -> str:
        if self.shared:
            return (
                f"get it whole in another folder and compare, since it holds the labelled data of {self.name} too: "
                f"{self.command.replace(str(self.root), 'OTHER')}"
            )
        return f"delete {self.folder} and download it again: {self.command}"
