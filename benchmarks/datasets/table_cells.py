"""What a column of a table holds, decided over all of its cells by one rule.

Text is looked at without blanks at its ends. A column whose every cell is a number is one of numbers, and so on for
truth values; dates, times, durations, lists and numbers with units have no meaning as inputs that could be guessed, and
a column where numbers and other words are mixed may have a slip in it: they have a `Column.trouble`, which says so.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.base.wording import count, some
from benchmarks.datasets.inventory import Finding
from benchmarks.datasets.table_texts import (
    ADVICE,
    CODES,
    EMPTY,
    KINDS,
    LARGEST,
    MISSING,
    NUMBERS,
    TRUTH,
    WORDS,
    Marks,
    kind_of,
    normal,
    other_marks,
    text_of,
    unit_of,
)

__all__ = ["Column", "as_words", "decode", "in_order"]

TOO_LARGE = 1e100


@dataclass(frozen=True)
class Column:
    """A column, decoded.

    Attributes:
        name: Of it.
        kind: `NUMBERS`, `TRUTH`, `WORDS`, `EMPTY`, or what makes the trouble.
        values: ``[rows]``: float64 with NaN for empty cells of numbers and truth values; text or None of all others.
        trouble: Why it cannot be used as it is, and what would help; empty if it can.
        findings: What else is to be said.
    """

    name: str
    kind: str
    values: np.ndarray[Any, Any]
    trouble: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def numeric(self) -> bool:
        """Whether the values are floats."""
        return self.kind in (NUMBERS, TRUTH)

    @property
    def empty(self) -> np.ndarray[Any, Any]:
        """``[rows]``: which cells are empty."""
        return np.asarray(pd.isna(self.values))


def decode(name: str, cells: pd.Series, marks: Marks) -> Column:
    """The column that these cells make.

    Example:
        >>> decode("age", pd.Series(["61", "58.5", "NA"], dtype=object), Marks()).values.tolist()
        [61.0, 58.5, nan]
        >>> decode("cost", pd.Series(["1,5", "12"], dtype=object), Marks()).trouble
        "holds numbers that are written another way, as '1,5': say decimal=,"
    """
    if pd.api.types.is_bool_dtype(cells.dtype):
        return Column(name, TRUTH, _floats(cells))
    if pd.api.types.is_numeric_dtype(cells.dtype) and not pd.api.types.is_complex_dtype(cells.dtype):
        return _sound(Column(name, NUMBERS, _said_empty(_floats(cells), marks)))
    codes, texts = pd.factorize(_texts(cells, marks))
    number = np.bincount(codes[codes >= 0], minlength=len(texts))
    pattern = marks.pattern()
    kinds = [kind_of(text, pattern) for text in texts]
    held: Counter[str] = Counter()
    for kind, cells_of_it in zip(kinds, number.tolist(), strict=True):
        held[kind] += cells_of_it
    missing = held.pop(EMPTY, 0)
    seen = _Seen(name, codes, tuple(texts), tuple(kinds), marks)
    if not held:
        return Column(name, EMPTY, np.full(len(cells), np.nan))
    if set(held) == {NUMBERS}:
        return seen.numbers()
    if set(held) == {TRUTH}:
        return Column(name, TRUTH, seen.floats(lambda text: float(text.lower() == "true")))
    if trouble := seen.trouble(held):
        return Column(name, *trouble)
    return as_words(name, cells, marks, said=missing > 0)


def as_words(name: str, cells: pd.Series, marks: Marks, said: bool = True) -> Column:
    """The column as one of words, whatever they look like; blanks at the ends of a word do not count.

    Where two words differ in blanks, in capitals or in the writing of a number only, all are left as they stand, and it
    is said.
    """
    raw = np.array([text_of(cell, marks.decimal) for cell in _cells(cells)], dtype=object)
    bare = np.array([_bare(text, marks) for text in raw], dtype=object)
    alike: dict[str, set[str]] = defaultdict(set)
    for text, own in {(text, own) for text, own in zip(raw, bare, strict=True) if own is not None}:
        alike[normal(own)].add(text)
    same = [sorted(texts) for texts in alike.values() if len(texts) > 1]
    values = np.array([None if own is None else text for text, own in zip(raw, bare, strict=True)], dtype=object)
    values = values if same else bare
    findings = []
    if same:
        found = some((" and ".join(map(repr, texts)) for texts in same), sign="; ")
        text = f"column {name!r} holds words that differ in their writing only ({found}): mend them"
        findings.append(Finding("spelling", text))
    doubtful = sorted({own for own in bare if own is not None and own.lower() in MISSING})
    if doubtful and said:
        rows, found = count(int(np.isin(bare, doubtful).sum()), "row"), ", ".join(map(repr, doubtful))
        text = f"column {name!r} holds {found} in {rows}, which is taken as a word"
        findings.append(Finding("words", f"{text}; empty={','.join(doubtful)} makes these cells empty"))
    return Column(name, WORDS, values, findings=tuple(findings))


def in_order(words: Sequence[str]) -> list[str]:
    """Sorted: as numbers if all of them are.

    Example:
        >>> in_order(["10", "9"]), in_order(["b", "a10", "a9"])
        (['9', '10'], ['a10', 'a9', 'b'])
    """
    marks = Marks()
    if all(marks.pattern().fullmatch(word) for word in words):
        return sorted(words, key=lambda word: (marks.value(word), word))
    return sorted(words)


@dataclass(frozen=True)
class _Seen:
    """The different texts of a column, what each of them is, and where they stand."""

    name: str
    codes: np.ndarray[Any, Any]
    texts: tuple[str, ...]
    kinds: tuple[str, ...]
    marks: Marks

    def floats(self, value: Callable[[str], float]) -> np.ndarray[Any, Any]:
        """``[rows]``; NaN for empty cells and for words that mean one."""
        own = [np.nan if kind == EMPTY else value(text) for text, kind in zip(self.texts, self.kinds, strict=True)]
        return np.asarray(np.array([*own, np.nan], dtype=np.float64)[self.codes])

    def of(self, kind: str) -> list[str]:
        return [text for text, own in zip(self.texts, self.kinds, strict=True) if own == kind]

    def words(self) -> np.ndarray[Any, Any]:
        return np.asarray(np.array([*self.texts, None], dtype=object)[self.codes])

    def numbers(self) -> Column:
        """A column of numbers alone."""
        texts = self.of(NUMBERS)
        if codes := [text for text in texts if re.fullmatch(r"0[0-9]+", text)]:
            trouble = f"holds codes that begin with a nought, as {codes[0]!r}, which a number would lose"
            return Column(self.name, CODES, self.words(), trouble)
        column = _sound(Column(self.name, NUMBERS, _said_empty(self.floats(self.marks.value), self.marks)))
        return (
            replace(column, findings=_grouped(self.name, texts))
            if self.marks == replace(Marks(), empty=self.marks.empty)
            else column
        )

    def trouble(self, held: Mapping[str, int]) -> tuple[str, np.ndarray[Any, Any], str] | None:
        """What is wrong with a column of several kinds, or of one that is of no use."""
        total = sum(held.values())
        for kind in KINDS:
            if kind != TRUTH and 2 * held.get(kind, 0) >= total:
                return kind, self.words(), f"holds {kind}, as {self.of(kind)[0]!r}: {ADVICE[kind]}"
        if set(held) == {NUMBERS, "values that are not finite"}:
            kind = "values that are not finite"
            return kind, self.words(), f"holds numbers that are not finite, as {self.of(kind)[0]!r}: {ADVICE[kind]}"
        filled = [text for text, kind in zip(self.texts, self.kinds, strict=True) if kind != EMPTY]
        hints = other_marks(filled, self.marks)
        if hints:
            odd = next(text for text, kind in zip(self.texts, self.kinds, strict=True) if kind not in (NUMBERS, EMPTY))
            return (
                "numbers written another way",
                self.words(),
                f"holds numbers that are written another way, as {odd!r}: {hints}",
            )
        if unit := unit_of(filled):
            return "numbers with units", self.words(), f"holds numbers with units, as {unit!r}: take the units away"
        return ("mixed", self.words(), self._mixed(held)) if NUMBERS in held else None

    def _mixed(self, held: Mapping[str, int]) -> str:
        odd = [text for text, kind in zip(self.texts, self.kinds, strict=True) if kind not in (NUMBERS, EMPTY)]
        wanted = {self.texts.index(text) for text in odd}
        where = int(np.flatnonzero(np.isin(self.codes, list(wanted)))[0]) + 1
        number = sum(held.values()) - held[NUMBERS]
        shown = some(map(repr, odd))
        say = ",".join(odd[:3])
        return (
            f"is one of numbers but for {shown} ({count(number, 'cell')}, first in row {where}): mend "
            f"{'them' if number > 1 else 'it'}, or say empty={say} if it means that nothing is known"
        )


def _cells(cells: pd.Series) -> list[Any]:
    dtype = cells.dtype
    if isinstance(dtype, (pd.DatetimeTZDtype, pd.PeriodDtype)) or dtype.kind in "mM":
        return [None if pd.isna(cell) else cell for cell in cells]
    return cells.astype(object).tolist()


def _texts(cells: pd.Series, marks: Marks) -> np.ndarray[Any, Any]:
    return np.array([_bare(text_of(cell, marks.decimal), marks) for cell in _cells(cells)], dtype=object)


def _bare(text: str | None, marks: Marks) -> str | None:
    stripped = "" if text is None else text.strip()
    return None if not stripped or stripped in marks.empty else stripped


def _floats(cells: pd.Series) -> np.ndarray[Any, Any]:
    return cells.to_numpy(dtype=np.float64, na_value=np.nan)


def _said_empty(values: np.ndarray[Any, Any], marks: Marks) -> np.ndarray[Any, Any]:
    said = [marks.value(text) for text in marks.empty if marks.pattern().fullmatch(text)]
    return np.where(np.isin(values, said), np.nan, values) if said else values


def _sound(column: Column) -> Column:
    """With its trouble if a number is infinite or has more digits than can be kept."""
    known = column.values[~np.isnan(column.values)]
    if not known.size:
        return replace(column, kind=EMPTY)
    largest = float(np.abs(known).max())
    if not np.isfinite(largest):
        return replace(column, trouble="holds numbers that are not finite: mend them")
    if largest > TOO_LARGE:
        return replace(column, trouble=f"holds numbers as large as {largest:.3g}, which cannot be computed with")
    if largest > LARGEST and bool((known % 1 == 0).all()):
        return replace(
            column, trouble=f"holds whole numbers of more digits than can be told apart, up to {largest:.0f}: names?"
        )
    return column


def _grouped(name: str, texts: Sequence[str]) -> tuple[Finding, ...]:
    """Points that may part thousands: always three digits after them, beside numbers without one."""
    pointed = [text for text in texts if "." in text]
    plain = [text for text in texts if "." not in text]
    alike = all(re.fullmatch(r"[+-]?[1-9][0-9]{0,2}\.[0-9]{3}", text) for text in pointed)
    if len(pointed) < 2 or not plain or not alike or any(len(text.lstrip("+-")) > 3 for text in plain):
        return ()
    return (
        Finding(
            "thousands",
            f"column {name!r}: the point in {pointed[0]!r} may part thousands, for three digits follow it wherever it "
            f"stands and no number without it has more than three; say thousands=.&decimal=, if so",
            refused=True,
        ),
    )
