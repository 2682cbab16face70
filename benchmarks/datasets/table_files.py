"""Reads the file of a table: CSV, TSV, Excel or Parquet, every cell as it stands there.

Cells of CSV and TSV are text, whatever they look like: what a column holds is decided over all of it, in
`benchmarks.datasets.table_cells`. What pandas would do unasked with names of columns (renaming those that come twice,
taking the first column for an index where rows are longer than the header) is an error here.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import importlib.util
import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.base.wording import count, some
from benchmarks.datasets.inventory import Finding
from benchmarks.datasets.table_excel import look_into

__all__ = ["ENDINGS", "FILE_OPTIONS", "is_nameless", "read"]

SEPARATORS: Mapping[str, str] = {"tab": "\t", "space": " "}
"""Words for separators that cannot be seen."""

TEXT = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
EXCEL = (".xlsx", ".xlsm")
PARQUET = (".parquet",)
ENDINGS = (*TEXT, *EXCEL, *PARQUET)

FILE_OPTIONS: Mapping[str, tuple[str, ...]] = {"separator": TEXT, "encoding": TEXT, "sheet": EXCEL}
"""Options of files -> the endings that they are for."""

DAMAGE = (OSError, ValueError, KeyError, EOFError, csv.Error, zipfile.BadZipFile, zlib.error)
"""What pandas, pyarrow, openpyxl and gzip raise on a bad file."""

CONTENT: tuple[tuple[bytes, tuple[str, ...], str], ...] = (
    (b"PK\x03\x04", EXCEL, "an Excel file or another archive by its content: name it .xlsx if it is a workbook"),
    (b"\xd0\xcf\x11\xe0", (), "an old Excel file by its content: save it as .xlsx"),
    (b"PAR1", PARQUET, "a Parquet file by its content: name it .parquet"),
    (b"\x1f\x8b", (".csv.gz", ".tsv.gz"), "packed by gzip: name it .csv.gz"),
    (b"%PDF", (), "a PDF file, not a table"),
    (b"<!doctype html", (), "a page of the web, not a table: fetch the file itself"),
    (b"<html", (), "a page of the web, not a table: fetch the file itself"),
    (b"version https://git-lfs", (), "a pointer of Git LFS: fetch the file itself with `git lfs pull`"),
)
"""How files begin, the endings that go with it, and what such a file is."""


def read(path: Path, options: Mapping[str, str]) -> tuple[pd.DataFrame, list[Finding]]:
    """The table in a file, its columns named by stripped text, and what was left out of it.

    Raises:
        ValueError: if it is of another kind, cannot be read, is empty, or has names that cannot be told apart.
    """
    ending = _ending(path)
    for option, endings in FILE_OPTIONS.items():
        if option in options and ending not in endings:
            raise ValueError(f"{option} is for {', '.join(endings)}, and {path.name} ends in {ending}; leave it out")
    _check_known(options.get("encoding", "utf-8"))
    if not path.exists():
        raise ValueError(f"there is no file {path}")
    try:
        _check_content(path, ending)
        frame, findings = _reader(ending)(path, options)
    except DAMAGE as error:
        hint = _hint(path, options, str(error)) if ending in TEXT else ""
        raise ValueError(f"{path} cannot be read: {type(error).__name__}: {str(error).strip()}{hint}") from error
    if frame.empty:
        raise ValueError(f"{path} has no rows")
    return frame, findings


def is_nameless(name: str) -> bool:
    """Whether a column has no name of its own, as the index has that a program wrote.

    Example:
        >>> is_nameless("Unnamed: 0"), is_nameless("age")
        (True, False)
    """
    words = name.split(": ")
    return (len(words) == 2 and words[0] == "Unnamed" and words[1].isdecimal()) or name.startswith("__index_level_")


def separator(path: Path, options: Mapping[str, str]) -> str:
    """The one that is said, else that of the ending."""
    default = "\t" if ".tsv" in _ending(path) else ","
    said = options.get("separator", default)
    found = SEPARATORS.get(said, said)
    if len(found) != 1:
        raise ValueError(f"separator must be one sign, tab or space, got {said!r}")
    return found


def _ending(path: Path) -> str:
    name = path.name.lower()
    found = [ending for ending in ENDINGS if name.endswith(ending)]
    if not found:
        old = "; save it as .xlsx" if name.endswith((".xls", ".xlsb", ".ods")) else ""
        raise ValueError(f"{path}: the name of a table must end in {', '.join(ENDINGS)}{old}")
    return max(found, key=len)


def _reader(ending: str) -> Callable[[Path, Mapping[str, str]], tuple[pd.DataFrame, list[Finding]]]:
    return _text if ending in TEXT else _excel if ending in EXCEL else _parquet


def _check_content(path: Path, ending: str) -> None:
    if path.is_dir():
        raise ValueError("it is a folder; name one file")
    with path.open("rb") as file:
        start = file.read(64)
    for sign, endings, what in CONTENT:
        if start.lower().startswith(sign.lower()) and ending not in endings:
            raise ValueError(f"it is {what}")


def _text(path: Path, options: Mapping[str, str]) -> tuple[pd.DataFrame, list[Finding]]:
    encoding = options.get("encoding", "utf-8-sig")
    content = _unpacked(path)
    _check_encoding(content, encoding, "encoding" in options)
    sign, skipped = separator(path, options), 0
    first = content[:200].decode(encoding, errors="replace").splitlines()
    if first and first[0].lower().startswith("sep=") and len(first[0].strip()) <= 5:  # Excel's own way to say it
        sign, skipped = options.get("separator", first[0][4:5] or "\t"), 1
        sign = SEPARATORS.get(sign, sign)
    rows = pd.read_csv(
        path, sep=sign, header=None, dtype=str, na_filter=False, encoding=encoding, skiprows=skipped, engine="c"
    )
    rows = rows.fillna("").astype(object)
    if len(rows.columns) == 1 and _hint(path, options, ""):
        raise ValueError("there is one column only")  # whoever catches it adds the hint
    if (rows.iloc[:, -1] == "").any():
        _check_lengths(content.decode(encoding), sign, skipped, len(rows.columns))
    frame, findings = _named(rows)
    return frame, [*findings, *_line_breaks(frame, sign, len(rows.columns))]


def _line_breaks(frame: pd.DataFrame, sign: str, columns: int) -> list[Finding]:
    """Cells of several lines: two lost quotation marks make one of whole rows, with the separators of them all."""
    glued, broken = [], []
    for name in map(str, frame.columns):
        breaks = frame[name].str.count("\r\n|\r|\n")
        if not breaks.any():
            continue
        broken.append(name)
        whole = (breaks > 0) & (frame[name].str.count(re.escape(sign)) >= (columns - 1) * breaks)
        glued += [f"{name} in row {number + 1}" for number in whole[whole].index]
    if glued:
        text = (
            f"cells of several lines with the separators of whole rows: {some(glued)}; look there for a lost quotation"
        )
        return [Finding("quotes", f"{text} mark", refused=True)]
    if broken:
        text = f"cells of {some(broken, 5)} hold line breaks: a lost quotation mark makes one cell of many lines"
        return [Finding("quotes", f"{text}; look whether the number of rows is right")]
    return []


def _check_lengths(content: str, sign: str, skipped: int, columns: int) -> None:
    """Raises ValueError for a row that ends early: pandas would fill it up."""
    for number, row in enumerate(csv.reader(content.splitlines(keepends=True), delimiter=sign), start=-skipped):
        if number > 0 and "".join(row).strip() and len(row) < columns:
            raise ValueError(
                f"row {number} has {count(len(row), 'cell')} and the line of names {columns}; is it cut off?"
            )


def _unpacked(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.name.lower().endswith(".gz") else content


def _check_known(encoding: str) -> None:
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    except LookupError as error:
        raise ValueError(f"encoding={encoding} is none; utf-8, cp1252, latin-1 and utf-16 are some") from error


def _check_encoding(content: bytes, encoding: str, said: bool) -> None:
    """UTF-8 that is read in another encoding gives wrong letters without an error."""
    utf16 = content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or b"\0" in content[:2000]
    if utf16 and "16" not in encoding and "32" not in encoding:
        raise ValueError("it holds zero bytes, so it is UTF-16 or no text; if it is text, say encoding=utf-16")
    if said and codecs.lookup(encoding).name not in ("utf-8", "utf-8-sig") and not utf16 and not content.isascii():
        try:
            content.decode("utf-8")
        except UnicodeDecodeError:
            return
        raise ValueError(f"it is UTF-8, and encoding={encoding} would give wrong letters; leave encoding out")


def _hint(path: Path, options: Mapping[str, str], problem: str) -> str:
    """What may help with a text that could not be read as it was."""
    if not path.is_file():
        return ""
    try:
        content = _unpacked(path)
    except DAMAGE:
        return ""  # whoever asks has the error already
    if "encoding" not in options and b"\0" not in content[:2000]:
        try:
            content.decode("utf-8-sig")
        except UnicodeDecodeError:
            example = f"'table:{path}?encoding=cp1252' (Windows) or encoding=latin-1"
            return f". It is not UTF-8: say its encoding, such as {example}"
    lines = content.decode(options.get("encoding", "utf-8-sig"), errors="replace").splitlines()[:1] or [""]
    used = separator(path, options)
    count = {sign: lines[0].count(sign) for sign in ";\t,|" if sign != used}
    best = max(count, key=lambda sign: count[sign])
    if count[best] > lines[0].count(used):
        word = "tab" if best == "\t" else best
        return f". The first line is parted by {word!r}: say separator={word}"
    if "EOF inside string" in problem:
        return ". A quotation mark there is not closed: mend that row, or double the mark if it belongs to the text"
    if "Expected" in problem and count[best] == lines[0].count(used) == 0:
        return ". The first line must hold the names of columns; take away the lines above them"
    if "Expected" in problem:
        return (
            ". A row has more cells than the line of names: a cell that holds the separator must be quoted (numbers "
            "with decimal commas too), and a column of row numbers needs a name of its own"
        )
    return ""


def _excel(path: Path, options: Mapping[str, str]) -> tuple[pd.DataFrame, list[Finding]]:
    if importlib.util.find_spec("openpyxl") is None:
        raise ValueError("Excel files need openpyxl; pip install -e '.[excel]' brings it, or save the sheet as CSV")
    sheets: dict[str, pd.DataFrame] = pd.read_excel(
        path, sheet_name=None, header=None, dtype=object, na_filter=False, engine="openpyxl"
    )
    filled = {name: rows for name, rows in sheets.items() if not rows.empty}
    said = options.get("sheet")
    if said is not None and said not in sheets:
        raise ValueError(f"sheet={said}: there is no such sheet; sheets are {', '.join(sheets)}")
    if said is None and len(filled) != 1:
        raise ValueError(f"it has {len(filled)} sheets with cells; say sheet=..., sheets are {', '.join(sheets)}")
    name = said if said is not None else next(iter(filled))
    seen = look_into(path, name)
    frame, findings = _named(sheets[name])
    return frame, [*seen, *findings]


def _parquet(path: Path, options: Mapping[str, str]) -> tuple[pd.DataFrame, list[Finding]]:  # noqa: ARG001
    import pyarrow.parquet

    twice = _twice(pyarrow.parquet.read_schema(path).names)
    if twice:
        raise ValueError(f"the name {twice[0]!r} stands over several columns; rename them")
    frame, findings = pd.read_parquet(path), []
    named = [name for name in frame.index.names if name is not None]
    if named:
        frame = frame.reset_index(named)
    if not isinstance(frame.index, pd.RangeIndex) and None in frame.index.names:
        findings.append(Finding("index", "the index of the file has no name and is left out"))
    frame = frame.reset_index(drop=True)
    frame.columns = pd.Index(_checked([str(name).strip() for name in frame.columns]))
    return frame, findings


def _named(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[Finding]]:
    """The first row names the columns; what is empty altogether is left out, and said."""
    findings: list[Finding] = []
    if rows.empty:
        raise ValueError("it has no cells")
    names = ["" if _blank(cell) else str(cell).strip() for cell in rows.iloc[0]]
    rows = rows.iloc[1:]
    blank = rows.map(_blank)
    empty = [number for number, name in enumerate(names) if not name and blank.iloc[:, number].all()]
    if empty:
        findings.append(Finding("empty", f"left out: {count(len(empty), 'column')} without a name and without cells"))
    gone = blank.all(axis=1)
    if gone.any():
        findings.append(Finding("empty", f"left out: {count(int(gone.sum()), 'row')} without any cell"))
    kept = [number for number in range(len(names)) if number not in empty]
    rows = rows.loc[~gone].iloc[:, kept].reset_index(drop=True)
    rows.columns = pd.Index(_checked([names[number] or f"Unnamed: {number}" for number in kept]))
    return rows, findings


def _blank(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip()) or (isinstance(cell, float) and cell != cell)


def _twice(names: list[str]) -> list[str]:
    return [name for name, number in Counter(names).items() if number > 1]


def _is_number(name: str) -> bool:
    return name.replace(".", "").replace("-", "").isdecimal()


def _checked(names: list[str]) -> list[str]:
    """Raises ValueError if two names differ in blanks only."""
    normal = [" ".join(name.split()) for name in names]
    if twice := _twice(normal):
        found = [name for name, same in zip(names, normal, strict=True) if same == twice[0]]
        first = ". The first line must hold the names of columns: is it missing?" if _is_number(twice[0]) else ""
        raise ValueError(
            f"the names of columns {found} are the same or differ in blanks only, so that an option could mean "
            f"either; rename one{first}"
        )
    return names
