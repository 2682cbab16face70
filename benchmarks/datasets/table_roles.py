"""Which column of a table is for what, as the options say; a column is for one thing only."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.datasets.table_files import is_nameless

__all__ = ["Roles", "roles_of"]

TARGETS = ("label", "target", "y")


@dataclass(frozen=True)
class Roles:
    """The names of columns.

    Attributes:
        domain, target: One each.
        group: Those that name a group together; empty if there are none.
        dropped: What the user leaves out.
        inputs: All others.
        words: Those that are words whatever they look like.
    """

    domain: str
    target: str
    group: tuple[str, ...]
    dropped: tuple[str, ...]
    inputs: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def said(self) -> dict[str, str]:
        """For each column that is no input, in words, what it is for."""
        other = dict.fromkeys(self.dropped, "left out: drop")
        group = {name: "the group" for name in self.group if name != self.domain}
        return {self.domain: "the domain", self.target: "the target", **group, **other}


def roles_of(columns: Sequence[str], options: Mapping[str, str]) -> Roles:
    """The roles that the options give to columns.

    Raises:
        ValueError: if a column is not there, or is to be two things at once.

    Example:
        >>> roles_of(["site", "y", "age"], {"domain": "site"}).inputs
        ('age',)
    """
    domain = _there(columns, options.get("domain", "domain"), "domain")
    target = _target(columns, options)
    if target == domain:
        raise ValueError(f"target={target} is the column of domains: a domain that nobody has seen cannot be predicted")
    dropped = _several(columns, options, "drop", ",")
    for role, name in (("domain", domain), ("target", target)):
        if name in dropped:
            raise ValueError(f"drop={name} leaves out the {role}; say another {role}=..., or do not drop it")
    group = _several(columns, options, "group", "+")
    if target in group or group == (domain,):
        what = "target" if target in group else "domain"
        raise ValueError(f"group={'+'.join(group)} is the {what}; a group is what belongs together within a domain")
    if both := [name for name in group if name in dropped]:
        raise ValueError(f"drop={both[0]} leaves out the group; a group is never an input, do not drop it")
    used = {domain, target, *group, *dropped}
    words = _several(columns, options, "words", ",")
    inputs = tuple(name for name in columns if name not in used)
    if wrong := [name for name in words if name not in inputs and name != target]:
        raise ValueError(f"words={wrong[0]} is for inputs and the target, and {wrong[0]} is neither")
    return Roles(domain, target, group, dropped, inputs, words)


def _there(columns: Sequence[str], name: str, option: str) -> str:
    if name in columns:
        return name
    near = difflib.get_close_matches(name.casefold(), [column.casefold() for column in columns], n=1)
    found = [column for column in columns if near and column.casefold() == near[0]]
    hint = f" Did you mean {found[0]!r}?" if found else ""
    raise ValueError(
        f"{option}={name}: there is no such column; columns are {', '.join(columns)}.{hint}{_unnamed(columns)}"
    )


def _unnamed(columns: Sequence[str]) -> str:
    """Where the first line looks like one of data."""
    numbers = [name for name in columns if name.replace(".", "").replace("-", "").isdecimal()]
    nameless = [name for name in columns if is_nameless(name)]
    for found, what in ((numbers, "it holds numbers"), (nameless, "most cells of it are empty: is there a title?")):
        if 2 * len(found) > len(columns):
            return f" The first line must hold the names of columns, and {what}"
    return ""


def _target(columns: Sequence[str], options: Mapping[str, str]) -> str:
    if "target" in options:
        return _there(columns, options["target"], "target")
    found = [name for name in TARGETS if name in columns]
    if not found:
        raise ValueError(
            f"none of the columns is called {', '.join(TARGETS)}; say target=..., columns are {', '.join(columns)}"
        )
    if len(found) > 1:
        raise ValueError(f"{' and '.join(found)} may both be the target; say target=..., and drop=... what is no input")
    return found[0]


def _several(columns: Sequence[str], options: Mapping[str, str], option: str, sign: str) -> tuple[str, ...]:
    """Columns whose names are joined by a sign, which their names may hold too."""
    words, found = options[option].split(sign) if option in options else [], []
    while words:
        for end in range(len(words), 0, -1):
            name = sign.join(words[:end]).strip()
            if name in columns:
                break
        else:
            name, end = _there(columns, words[0].strip(), option), 1
        found.append(name)
        words = words[end:]
    return tuple(dict.fromkeys(found))
