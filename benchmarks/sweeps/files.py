"""Sweeps from YAML and TOML, and what is said about mistakes in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from benchmarks.base.errors import ConfigError, unknown
from benchmarks.runs import plugins
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.launcher_config import KINDS
from benchmarks.sweeps.mistakes import wanted
from benchmarks.sweeps.reading import Location, dotted, read
from benchmarks.sweeps.search import Search
from benchmarks.sweeps.settings import Outputs, Overrides, SweepSettings

__all__ = ["ConfigError", "Location", "read", "validated"]


def validated(
    content: Mapping[str, Any], where: str = "arguments", lines: Mapping[Location, int] | None = None
) -> SweepConfig:
    """The sweep that the content describes, after importing its plugins.

    Raises:
        ConfigError: one line for each mistake: where, which key, the value found, what is allowed, the nearest name.
    """
    named = content.get("plugins", ())
    named = (named,) if isinstance(named, str) else named
    if isinstance(named, Sequence) and all(isinstance(name, str) for name in named):
        try:
            plugins.load(named)
        except ImportError as error:
            raise ConfigError(f"{where}: {error}") from error
    try:
        return SweepConfig.model_validate(dict(content))
    except ValidationError as error:
        problems = [_explain(problem, where, lines or {}) for problem in error.errors()]
        raise ConfigError("\n".join(dict.fromkeys(problems))) from error


def _explain(problem: Any, where: str, lines: Mapping[Location, int]) -> str:
    # pydantic adds the kind of a launcher and "[key]" of a mapping to its locations; the file has neither.
    location = tuple(
        part
        for number, part in enumerate(problem["loc"])
        if part != "[key]" and not (number == 1 and problem["loc"][0] == "launcher" and part in KINDS)
    )
    # It tries a number as one kind and as the other, and names both.
    if location and location[-1] in ("int", "float") and problem["type"].startswith(("int_", "float_")):
        location, problem = location[:-1], {**problem, "type": "float_type"}
    found = next((lines[location[:n]] for n in range(len(location), 0, -1) if location[:n] in lines), None)
    place = where if found is None else f"{where}, line {found}"
    key = f"{dotted(location)}: " if location else ""
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"{place}: {key}{unknown(location[-1], _fields(problem['loc']))}"
    if problem["type"] == "missing":
        return f"{place}: {key}must be given"
    if problem["type"] == "union_tag_invalid":
        return f"{place}: {key}kind: {unknown(problem['ctx']['tag'], KINDS)}"
    if problem["type"] in ("value_error", "default_factory_not_called"):
        return f"{place}: {key}{message}"
    return f"{place}: {key}{wanted(problem, dotted(location))}, got {problem['input']!r}"


def _fields(location: Location) -> list[str]:
    """The names that are allowed where the last word of the location stands."""
    models: dict[str, type[BaseModel]] = {
        "datasets": Overrides,
        "settings": SweepSettings,
        "outputs": Outputs,
        "search": Search,
    }
    if len(location) > 1 and location[0] == "launcher":
        models["launcher"] = KINDS[str(location[1])]
    model = models.get(str(location[0]), SweepConfig) if len(location) > 1 else SweepConfig
    return list(model.model_fields)
