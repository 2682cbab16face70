"""What a sweep file may say in short, in full; whatever else it is stays for the check of its kind."""

from __future__ import annotations

from typing import Any

from benchmarks.base.errors import all_different, unknown
from benchmarks.base.names import SEARCH


def as_list(value: Any) -> Any:
    """One name is a list of one."""
    return (value,) if isinstance(value, str) else value


def as_mapping(value: Any) -> Any:
    """Names are a mapping from them to nothing; None is nothing."""
    if isinstance(value, (str, list, tuple)):
        names = as_list(value)
        return {name: {} for name in all_different(tuple(names))}
    return {name: {} if own is None else own for name, own in value.items()} if isinstance(value, dict) else value


def as_launcher(value: Any) -> Any:
    """A word is a kind; without one it is ``local``."""
    if isinstance(value, str):
        return {"kind": value}
    return {"kind": "local", **value} if isinstance(value, dict) else value


def as_seeds(value: Any) -> Any:
    """A number n is the seeds 0 .. n - 1."""
    return tuple(range(value)) if isinstance(value, int) and not isinstance(value, bool) and value >= 1 else value


def as_search(value: Any) -> Any:
    """Words in the place of a mapping: each says by itself which field it is.

    Raises:
        ValueError: if a word is not known, or two say the same field.

    Example:
        >>> as_search("wide"), as_search(["wide", "tpe", "hyperband"])
        ({'ranges': 'wide'}, {'ranges': 'wide', 'kind': 'tpe', 'prune': 'hyperband'})
    """
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, (list, tuple)):
        return value
    found: dict[str, str] = {}
    for word in words:
        if not isinstance(word, str) or word not in SEARCH:
            raise ValueError(unknown(str(word), SEARCH))
        if SEARCH[word] in found:
            raise ValueError(f"{found[SEARCH[word]]} and {word} are both {SEARCH[word]}: give one of them")
        found[SEARCH[word]] = word
    return found
