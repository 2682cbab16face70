"""What the text of one cell can be, and the text that a cell with a type would be in a file."""

from __future__ import annotations

import datetime
import decimal
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

__all__ = [
    "ADVICE",
    "CODES",
    "EMPTY",
    "KINDS",
    "LARGEST",
    "MISSING",
    "NUMBERS",
    "THOUSANDS",
    "TRUTH",
    "WORDS",
    "Marks",
    "kind_of",
    "normal",
    "other_marks",
    "text_of",
    "unit_of",
]

NUMBERS, TRUTH, WORDS, EMPTY, CODES = "numbers", "truth values", "words", "empty", "codes"

LARGEST = 2**53
"""Whole numbers beyond it cannot all be told apart in float64."""

MISSING = frozenset({"na", "n/a", "nan", "-nan", "none", "null", "<na>", "#n/a", "#na"})
"""Words that mean an empty cell among numbers and truth values, in any case; among words they are words."""

THOUSANDS: Mapping[str, str] = {"": "", ",": ",", ".": r"\.", "'": "['’]", "space": "[ \u00a0\u2009\u202f]"}

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_MONTH_ALONE = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
_CLOCK = r"[0-9]{1,3}:[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?(?: ?[ap]\.?m\.?)?"
_DAY = "|".join(
    (
        r"[0-9]{4}-[01]?[0-9](?:-[0-3]?[0-9])?",
        r"[0-9]{4}([/.])[01]?[0-9]\1[0-3]?[0-9]",
        r"[0-3]?[0-9]([/.-])[0-3]?[0-9]\2(?:[0-9]{4}|[0-9]{2})",
        rf"[0-3]?[0-9]\.?[ -]{_MONTH}[ ,-]+[0-9]{{2,4}}",
        rf"{_MONTH} [0-3]?[0-9],? [0-9]{{4}}",
        rf"{_MONTH_ALONE}[ ,-]+(?:[0-9]{{4}}|[0-9]{{2}})",
        r"[0-9]{4}-?W[0-5][0-9](?:-?[1-7])?",
    )
)
_DATE = rf"(?:{_DAY})(?:[T ]+{_CLOCK}(?: ?(?:Z|UTC|GMT|[+-][0-9]{{2}}:?[0-9]{{2}}))?)?"
_PLAIN = r"[0-9]+(?:[.,][0-9]+)?"
_SPAN = rf"-?[0-9]+ days?(?:,? [+-]?{_CLOCK})?|-?P(?=[0-9T])(?:[0-9.]+[YMWD])*(?:T(?:[0-9.]+[HMS])+)?"

KINDS: Mapping[str, re.Pattern[str]] = {
    "values that are not finite": re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE),
    TRUTH: re.compile(r"true|false", re.IGNORECASE),
    "durations": re.compile(_SPAN),
    "dates": re.compile(_DATE, re.IGNORECASE),
    "times": re.compile(_CLOCK, re.IGNORECASE),
    "pairs of numbers": re.compile(rf"{_PLAIN} ?(?:/|±|\+/-|:) ?{_PLAIN}"),
    "lists": re.compile(r"\[.*\]|\{.*\}|\(.*,.*\)", re.DOTALL),
    "bytes": re.compile(r"b'.*'|b\".*\"", re.DOTALL),
}
"""What a text can be beside a number, in the order in which it is tried."""

ADVICE: Mapping[str, str] = {
    "values that are not finite": "mend them",
    "durations": "turn them into seconds or hours",
    "dates": "turn them into days or years",
    "times": "turn them into hours",
    "pairs of numbers": "make a column of each part",
    "lists": "make a column of each part",
    "bytes": "turn them into numbers or words",
}

UNIT = re.compile(
    r"(?P<before>[$€£¥]|[A-Z]{3} )? ?[+-]?[0-9]+(?:[.,][0-9]+)* ?(?P<after>[$€£¥%‰°]|[A-Za-zµμ°%/²³]{1,12})?"
)


@dataclass(frozen=True)
class Marks:
    """How numbers are written.

    Attributes:
        decimal: The sign before the fraction.
        thousands: The sign between groups of three digits, a key of `THOUSANDS`.
        empty: Further texts that mean an empty cell.
    """

    decimal: str = "."
    thousands: str = ""
    empty: frozenset[str] = frozenset()

    def pattern(self) -> re.Pattern[str]:
        """Of a number."""
        point, group = re.escape(self.decimal), THOUSANDS[self.thousands]
        grouped = rf"[0-9]{{1,3}}(?:{group}[0-9]{{3}})+(?:{point}[0-9]*)?|" if group else ""
        return re.compile(rf"[+−-]?(?:{grouped}[0-9]+(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+−-]?[0-9]+)?")

    def value(self, text: str) -> float:
        """Of what the pattern matches."""
        if self.thousands:
            text = re.sub(THOUSANDS[self.thousands], "", text)
        return float(text.replace(self.decimal, ".").replace("−", "-"))


OTHERS = (
    *(Marks(",", group) for group in ("", ".", "space")),
    *(Marks(".", group) for group in (",", "space", "'")),
)
"""Ways to write numbers that a hint can propose."""


def kind_of(text: str, number: re.Pattern[str]) -> str:
    if number.fullmatch(text):
        return NUMBERS
    if text.lower() in MISSING:
        return EMPTY
    return next((kind for kind, pattern in KINDS.items() if pattern.fullmatch(text)), WORDS)


def text_of(cell: Any, point: str) -> str | None:  # noqa: C901  one line for each type of cell
    """A cell as it would stand in a file of text."""
    if cell is None or cell is pd.NaT or cell is pd.NA:
        return None
    if isinstance(cell, str):
        return cell
    if isinstance(cell, (bool, np.bool_)):
        return str(bool(cell))
    if isinstance(cell, (int, np.integer)):
        return str(int(cell))
    if isinstance(cell, (float, np.floating)):
        number = float(cell)
        if number != number:
            return None
        whole = number.is_integer() and abs(number) < LARGEST
        return str(int(number)) if whole else repr(number).replace(".", point)
    if isinstance(cell, decimal.Decimal):
        if cell.is_nan():
            return None
        return format(cell, "f").replace(".", point) if cell.is_finite() else "inf"
    if isinstance(cell, datetime.datetime):
        return cell.date().isoformat() if cell.time() == datetime.time() else cell.isoformat(" ", "seconds")
    if isinstance(cell, (np.ndarray, list, tuple, set, frozenset)):
        return str(list(cell))
    return str(cell)


def normal(text: str) -> str:
    """The same for texts that differ in blanks, capitals, the form of letters, or the writing of a number."""
    marks = Marks()
    if marks.pattern().fullmatch(text):
        return repr(marks.value(text) + 0.0)
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def other_marks(texts: Sequence[str], marks: Marks) -> str:
    """What would make numbers of all of these; empty if nothing would."""
    if marks != Marks(empty=marks.empty) and all(map(Marks().pattern().fullmatch, texts)):
        return f"their sign is a point, and decimal={marks.decimal} was said for all columns; write them alike"
    ways = [way for way in OTHERS if all(map(way.pattern().fullmatch, texts))]
    said = []
    for way in ways:
        words = [f"decimal={way.decimal}"] if way.decimal != "." else []
        words += [f"thousands={way.thousands}"] if way.thousands else []
        said.append("&".join(words))
    short = [words for words in said if not any(other != words and other in words.split("&") for other in said)]
    return f"say {' or '.join(short)}" if short else ""


def unit_of(texts: Sequence[str]) -> str:
    """One of them, if all are numbers with one of a few units before or after them."""
    found = [UNIT.fullmatch(text) for text in texts]
    units = {(match["before"], match["after"]) for match in found if match}
    if not all(found) or units == {(None, None)} or len(units) > 4 or len(texts) < 2 * len(units - {(None, None)}):
        return ""
    return next(text for text, match in zip(texts, found, strict=True) if match and (match["before"] or match["after"]))
