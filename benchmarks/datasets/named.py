"""Names of a user's own data: ``SCHEME:PATH`` or ``SCHEME:PATH?option=value&option=value``."""

from __future__ import annotations

import difflib
import urllib.parse
from collections.abc import Collection, Mapping
from pathlib import Path

from benchmarks.base.records import SEPARATOR


def parse(scheme: str, rest: str, allowed: Collection[str]) -> tuple[Path, dict[str, str]]:
    """The path, and the options by name. ``%3F`` stands for a question mark in a value, ``%26`` for an ampersand.

    Raises:
        ValueError: if there is no path, or an option is not known, has no value or comes twice.

    Example:
        >>> parse("folder", "~data/PACS?size=32&limit=100", ("size", "limit"))[1]
        {'size': '32', 'limit': '100'}
    """
    path, _, query = rest.partition("?")
    if not path:
        raise ValueError(f"{scheme}: names no path; write {scheme}:PATH")
    options: dict[str, str] = {}
    for word in query.split("&") if query else ():
        name, equals, value = (urllib.parse.unquote(part) for part in word.partition("="))
        if name not in allowed:
            near = difflib.get_close_matches(name, allowed, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{scheme}:{rest}: {name!r} is no option.{hint} Options are: {', '.join(allowed)}")
        if not equals or not value or name in options:
            raise ValueError(f"{scheme}:{rest}: {name} must be given once and have a value, as in {name}=...")
        options[name] = value
    return Path(path).expanduser() if path.startswith("~") else Path(path), options


def positive(options: Mapping[str, str], name: str, default: int) -> int:
    """A whole number of at least 1.

    Raises:
        ValueError: if it is another value.
    """
    text = options.get(name)
    if text is None:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {text!r}")
    return int(text)


def listed(options: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Words joined by commas."""
    return tuple(word.strip() for word in options[name].split(",")) if name in options else ()


def checked_domains(names: Collection[str], where: str) -> tuple[str, ...]:
    """The names of domains, if they can be told apart in records.

    Raises:
        ValueError: if there are less than two of them, or one holds the sign that joins names in records.
    """
    wrong = [name for name in names if SEPARATOR in name or not name]
    if wrong:
        raise ValueError(
            f"{where}: the name of a domain must not be empty or hold {SEPARATOR!r}, got {wrong}; rename it"
        )
    if len(names) < 2:
        raise ValueError(f"{where} has the domains {sorted(names)}; there must be at least two")
    return tuple(names)
