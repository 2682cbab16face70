"""Numbers of things, and lists of many, as words."""

from __future__ import annotations

from collections.abc import Iterable


def count(number: int, one: str, several: str = "") -> str:
    """A number of things.

    Args:
        number: Of them.
        one: What one of them is called, and what it does.
        several: The same of several; by default with an s.

    Example:
        >>> count(1, "comparison"), count(3000, "seed"), count(2, "picture lies", "pictures lie")
        ('1 comparison', '3,000 seeds', '2 pictures lie')
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def some(words: Iterable[str], most: int = 3, sign: str = ", ") -> str:
    """The first few, and how many more.

    Example:
        >>> some(["a", "b", "c", "d", "e"])
        'a, b, c and 2 more'
    """
    words = list(words)
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return sign.join(words[:most]) + more
