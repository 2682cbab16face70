"""Sweeps from YAML and TOML, and what is said about mistakes in them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from benchmarks.base.errors import ConfigError, unknown
from benchmarks.runs import plugins
from benchmarks.sweeps.config import Outputs, Overrides, SweepConfig, SweepSettings
from benchmarks.sweeps.launcher_config import KINDS
from benchmarks.sweeps.mistakes import wanted

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Location = tuple[int | str, ...]


def read(path: Path) -> tuple[dict[str, Any], dict[Location, int]]:
    """The content of a YAML or TOML file, and the line of every key and item (YAML only).

    Raises:
        ConfigError: if it cannot be read, is neither, repeats a key, or is no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else f"it is no text in UTF-8 ({error.reason})"
        raise ConfigError(f"{path}: cannot be read: {why}") from error
    if path.suffix == ".toml":
        try:
            return tomllib.loads(text), {}
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path}: no TOML: {error}") from error
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"{path}: a sweep file must end in .yaml, .yml or .toml")
    lines: dict[Location, int] = {}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        _note_lines(path, node, (), lines)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: no YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a sweep file must map names to values, got {type(content).__name__}")
    return content, lines


def _note_lines(path: Path, node: yaml.Node | None, location: Location, lines: dict[Location, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*location, key.value)
            if inner in lines:
                raise ConfigError(
                    f"{path}, line {key.start_mark.line + 1}: {_dotted(inner)!r} is given twice, "
                    f"first in line {lines[inner]}"
                )
            lines[inner] = key.start_mark.line + 1
            _note_lines(path, value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            lines[(*location, number)] = value.start_mark.line + 1
            _note_lines(path, value, (*location, number), lines)


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
    key = f"{_dotted(location)}: " if location else ""
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"{place}: {key}{unknown(location[-1], _fields(problem['loc']))}"
    if problem["type"] == "missing":
        return f"{place}: {key}must be given"
    if problem["type"] == "union_tag_invalid":
        return f"{place}: {key}kind: {unknown(problem['ctx']['tag'], KINDS)}"
    if problem["type"] in ("value_error", "default_factory_not_called"):
        return f"{place}: {key}{message}"
    return f"{place}: {key}{wanted(problem, _dotted(location))}, got {problem['input']!r}"


def _fields(location: Location) -> list[str]:
    """The names that are allowed where the last word of the location stands."""
    models: dict[str, type[BaseModel]] = {"datasets": Overrides, "settings": SweepSettings, "outputs": Outputs}
    if len(location) > 1 and location[0] == "launcher":
        models["launcher"] = KINDS[str(location[1])]
    model = models.get(str(location[0]), SweepConfig) if len(location) > 1 else SweepConfig
    return list(model.model_fields)


def _dotted(location: Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
