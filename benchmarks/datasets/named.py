"""Names of a user's own data: ``SCHEME:PATH`` or ``SCHEME:PATH?option=value&option=value``."""

from __future__ import annotations

import difflib
import os
import urllib.parse
from collections.abc import Collection, Mapping
from pathlib import Path

from benchmarks.base.records import SEPARATOR


def parse(scheme: str, rest: str, allowed: Collection[str]) -> tuple[Path, dict[str, str]]:
    """The path, and the options by name. ``%3F`` stands for a question mark in a value, ``%26`` for an ampersand.

    A path may hold ``?``, ``#`` and ``%`` as they are: what is there on the disk tells where it ends. Where nothing is,
    ``%3F``, ``%23`` and ``%25`` stand for these signs.

    Raises:
        ValueError: if there is no path, it could be one of two, or an option is not known, has no value or comes twice.

    Example:
        >>> parse("folder", "data/PACS?size=32&limit=100", ("size", "limit"))[1]
        {'size': '32', 'limit': '100'}
    """
    path, query = taken_apart(scheme, rest)
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
    return path, options


def taken_apart(scheme: str, rest: str) -> tuple[Path, str]:
    """The path, and what follows the question mark behind it.

    Raises:
        ValueError: if there is no path, or it could be one of two.
    """
    ends = [place for place, sign in enumerate(rest) if sign == "?"]
    ways = [(rest[:end], rest[end + 1 :]) for end in (*ends, len(rest))]
    if not ways[0][0]:
        raise ValueError(f"{scheme}: names no path; write {scheme}:PATH")
    there = [(path, query) for path, query in ways if _is_there(path)]
    if len(there) > 1:
        both = " and ".join(path for path, _ in there)
        raise ValueError(f"{scheme}:{rest} could mean {both}, which are both there; rename one of them")
    if there:
        return path_of(there[0][0]), there[0][1]
    quoted = urllib.parse.unquote(ways[0][0])
    return path_of(quoted if _is_there(quoted) else ways[0][0]), ways[0][1]


def _is_there(text: str) -> bool:
    """False also for what is no name at all: with options behind it, it may be too long for one."""
    return os.path.exists(os.path.expanduser(text))  # noqa: PTH110, PTH111  Path's raise then


def path_of(text: str) -> Path:
    """With the home folder in the place of ``~``; of a user who is not known, it is a name like others."""
    return Path(os.path.expanduser(text))  # noqa: PTH111  Path.expanduser raises for users that are not known


def with_allowed(name: str, words: Collection[str]) -> str:
    """The name of a user's own data with more words that are allowed.

    Raises:
        ValueError: if it is no such name: there is nothing to allow.

    Example:
        >>> with_allowed("folder:pets?size=32&allow=copies", ["frames"])
        'folder:pets?size=32&allow=copies,frames'
        >>> with_allowed("folder:pets", ["frames"])
        'folder:pets?allow=frames'
    """
    if not words:
        return name
    scheme, colon, rest = name.partition(":")
    if not colon:
        raise ValueError(f"allow is for data of yours, folder:PATH and table:PATH; {name} has nothing to allow")
    _, query = taken_apart(scheme, rest)
    options = query.split("&") if query else []
    before = [word for option in options if option.startswith("allow=") for word in option[len("allow=") :].split(",")]
    others = [option for option in options if not option.startswith("allow=")]
    written = rest[: len(rest) - len(query)].removesuffix("?") if query else rest
    together = ",".join(dict.fromkeys([*before, *words]))
    return f"{scheme}:{written}?{'&'.join([*others, f'allow={together}'])}"


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
