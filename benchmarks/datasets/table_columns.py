"""The inputs of a table: which columns are one, and how each is coded.

Numbers stand as they are and truth values as 0 and 1; words become one column of 0 and 1 for each of them. All of it is
float64: standardisation comes before the cast to float32, which has seven digits.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.base.wording import count, some
from benchmarks.datasets.inventory import Finding
from benchmarks.datasets.table_cells import Column, in_order
from benchmarks.datasets.table_files import is_nameless
from benchmarks.datasets.table_texts import EMPTY, NUMBERS, WORDS

__all__ = ["Code", "Inputs", "encode"]

MOST_WORDS = 100
FEW_ROWS = 20
SENTINELS = (-1.0, -9.0, -99.0, -999.0, -9999.0, 99.0, 999.0, 9999.0, 99999.0, -99999.0)


@dataclass(frozen=True)
class Code:
    """How a column becomes inputs.

    Attributes:
        name: Of the column.
        kind: `NUMBERS`, `TRUTH` or `WORDS`.
        words: Of a column of words: each has an input of 0 and 1, in this order.
    """

    name: str
    kind: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inputs:
    """What a model gets.

    Attributes:
        values: ``[rows, inputs]`` float64, NaN where nothing is known.
        names: Of the inputs.
        coding: How each column of the table is coded, or why it is left out.
        findings: What is to be said about them.
        troubles: Why some cannot be used, and what to do.
        codes: Of the columns that are used, in the order of their inputs.
    """

    values: np.ndarray[Any, Any]
    names: tuple[str, ...]
    coding: dict[str, str]
    findings: tuple[Finding, ...]
    troubles: tuple[str, ...]
    codes: tuple[Code, ...] = ()


def encode(columns: Sequence[Column], domains: np.ndarray[Any, Any], allowed: Collection[str]) -> Inputs:
    """The inputs that these columns make: first all numbers, then all words.

    Args:
        columns: Of the table, but for its target, domain, group, and what is dropped.
        domains: ``[rows]`` the number of each row's domain.
        allowed: Words of findings that were allowed.
    """
    findings = [finding for column in columns for finding in column.findings]
    parts: list[tuple[list[str], np.ndarray[Any, Any]]] = []
    troubles, coding, codes = [], {}, []
    for column in sorted(columns, key=lambda each: not each.numeric):
        if column.trouble:
            way = f"or drop={column.name}, or words={column.name} to take each as a word"
            troubles.append(f"column {column.name!r} of the table {column.trouble}; {way}")
            continue
        if trouble := _many_words(column):
            troubles.append(f"column {column.name!r} of the table {trouble}; drop={column.name}")
            continue
        suspicious = _suspicious(column, domains)
        findings += suspicious
        if reason := _left_out(column, suspicious, allowed):
            coding[column.name] = f"left out: {reason}"
            continue
        names, values, code = _coded(column)
        parts.append((names, values))
        codes.append(code)
        coding[column.name] = "a number" if column.numeric else f"0 or 1 for each of {len(names)} words"
    findings += _constant(columns)
    values = np.concatenate([part for _, part in parts], axis=1) if parts else np.empty((len(domains), 0))
    inputs = tuple(name for names, _ in parts for name in names)
    return Inputs(values, inputs, coding, tuple(findings), tuple(troubles), tuple(codes))


def _coded(column: Column) -> tuple[list[str], np.ndarray[Any, Any], Code]:
    if column.numeric:
        return [column.name], column.values.astype(np.float64)[:, np.newaxis], Code(column.name, column.kind)
    words = in_order(sorted({word for word in column.values if word is not None}))
    names = [f"{column.name}={word}" for word in words]
    return names, one_hot(column.values, words), Code(column.name, WORDS, tuple(words))


def one_hot(values: np.ndarray[Any, Any], words: Sequence[str]) -> np.ndarray[Any, Any]:
    """``[rows, words]`` float64: 1 where the value is that word.

    Example:
        >>> one_hot(np.array(["a", None, "b"], dtype=object), ["a", "b"]).tolist()
        [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]
    """
    return np.stack([np.equal(values, word).astype(np.float64) for word in words], axis=1)


def _many_words(column: Column) -> str:
    if column.kind != WORDS:
        return ""
    filled = column.values[~column.empty]
    number, rows = len(set(filled)), len(filled)
    if number <= MOST_WORDS and number <= max(rows / 2, 4):
        return ""
    return f"holds {number} different words in {rows} rows, which would be as many inputs: an identifier or free text"


def _left_out(column: Column, suspicious: Sequence[Finding], allowed: Collection[str]) -> str:
    if column.kind == EMPTY:
        return "it has no cells"
    if len(set(column.values[~column.empty])) < 2:
        return "it is the same in all rows"
    if is_nameless(column.name) and any(found.what == "index" for found in suspicious) and "index" not in allowed:
        return "it counts the rows"
    return ""


def _constant(columns: Sequence[Column]) -> list[Finding]:
    same = [column.name for column in columns if not column.trouble and _left_out(column, (), ()).startswith("it")]
    return [Finding("constant", f"{some(same, 5)}: empty or the same in all rows, and left out")] if same else []


def _suspicious(column: Column, domains: np.ndarray[Any, Any]) -> list[Finding]:
    """What numbers look like that are no measurements."""
    if column.kind != NUMBERS:
        return []
    values, name = column.values, column.name
    known = values[~np.isnan(values)]
    if len(set(known)) < 2:
        return []
    if how := _counts_rows(values, domains):
        if is_nameless(name):
            text = f"column {name!r} {how} and is left out; allow=index takes it as an input"
            return [Finding("index", text)]
        text = f"column {name!r} {how}: as an input it would tell where a row stands, not what it is; drop={name}"
        return [Finding("index", text, refused=True)]
    found = []
    whole = bool((known % 1 == 0).all())
    if whole and len(set(known)) == len(known) >= FEW_ROWS:
        text = f"column {name!r} holds as many whole numbers as rows, as an identifier does; drop={name}"
        found.append(Finding("identifiers", text, refused=True))
    elif whole and re.search(r"(?i:(?:^|[_\s.-])(?:id|uuid|nr))$|[a-z]I[dD]$", name):
        text = f"column {name!r} is called like an identifier and is taken as a number; drop={name} or group={name}"
        found.append(Finding("identifiers", text))
    if whole and _days(known):
        text = f"column {name!r} holds days or months written as whole numbers, as {known[0]:.0f}"
        text += ": their differences mean nothing"
        found.append(Finding("dates", f"{text}; turn them into days or years, or drop={name}", refused=True))
    if (growing := _never_turns(values)) and whole:
        text = f"column {name!r} never {growing} from row to row: a number of visits or patients does; if it is one"
        found.append(Finding("index", f"{text}, and no measurement that the rows are sorted by, drop={name}"))
    if sentinel := _sentinel(known):
        rows = count(int((known == sentinel).sum()), "row")
        text = f"column {name!r} is {sentinel:g} in {rows}, far from all other values"
        found.append(Finding("sentinels", f"{text}; say empty={sentinel:g} if it means that nothing is known"))
    return found


def _counts_rows(values: np.ndarray[Any, Any], domains: np.ndarray[Any, Any]) -> str:
    """How the values follow the rows of the file; empty if they do not."""
    if len(values) < 5 or np.isnan(values).any() or not (values % 1 == 0).all():
        return ""
    if _is_count(values):
        follows = (np.diff(values) > 0).all() or (np.diff(values) < 0).all()
        return "counts the rows of the file" if follows else "holds the numbers of the rows in another order"
    parts = [values[domains == domain] for domain in np.unique(domains)]
    if all(map(_is_count, parts)) and min(map(len, parts)) > 2 and len(values) >= 10:
        return "counts the rows of each domain"
    if len(values) >= 10 and ((np.diff(values) > 0).all() or (np.diff(values) < 0).all()):
        return "is a whole number that grows from row to row"
    return ""


def _never_turns(values: np.ndarray[Any, Any]) -> str:
    """Whether many different values are in order, some of them in several rows."""
    number = len(set(values))
    if np.isnan(values).any() or number < 10 or 10 * number < len(values):
        return ""
    steps = np.diff(values)
    return "falls" if (steps >= 0).all() else "grows" if (steps <= 0).all() else ""


def _is_count(values: np.ndarray[Any, Any]) -> bool:
    """Whether they are so many numbers, one after the other, in any order."""
    return bool(len(set(values)) == len(values) == values.max() - values.min() + 1)


def _days(known: np.ndarray[Any, Any]) -> bool:
    """Whether all are days or months, as 20240131 or 202401."""
    if known.min() >= 1900_01 and known.max() <= 2100_12:
        months = known % 100
        return bool(len(known) >= 10 and (months >= 1).all() and (months <= 12).all())
    if known.min() < 1900_01_01 or known.max() > 2100_12_31:
        return False
    return bool(
        pd.to_datetime(pd.Series(known).astype(int).astype(str), format="%Y%m%d", errors="coerce").notna().all()
    )


def _sentinel(known: np.ndarray[Any, Any]) -> float:
    """A usual number for what is missing, at an end, several times, and further away than all others are wide, or the
    only one below zero.
    """
    for value in (known.min(), known.max()):
        others = known[known != value]
        wide = others.max() - others.min() if len(others) else 0.0
        gap = np.abs(others - value).min() if len(others) else 0.0
        alone = value < 0 and gap > 1 and len(others) and others.min() >= 0
        if value in SENTINELS and len(known) - len(others) > 1 and wide > 0 and (gap > wide or alone):
            return float(value)
    return 0.0
