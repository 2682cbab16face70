"""From the options, and the file, to a sweep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.algorithms import QUICK
from benchmarks.base.errors import ConfigError
from benchmarks.commands.assigned import NO_DATASETS, assigned, searched
from benchmarks.commands.chosen import Chosen
from benchmarks.datasets.lookup import SCHEMES
from benchmarks.datasets.named import with_allowed
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.files import read, validated
from benchmarks.sweeps.settings import SweepSettings


def content_of(chosen: Chosen) -> dict[str, Any]:
    """What the options say, in the shape of a sweep file."""
    names = ["datasets", "algorithms", "seeds", "points", "leave_out", "selection"]
    names += ["share_points", "widen", "refit"]
    content = {name: value for name in names if (value := getattr(chosen, name)) is not None}
    settings = {name: value for name in SweepSettings.model_fields if (value := getattr(chosen, name)) is not None}
    if settings:
        content["settings"] = settings
    if chosen.search is not None:
        content["search"] = searched(chosen.search, "--search")
    if chosen.plugin is not None:
        content["plugins"] = chosen.plugin
    engine = {"kind": chosen.launcher, "workers": chosen.workers}
    engine = {name: value for name, value in engine.items() if value is not None}
    if engine:
        content["launcher"] = engine
    for word in chosen.set or ():
        path, value = assigned(word)
        _put(content, path, value, word)
    return content


def _put(content: dict[str, Any], path: tuple[str, ...], value: Any, word: str) -> None:
    inner = content
    for name in path[:-1]:
        inner = inner.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {word}: {name} is {inner!r} already, which has no parts")
    if path[-1] in inner:
        raise ConfigError(f"--set {word}: {'.'.join(path)} is given twice")
    inner[path[-1]] = value


def sweep_from(file: Path | None, chosen: Chosen | None) -> SweepConfig:
    """The sweep of a file and of options.

    Raises:
        ConfigError: if they do not describe one.
    """
    words = content_of(chosen) if chosen is not None else {}
    if file is None:
        if "datasets" not in words:
            raise ConfigError(NO_DATASETS)
        return validated(_with_allowed(words, chosen), "arguments")
    content, lines = read(file)
    if "algorithms" in words:
        _leave_out(content, words["algorithms"])
    for name, value in words.items():
        lines = {place: line for place, line in lines.items() if place[0] != name}
        old = content.get(name)
        if name == "search" and (old := searched(old, f"{file}: search")) is not None:
            content[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
        elif name in ("settings", "launcher", "fixed", "outputs") and isinstance(old, dict) and isinstance(value, dict):
            content[name] = _merged(old, value) if value.get("kind", old.get("kind")) == old.get("kind") else value
        elif name == "datasets" and isinstance(old, dict):
            content[name] = {each: old.get(each) or {} for each in value}
        else:
            content[name] = value
    _for_all(content.get("datasets"), words.get("settings", {}))
    plugins = content.get("plugins", ())
    plugins = (plugins,) if isinstance(plugins, str) else plugins
    if "plugins" not in words and isinstance(plugins, (list, tuple)):
        content["plugins"] = [_beside(file, name) for name in plugins]
    return validated(_with_allowed(content, chosen), str(file), lines)


def _with_allowed(content: dict[str, Any], chosen: Chosen | None) -> dict[str, Any]:
    """What ``--allow`` allows stands in the name of the user's own data, and so in every record.

    Raises:
        ConfigError: if it is not clear which data are meant.
    """
    datasets = content.get("datasets")
    if chosen is None or not chosen.allow or not isinstance(datasets, (str, list, tuple, dict)):
        return content
    names = [datasets] if isinstance(datasets, str) else list(datasets)
    own = [name for name in names if isinstance(name, str) and name.partition(":")[0] in SCHEMES]
    if len(own) != 1:
        found = ", ".join(own) if own else "none"
        raise ConfigError(
            f"--allow is for one data set of yours, folder:PATH or table:PATH, and the sweep has {found}; where there "
            "are several, write ?allow=WORD,WORD behind their paths"
        )
    try:
        allowed = with_allowed(own[0], [each for word in chosen.allow for each in word.split(",")])
    except ValueError as error:
        raise ConfigError(f"--allow: {error}") from error
    if isinstance(datasets, dict):
        return {**content, "datasets": {allowed if name == own[0] else name: datasets[name] for name in names}}
    return {**content, "datasets": [allowed if name == own[0] else name for name in names]}


def _for_all(datasets: Any, settings: Iterable[str]) -> None:
    """An option is for all data sets: what the file says of one of them gives way."""
    for own in datasets.values() if isinstance(datasets, dict) else ():
        for name in settings if isinstance(own, dict) else ():
            own.pop(name, None)


def _leave_out(content: dict[str, Any], chosen: Sequence[str]) -> None:
    """What the file fixes for algorithms of its own that the options leave out has nothing to say."""
    own, fixed = content.get("algorithms", QUICK), content.get("fixed")
    if isinstance(own, (str, list, tuple)) and isinstance(fixed, dict):
        left = {own} if isinstance(own, str) else {name for name in own if isinstance(name, str)}
        content["fixed"] = {name: values for name, values in fixed.items() if name in chosen or name not in left}


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    both = {**old, **new}
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(name), dict):
            both[name] = _merged(old[name], value)
    return both


def _beside(file: Path, name: Any) -> Any:
    """A plugin that is named by a path lies relative to the sweep file."""
    if not isinstance(name, str) or not name.endswith(".py"):
        return name
    return str(file.resolve().parent / name)
