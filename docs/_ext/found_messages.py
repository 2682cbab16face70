"""The messages of the library, found in its sources: what it raises, and what it warns of."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FILLED = "…"
WARNINGS = {"warn": "UserWarning", "give": "UserWarning"}
"""Functions of the library that warn. The message is their first argument, or of ``give`` the second."""

SENTENCE = 8
"""Words that a returned text must have to be taken for a message."""


@dataclass(frozen=True)
class Message:
    """One place that says something.

    Attributes:
        file: Below the folder of the library.
        line: In it.
        error: The name of its class; empty where a function words it for another.
        text: The message; … stands for what is filled in.
    """

    file: str
    line: int
    error: str
    text: str


def messages(package: Path) -> list[Message]:
    """All of them, file by file."""
    found = []
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(package.rglob("*.py"))}
    constants: dict[str, str] = {}
    for tree in trees.values():
        constants |= {name: text for name, text in _constants(tree).items() if name.isupper()}
    for path, tree in trees.items():
        known = constants | _constants(tree)
        for node in ast.walk(tree):
            for error, text in _said(node, known):
                line = getattr(node, "lineno", 0)
                found.append(Message(path.relative_to(package).as_posix(), line, error, text))
    return sorted(found, key=lambda one: (one.file, one.line))


def _said(node: ast.AST, constants: dict[str, str]) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
        yield _name(node.exc.func) or "Error", _text(node.exc.args[0], constants)
    elif isinstance(node, ast.Call) and _name(node.func) in WARNINGS and node.args:
        place = 1 if _name(node.func) == "give" and len(node.args) > 1 else 0
        yield WARNINGS[_name(node.func)], _text(node.args[place], constants)

    elif isinstance(node, ast.Return) and node.value is not None:  # of a function that words a message for another
        text = _text(node.value, constants)
        if len(text.replace(FILLED, "").split()) >= SENTENCE:
            yield "", text


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def _constants(tree: ast.Module) -> dict[str, str]:
    """Names that hold a sentence."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            text = _text(node.value, {})
            if len(text.split()) >= SENTENCE:
                found[node.targets[0].id] = text
    return found


def _text(node: ast.AST, constants: dict[str, str]) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else FILLED for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, constants) + _text(node.right, constants)
    if isinstance(node, ast.Name) and node.id in constants:
        return constants[node.id]
    if isinstance(node, ast.Call) and _name(node.func) == "format" and isinstance(node.func, ast.Attribute):
        return _text(node.func.value, constants)
    return FILLED
