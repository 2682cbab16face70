"""What stands in a sweep file, line by line; whether it describes a sweep is another question."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from benchmarks.base.errors import ConfigError

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
                    f"{path}, line {key.start_mark.line + 1}: {dotted(inner)!r} is given twice, "
                    f"first in line {lines[inner]}"
                )
            lines[inner] = key.start_mark.line + 1
            _note_lines(path, value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            lines[(*location, number)] = value.start_mark.line + 1
            _note_lines(path, value, (*location, number), lines)


def dotted(location: Location) -> str:
    """A place in a sweep file as one writes it.

    Example:
        >>> dotted(("fixed", "pgrad", "lr")), dotted(("algorithms", 0))
        ('fixed.pgrad.lr', 'algorithms[0]')
    """
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
