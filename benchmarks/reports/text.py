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
