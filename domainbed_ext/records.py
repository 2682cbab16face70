"""The lines of a job's ``results.jsonl``, of which some may be damaged: a full disk, a lost connection, two writers."""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["FILE", "Damage", "Record", "environments", "read"]

FILE = "results.jsonl"
Record = dict[str, Any]
_SHOWN = 20  # damaged lines that are named at most
_KINDS = {"dataset": str, "algorithm": str, "test_envs": list, "trial_seed": int, "hparams_seed": int}


@dataclass
class Damage:
    """What was left out.

    Attributes:
        lines: file, number of the line, and what is wrong with it.
        jobs: files without one whole line.
    """

    lines: list[tuple[Path, int, str]] = field(default_factory=list)
    jobs: list[Path] = field(default_factory=list)

    def tell(self) -> None:
        """Names the lines on stderr, and counts them."""
        for path, number, why in self.lines[:_SHOWN]:
            print(f"{path}, line {number}: {why}; left out", file=sys.stderr)
        if self.lines:
            files = len({path for path, _, _ in self.lines})
            print(f"{len(self.lines)} damaged lines of {files} files are left out", file=sys.stderr)
        if self.jobs:
            print(
                f"{len(self.jobs)} jobs are left out, since no line is whole: {', '.join(map(str, self.jobs[:3]))}"
                + (", ..." if len(self.jobs) > 3 else ""),
                file=sys.stderr,
            )


def read(path: Path, damage: Damage) -> list[Record]:
    """The whole records of a file; what is none is added to `damage`."""
    found: list[Record] = []
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        damage.lines.append((path, 0, f"the file cannot be read ({error.strerror})"))
        lines = []
    for number, line in enumerate(lines, start=1):
        if number == len(lines):
            if line:
                damage.lines.append((path, number, "it is incomplete"))  # a process was killed while it wrote
            break
        why, record = _parsed(line)
        if why:
            damage.lines.append((path, number, why))
        else:
            found.append(record)
    if not found:
        damage.jobs.append(path)
    return found


def environments(record: Record) -> int:
    """How many domains the data set of a record has."""
    return next(i for i in itertools.count() if f"env{i}_out_acc" not in record)


def _parsed(line: bytes) -> tuple[str, Record]:
    """What is wrong with a line, and the record if nothing is."""
    try:
        record = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        return f"it is no JSON ({error})", {}
    return (_problem(record), record) if isinstance(record, dict) else ("it is no JSON object", {})


def _problem(record: Record) -> str:
    """What DomainBed's tables would stumble over, or count wrongly; empty for nothing."""
    args = record.get("args")
    if not isinstance(args, dict) or not isinstance(record.get("hparams"), dict):
        return "it has no args or hparams"
    for name, kind in _KINDS.items():
        if not isinstance(args.get(name), kind) or isinstance(args[name], bool):
            return f"its {name} is {args.get(name)!r}"
    if not isinstance(record.get("step"), int) or isinstance(record["step"], bool):
        return f"its step is {record.get('step')!r}"
    number = environments(record)
    if not args["test_envs"] or any(env not in range(number) for env in args["test_envs"]):
        return f"its test_envs are {args['test_envs']}, and it has accuracies of {number} domains"
    for name in (f"env{i}_{part}_acc" for i in range(number) for part in ("in", "out")):
        value = record.get(name)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
            return f"its {name} is {value!r}"
    return ""
