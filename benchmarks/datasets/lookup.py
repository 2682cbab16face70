"""The registry: names that are lines of it, and names that say where a user's own data are.

``folder:PATH``, ``table:PATH`` and ``decisions:PATH`` need no line; whoever asks for such a name gets an entry made
from what is there. Lines that have options are asked for them as ``NAME?option=value&option=value``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from benchmarks.datasets import folders, table
from benchmarks.datasets.base import DatasetEntry
from benchmarks.datasets.decisions import by_path

SCHEMES: Mapping[str, Callable[[str], DatasetEntry]] = {
    "folder": folders.entry,
    "table": table.entry,
    "decisions": by_path.entry,
}
"""What stands before the colon -> what makes an entry of the rest."""


class Registry(dict[str, DatasetEntry]):
    """Data sets by name. It iterates over its lines alone.

    A name that points to data of the user's raises ValueError where they cannot be used, and says why; ``in`` is false
    for it then.
    """

    def __missing__(self, name: str) -> DatasetEntry:
        line, _, query = name.partition("?")
        if query and super().__contains__(line) and (variants := self[line].variants) is not None:
            return variants(query)
        scheme, colon, _ = name.partition(":")
        if not colon or scheme not in SCHEMES:
            raise KeyError(name)
        return _entry(name)

    def __contains__(self, name: object) -> bool:
        if super().__contains__(name):
            return True
        try:
            return isinstance(name, str) and self[name] is not None
        except (KeyError, ValueError):
            return False


@functools.cache
def _entry(name: str) -> DatasetEntry:
    """The same one for the whole process, whatever happens to the files."""
    scheme, _, rest = name.partition(":")
    return SCHEMES[scheme](rest)


def identity(name: str) -> str:
    """What the user's own data are that a name points to: other content, another identity. Empty for other names.

    Raises:
        ValueError: if they cannot be used.
    """
    scheme, colon, _ = name.partition(":")
    return str(_entry(name).factory.identity) if colon and scheme in SCHEMES else ""  # type: ignore[attr-defined]
