"""Figures as text."""

from __future__ import annotations

import math

from benchmarks.base.metrics import Estimate, Interval


def number(value: float | None, digits: int = 1, sign: bool = False) -> str:
    """A figure to read, with a true minus sign; ``n/a`` where it is missing."""
    if value is None or math.isnan(value):
        return "n/a"
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")


def between(found: Estimate | Interval, digits: int = 1, sign: bool = False) -> str:
    """An interval to read."""
    if math.isnan(found.low):
        return "[n/a]"
    return f"[{number(found.low, digits, sign)}, {number(found.high, digits, sign)}]"


def difference(found: Estimate | None) -> str:
    """A difference to read, bold where its interval lies on one side of zero; empty where there is none."""
    if found is None or not found.n:
        return ""
    text = f"{number(found.mean, sign=True)} {between(found, sign=True)}"
    return f"**{text}**" if side(found) else text


def side(found: Estimate) -> int:
    """1 if the interval of a difference lies above zero, -1 if below it, else 0."""
    return int(found.low > 0) - int(found.high < 0) if found.n > 1 else 0


def count(number_: int, what: str) -> str:
    """A number of things.

    Example:
        >>> count(1, "comparison"), count(3, "seed")
        ('1 comparison', '3 seeds')
    """
    return f"{number_} {what}" if number_ == 1 else f"{number_:,} {what}s"
