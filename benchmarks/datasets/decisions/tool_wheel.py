"""Tools that can be executed, tasks for them, and their documentation, from the wheel of bfcl-eval.

The Berkeley Function-Calling Leaderboard (Patil et al. 2025; Apache-2.0) has 200 conversations of several turns with
the calls that serve them, and the tools they call as plain Python classes. The wheel is never installed: it pins old
versions of many packages that tools do not need. It is read as an archive; of its code the modules of seven tools are
run, whose imports are the standard library.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import importlib
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.datasets.fetch import FetchError, Package

WHEEL = Package("wheel", "bfcl-eval", "2026.3.23", "sha256-O7bfpfDGitQDyexQsA2yuztMybOKsf8z9I/jDYU9Ogo=")
TOOLS = {
    "GorillaFileSystem": ("gorilla_file_system", "files"),
    "MessageAPI": ("message_api", "social"),
    "TwitterAPI": ("posting_api", "social"),
    "TicketAPI": ("ticket_api", "social"),
    "TradingBot": ("trading_bot", "trading"),
    "TravelAPI": ("travel_booking", "travel"),
    "VehicleControlAPI": ("vehicle_control", "vehicle"),
}
"""Class -> module and family. The tool of mathematics has 14 calls in all: conversations go on without it."""

PACKAGE = "bfcl_eval.eval_checker.multi_turn_eval.func_source_code"
DATA = "bfcl_eval/data"


@dataclass(frozen=True)
class Call:
    """A call of a tool.

    Attributes:
        name: Of the function.
        positional, named: Its arguments.
        text: As it is written.
    """

    name: str
    positional: tuple[Any, ...]
    named: Mapping[str, Any]
    text: str

    @classmethod
    def of(cls, text: str) -> Call:
        """From Python text; nothing is evaluated.

        Raises:
            ValueError: If it is no call with plain values.
        """
        tree = ast.parse(text, mode="eval").body
        if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
            raise ValueError(f"{text!r} is no call of a function")
        if any(word.arg is None for word in tree.keywords):
            raise ValueError(f"{text!r} has arguments that are not written out")
        named = {str(word.arg): ast.literal_eval(word.value) for word in tree.keywords}
        return cls(tree.func.id, tuple(ast.literal_eval(value) for value in tree.args), named, text)


@dataclass(frozen=True)
class Task:
    """A conversation.

    Attributes:
        name: Of the task.
        messages: What the user says, turn by turn.
        truth: The calls that serve it, turn by turn.
        classes: Of the tools that are at hand.
        config: How the tools begin, by class.
        excluded: Functions that are not at hand.
    """

    name: str
    messages: tuple[str, ...]
    truth: tuple[tuple[Call, ...], ...]
    classes: tuple[str, ...]
    config: Mapping[str, Any]
    excluded: frozenset[str]


@dataclass(frozen=True)
class Tools:
    """All that the wheel has.

    Attributes:
        tasks: In their order.
        documentation: Function -> what it does.
        owner: Function -> the class that has it.
        classes: By name.
    """

    tasks: tuple[Task, ...]
    documentation: Mapping[str, str]
    owner: Mapping[str, str]
    classes: Mapping[str, type]

    def begin(self, task: Task) -> dict[str, Any]:
        """The task's tools as they are before the first turn, by class."""
        found = {}
        for name in task.classes:
            if name in self.classes:
                found[name] = self.classes[name]()
                found[name]._load_scenario(copy.deepcopy(task.config.get(name, {})), long_context=False)
        return found

    def family(self, function: str) -> str | None:
        """Of a function; None for mathematics."""
        owner = self.owner.get(function)
        return TOOLS[owner][1] if owner in TOOLS else None


def execute(tools: Mapping[str, Any], owner: Mapping[str, str], call: Call) -> str:
    """The result as text; an error of the tool is a result too."""
    try:
        found = getattr(tools[owner[call.name]], call.name)(
            *copy.deepcopy(call.positional), **copy.deepcopy(call.named)
        )
    except Exception as error:  # noqa: BLE001  whatever a tool raises is what it answers
        return f"Error during execution: {error}"
    if isinstance(found, str):
        return found
    try:
        return json.dumps(found) if isinstance(found, dict) else str(found)
    except (TypeError, ValueError):
        return str(found)


def is_error(result: str) -> bool:
    """Whether a result tells of an error."""
    return result.startswith("Error during execution") or '"error"' in result


def same_state(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether all that is public of the tools is the same: the leaderboard's check of a turn, first half."""
    for name, truth in other.items():
        for attribute, value in vars(truth).items():
            if not attribute.startswith("_") and getattr(one[name], attribute) != value:
                return False
    return True


def answered(given: list[str], wanted: list[str]) -> bool:
    """Whether all wanted results are among those given so far, in any order: the second half."""
    left = list(given)
    for result in wanted:
        if result not in left:
            return False
        left.remove(result)
    return True


def read(path: Path, package: Package = WHEEL) -> Tools:
    """What is in the wheel; runs the modules of the tools.

    Raises:
        FetchError: If it does not hold them.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = {"MathAPI": "math_api", **{tool: module for tool, (module, _) in TOOLS.items()}}
            documentation, owner = {}, {}
            for tool, module in names.items():
                for row in _lines(archive, f"multi_turn_func_doc/{module}.json"):
                    said = row["description"].partition("Tool description:")
                    documentation[row["name"]] = (said[2] or said[0]).strip()
                    owner[row["name"]] = tool
            truth = {row["id"]: row["ground_truth"] for row in _lines(archive, "possible_answer/" + _BASE)}
            tasks = tuple(_task(row, truth[row["id"]]) for row in _lines(archive, _BASE))
        with _importable(path):
            modules = {tool: importlib.import_module(f"{PACKAGE}.{module}") for tool, (module, _) in TOOLS.items()}
            classes = {tool: getattr(module, tool) for tool, module in modules.items()}
    except (zipfile.BadZipFile, KeyError, ValueError, SyntaxError, ImportError, AttributeError, OSError) as error:
        raise FetchError(f"{package} holds no readable tools: {type(error).__name__}: {error}") from error
    return Tools(tasks, documentation, owner, classes)


_BASE = "BFCL_v4_multi_turn_base.json"


def _lines(archive: zipfile.ZipFile, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in archive.read(f"{DATA}/{name}").decode().splitlines() if line]


def _task(row: Mapping[str, Any], truth: list[list[str]]) -> Task:
    return Task(
        name=row["id"],
        messages=tuple(" ".join(each["content"] for each in turn) for turn in row["question"]),
        truth=tuple(tuple(Call.of(text) for text in turn) for turn in truth),
        classes=tuple(row["involved_classes"]),
        config=row["initial_config"],
        excluded=frozenset(row.get("excluded_function", ())),
    )


@contextlib.contextmanager
def _importable(path: Path) -> Iterator[None]:
    """Modules of the wheel, and not those of an installed one, are what is imported inside; none stays known."""

    def own() -> list[str]:
        return [name for name in sys.modules if name.partition(".")[0] == "bfcl_eval"]

    before = {name: sys.modules.pop(name) for name in own()}
    sys.path.insert(0, str(path))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(path))
        for name in own():
            del sys.modules[name]
        sys.modules.update(before)
