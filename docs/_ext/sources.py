"""Where the code of a documented name stands."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def place(module: str, name: str) -> tuple[str, int, int] | None:
    """File below the checkout, first and last line; None for what has no code of its own here."""
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, property):
        found = found.fget
    try:
        path = Path(inspect.getsourcefile(inspect.unwrap(found)) or "").resolve()
        lines, first = inspect.getsourcelines(found)
    except TypeError:
        return None
    return (path.relative_to(ROOT).as_posix(), first, first + len(lines) - 1) if path.is_relative_to(ROOT) else None


def linkcode_resolve(domain: str, info: Mapping[str, str]) -> str | None:
    """The address of the code, for Sphinx."""
    found = place(info["module"], info["fullname"]) if domain == "py" and info["module"] else None
    return "https://github.com/pgrad/pgrad/blob/main/{}#L{}-L{}".format(*found) if found else None
