"""Wrong names in a sweep file or in options, found before anything heavy is loaded.

`benchmarks.sweeps.files.validated` is who decides and who explains the rest; what is refused here is refused there in
the same words. Where plugins bring names of their own nothing can be told early.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.base import names
from benchmarks.base.errors import ConfigError, unknown
from benchmarks.commands.chosen import Chosen
from benchmarks.sweeps.reading import Location, dotted, read


def refuse_wrong_names(file: Path | None, chosen: Chosen | None) -> None:
    """Accepts a sweep file and options whose keys, data sets and algorithms are known.

    Raises:
        ConfigError: one line for each that is not: where, which key, the nearest name that is known.
    """
    content: dict[str, Any] = {}
    lines: Mapping[Location, int] = {}
    where = "arguments" if file is None else str(file)
    if file is not None:
        content, lines = read(file)
    options = chosen or Chosen()
    if content.get("plugins") or options.plugin or any(word.startswith("plugins") for word in options.set or ()):
        return
    strange = [key for key in content if key not in names.SWEEP]
    wrong = [f"{_place(where, lines, (key,))}: {dotted((key,))}: {unknown(key, names.SWEEP)}" for key in strange]
    for key, given in (("datasets", options.datasets), ("algorithms", options.algorithms)):
        value, places = (content.get(key), lines) if given is None else (given, {})
        for path, why in _unknown(key, value, known(key)):
            wrong.append(f"{_place(where, places, path)}: {dotted(path)}: {why}")
    if wrong:
        raise ConfigError("\n".join(wrong))


def known(kind: str) -> tuple[str, ...]:
    """The names of "algorithms", "datasets" or "models", with those that a program registered before it came here."""
    registry = kind.upper()
    loaded = sys.modules.get(f"benchmarks.{kind}")
    return tuple(dict.fromkeys((*getattr(names, registry), *getattr(loaded, registry, ()))))


def is_described(name: str, allowed: tuple[str, ...]) -> bool:
    """Whether a name of a data set says more than a name: where data are, or options of one that is known."""
    return ":" in name or ("?" in name and name.partition("?")[0] in allowed)


def _unknown(key: str, value: Any, allowed: tuple[str, ...]) -> Iterator[tuple[Location, str]]:
    """The places of names that are not known, and what to say of them."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, (list, tuple, dict)):
        return
    for number, name in enumerate(listed):
        if isinstance(name, str) and name not in allowed and not (key == "datasets" and is_described(name, allowed)):
            # Data sets are a mapping, whose places are names; algorithms are a list.
            yield (key, name if key == "datasets" else number), unknown(name, allowed)


def _place(where: str, lines: Mapping[Location, int], path: Location) -> str:
    found = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)
    return where if found is None else f"{where}, line {found}"
