"""Wrong names in a sweep file or in options, found before anything heavy is loaded.

`benchmarks.sweeps.files.validated` is who decides and who explains the rest; what is refused here is refused there in
the same words. Where plugins bring names of their own nothing can be told early.
"""

from __future__ import annotations

import os
import sys
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.base import names
from benchmarks.base.errors import ConfigError, unknown
from benchmarks.commands.assigned import NO_DATASETS, assigned, searched
from benchmarks.commands.chosen import Chosen
from benchmarks.runs.rules import known_rule
from benchmarks.sweeps.given import as_launcher, as_list, as_search
from benchmarks.sweeps.reading import Location, dotted, read


def refuse_wrong_names(file: Path | None, chosen: Chosen | None) -> None:
    """Accepts a sweep file and options whose keys, data sets, algorithms, rules and kinds are known.

    Raises:
        ConfigError: one line for each that is not: where, which key, the nearest name that is known.
    """
    content: dict[str, Any] = {}
    lines: Mapping[Location, int] = {}
    where = "arguments" if file is None else str(file)
    if file is not None:
        content, lines = read(file)
    options = chosen or Chosen()
    if options.search is not None:
        searched(options.search, "--search")
    for word in options.set or ():
        assigned(word)
    if file is None and options.datasets is None:
        raise ConfigError(NO_DATASETS)
    if content.get("plugins") or options.plugin or any(word.startswith("plugins") for word in options.set or ()):
        return
    found: list[tuple[Location, str, Mapping[Location, int]]] = [
        ((key,), unknown(key, names.SWEEP), lines) for key in content if key not in names.SWEEP
    ]
    for key, look in _LOOKS.items():
        given = getattr(options, key, None)
        value, places = (content.get(key), lines) if given is None else (given, {})
        found += [(path, why, places) for path, why in look(value)]
    if found:
        raise ConfigError(
            "\n".join(f"{_place(where, places, path)}: {dotted(path)}: {why}" for path, why, places in found)
        )


def known(kind: str) -> tuple[str, ...]:
    """The names of "algorithms", "datasets" or "models", with those that a program registered before it came here."""
    registry = kind.upper()
    loaded = sys.modules.get(f"benchmarks.{kind}")
    return tuple(dict.fromkeys((*getattr(names, registry), *getattr(loaded, registry, ()))))


def is_described(name: str, allowed: tuple[str, ...]) -> bool:
    """Whether a name of a data set says more than a name: where data are, or options of one that is known."""
    return ":" in name or ("?" in name and name.partition("?")[0] in allowed)


Wrong = Iterator[tuple[Location, str]]
"""Places in a sweep file, and what to say of what stands there."""


def _datasets(value: Any) -> Wrong:
    # Data sets are a mapping, whose places are names.
    for name in [value] if isinstance(value, str) else value if isinstance(value, (list, tuple, dict)) else ():
        if not isinstance(name, str):
            continue
        if name not in known("datasets") and not is_described(name, known("datasets")):
            yield ("datasets", name), unknown(name, known("datasets"))
        elif why := not_there(name):
            yield ("datasets", name), why


def _algorithms(value: Any) -> Wrong:
    for number, name in enumerate(as_list(value)) if isinstance(value, (str, list, tuple)) else ():
        if isinstance(name, str) and name not in known("algorithms"):
            yield ("algorithms", number), unknown(name, known("algorithms"))


def _selection(value: Any) -> Wrong:
    for number, name in enumerate(as_list(value)) if isinstance(value, (str, list, tuple)) else ():
        try:
            if isinstance(name, str):
                known_rule(name)
        except ValueError as error:
            yield ("selection", number), str(error)


def _search(value: Any) -> Wrong:
    try:
        as_search(value)
    except ValueError as error:
        yield ("search",), str(error)


def _settings(value: Any) -> Wrong:
    for name in value if isinstance(value, dict) else ():
        if name not in names.SETTINGS:
            yield ("settings", name), unknown(name, names.SETTINGS)


def _launcher(value: Any) -> Wrong:
    kind = as_launcher(value).get("kind") if isinstance(value, (str, dict)) else None
    if isinstance(kind, str) and kind not in names.LAUNCHERS:
        yield ("launcher",), f"kind: {unknown(kind, names.LAUNCHERS)}"


_LOOKS: Mapping[str, Callable[[Any], Wrong]] = {
    "datasets": _datasets,
    "algorithms": _algorithms,
    "selection": _selection,
    "search": _search,
    "settings": _settings,
    "launcher": _launcher,
}


def not_there(name: str) -> str:
    """What to say of a name of the user's own data whose path leads nowhere; empty for all others.

    Options may follow behind a question mark, which a path may hold as well: whatever could be meant is looked for.
    """
    scheme, _, rest = name.partition(":")
    ends = [place for place, sign in enumerate(rest) if sign == "?"]
    ways = [rest[:end] for end in (*ends, len(rest))]
    if scheme not in names.SCHEMES or not ways[0]:
        return ""
    ways.append(urllib.parse.unquote(ways[0]))
    if any(os.path.exists(os.path.expanduser(way)) for way in ways):  # noqa: PTH110, PTH111  Path's raise for some
        return ""
    path = Path(os.path.expanduser(ways[0]))  # noqa: PTH111
    kinds = {"folder": "folder", "decisions": "file or folder"}
    return f"there is no {kinds.get(scheme, 'file')} {path}"


def _place(where: str, lines: Mapping[Location, int], path: Location) -> str:
    found = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)
    return where if found is None else f"{where}, line {found}"
