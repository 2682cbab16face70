"""Examples that come after a model was made: read as those that it was trained on, without labels and domains.

What a model keeps of its data is the `benchmarks.datasets.base.Origin.reading` of their entry. Columns of a table are
matched by name, and everything else in the table is left alone, the columns of target and domain among it; its text is
read as that of training was, unless its name says otherwise. Pictures may lie anywhere below a folder. What would be
read in another way than in training is refused, one sentence each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from benchmarks.base.wording import count, some
from benchmarks.datasets.folder_tree import OF_SYSTEMS, shown
from benchmarks.datasets.levels import PictureError, Rules
from benchmarks.datasets.named import listed, parse
from benchmarks.datasets.pictures import decode as decode_picture
from benchmarks.datasets.pictures import is_picture, look
from benchmarks.datasets.table import AS_WRITTEN, OPTIONS, marks_of
from benchmarks.datasets.table_cells import Column, as_words, decode
from benchmarks.datasets.table_columns import one_hot
from benchmarks.datasets.table_files import FILE_OPTIONS, read
from benchmarks.datasets.table_texts import EMPTY, WORDS, Marks

AT_ONCE = 256
"""Pictures that are decoded together."""


@dataclass(frozen=True)
class Examples:
    """Examples to predict.

    Attributes:
        what: What the names are: ``"row"`` or ``"file"``.
        names: Of the examples, in their order.
        parts: Their inputs, ``[n, ...]`` each, in the same order.
        notes: What is to be said about them.
    """

    what: str
    names: Sequence[str]
    parts: Iterator[Tensor]
    notes: Sequence[str] = ()


def further(reading: Mapping[str, Any], rest: str) -> Examples:
    """The examples that stand after the scheme of a name.

    Args:
        reading: Of the data that the model was made of.
        rest: A path, and options.

    Raises:
        ValueError: if they cannot be read as the model's own were.
    """
    return (_table if reading["scheme"] == "table" else _folder)(reading, rest)


def _table(reading: Mapping[str, Any], rest: str) -> Examples:
    path, given = parse("table", rest, OPTIONS)
    own = {
        name: str(value)
        for name, value in reading.get("file", {}).items()
        if name in AS_WRITTEN and name not in given and path.name.lower().endswith(FILE_OPTIONS.get(name, ""))
    }
    options = {**own, **given}
    marks = marks_of({"empty": ",".join(reading["empty"]), **options} if reading["empty"] else options)
    said = ", ".join(f"{name}={value}" for name, value in own.items())
    alike = (
        f"; it was read with {said}, as the training table was: say behind its name what is otherwise" if own else ""
    )
    try:
        frame, _ = read(path, options)
    except ValueError as error:
        raise ValueError(f"{error}{alike}") from error
    columns = reading["columns"]
    gone = [each["name"] for each in columns if each["name"] not in frame.columns]
    if gone:
        known = [str(name) for name in frame.columns]
        near = {name.strip().casefold() for name in known} & {name.strip().casefold() for name in gone}
        capitals = "; names must be the same, capitals and spaces too" if near else ""
        raise ValueError(
            f"{path}: there is no column {some(map(repr, gone), 5)}, which the model asks for; columns are "
            f"{', '.join(known)}{capitals}{alike}"
        )
    decoded = [_column(each, frame, marks, path) for each in columns]
    empty = {column.name: int(column.empty.sum()) for column in decoded if column.empty.any()}
    if empty and not reading["missing"] and options.get("missing") != "mean":
        found = ", ".join(f"{name} ({number})" for name, number in empty.items())
        raise ValueError(
            f"{path} has empty cells in {found}, and the model was trained without any: fill them, or say missing=mean "
            f"to have the mean of the training examples there, 'table:{path}?missing=mean'"
        )
    parts = [
        column.values.astype(np.float64)[:, np.newaxis] if column.numeric else one_hot(column.values, each["words"])
        for each, column in zip(columns, decoded, strict=True)
    ]
    inputs = torch.from_numpy(np.concatenate(parts, axis=1))
    return Examples("row", [str(number + 1) for number in range(len(frame))], iter([inputs]))


def _column(code: Mapping[str, Any], frame: pd.DataFrame, marks: Marks, path: Path) -> Column:
    name, kind = code["name"], code["kind"]
    if kind == WORDS:
        column = as_words(name, frame[name], marks)
        strange = sorted({word for word in column.values if word is not None} - set(code["words"]))
        if strange:
            raise ValueError(
                f"{path}: column {name!r} holds {some(map(repr, strange))}, which the model has not seen; known are "
                f"{some(code['words'], 10)}"
            )
        return column
    column = decode(name, frame[name], marks)
    if column.trouble:
        raise ValueError(f"{path}: column {name!r} {column.trouble}")
    if column.kind == EMPTY:
        return Column(name, kind, np.full(len(frame), np.nan))
    if column.kind != kind:
        raise ValueError(f"{path}: column {name!r} holds {column.kind}, and the model was trained on {kind} there")
    return column


def _folder(reading: Mapping[str, Any], rest: str) -> Examples:
    path, options = parse("folder", rest, ("allow",))
    if path.is_file() and is_picture(path):
        files, path = [path], path.parent
    elif not path.is_dir():
        raise ValueError(f"there is no folder {path}{'; it is a file, and no picture' if path.is_file() else ''}")
    else:
        files = [file for file in _below(path) if is_picture(file)]
    if not files:
        raise ValueError(f"{path} holds no pictures")
    span = reading["range"]
    rules = Rules(reading["size"], tuple(reading["background"]), tuple(span) if isinstance(span, list) else span)
    notes = []
    if listed(options, "allow"):
        if listed(options, "allow") != ("unreadable",):
            raise ValueError(f"allow={options['allow']}: of pictures to predict only allow=unreadable can be said")
        good = [file for file in files if not _wrong(file, reading, rules)]
        if len(good) < len(files):
            lost = [shown(file, path) for file in files if file not in set(good)]
            notes.append(f"left out: {count(len(lost), 'picture')} that cannot be read: {some(lost)}")
        if not good:
            raise ValueError(f"no picture of {path} can be read: {_wrong(files[0], reading, rules)}")
        files = good
    return Examples("file", [shown(file, path) for file in files], _decoded(files, reading, rules, path), notes)


def _below(folder: Path) -> Iterator[Path]:
    for each in sorted(folder.iterdir()):
        if each.name.startswith((".", "__")) or each.name.casefold() in OF_SYSTEMS:
            continue
        if each.is_dir() and not each.is_symlink():
            yield from _below(each)
        elif each.is_file():
            yield each


def _decoded(files: Sequence[Path], reading: Mapping[str, Any], rules: Rules, path: Path) -> Iterator[Tensor]:
    for start in range(0, len(files), AT_ONCE):
        try:
            parts = [_picture(file, reading, rules) for file in files[start : start + AT_ONCE]]
        except PictureError as error:
            raise PictureError(f"{error}; 'folder:{path}?allow=unreadable' leaves such pictures out") from error
        yield torch.from_numpy(np.stack(parts))


def _picture(file: Path, reading: Mapping[str, Any], rules: Rules) -> np.ndarray[Any, Any]:
    """``[3, size, size]`` float32 in 0..1.

    Raises:
        PictureError: if it cannot be read, or is of a kind that the model has not seen.
    """
    found = decode_picture(file, rules)
    if found.dtype != np.uint8 and not reading["deep"]:
        raise PictureError(
            f"{file} is {look(file).kind}, and the model was trained on pictures of 8 bits alone: save it with 8 bits"
        )
    return (found.astype(np.float32) / 255) if found.dtype == np.uint8 else found


def _wrong(file: Path, reading: Mapping[str, Any], rules: Rules) -> str:
    try:
        _picture(file, reading, rules)
    except PictureError as error:
        return str(error)
    return ""
