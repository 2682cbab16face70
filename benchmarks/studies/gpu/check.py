"""All parts, one after the other, and the file after each of them."""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from benchmarks.runs.environment import ROOT, environment
from benchmarks.studies.gpu import outcomes, parts
from benchmarks.studies.gpu.record import Outcome, Part, Record, describe, targets
from benchmarks.studies.gpu.settings import Settings

METHODS = ("inner", "pgrad", "displacement", "lookahead")
LIMITS = {"tests": 150.0, "times": 100.0, "overlap": 60.0}
"""Seconds of a part on a card; a rehearsal has the bound of all parts alone."""


@dataclass(frozen=True)
class _Task:
    """A part that is still to be done, and where its results will be, whatever becomes of it."""

    kind: Literal["tests", "times", "overlap"]
    problem: str | None
    command: list[str]
    results: Path

    @property
    def name(self) -> str:
        return self.kind if self.problem is None else f"{self.kind} of {self.problem}"


def check(settings: Settings, folder: Path, say: Callable[[str], object]) -> Record:
    """Run the parts and write ``gpu.json``, and what each part said, into the folder.

    Raises:
        ValueError: if the device is none of torch's kinds, or a CUDA one that torch does not find.
    """
    try:
        device = torch.device(settings.device)
    except RuntimeError as error:
        raise ValueError(f"device must be one of torch's, as cuda, cuda:1 or cpu, got {settings.device!r}") from error
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= found:
        raise ValueError(
            f"device must be one that is here, got {settings.device!r}, but torch {torch.__version__} for CUDA "
            f"{torch.version.cuda} finds {found} CUDA devices: run this where nvidia-smi lists the card and its driver "
            "knows that CUDA, or rehearse it with --device cpu"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        tasks = list(_tasks(settings, Path(scratch)))
        states = {task.name: Part(name=task.name) for task in tasks}
        head: dict[str, Any] = {"environment": environment(), "card": describe(device), "settings": asdict(settings)}
        deadline = time.monotonic() + settings.seconds
        record = Record(**head, parts=tuple(states.values()), targets=targets((), ()))
        record.write(folder / "gpu.json")
        for task in tasks:
            left = deadline - time.monotonic()
            if left <= 0:
                reason = f"all parts together have {settings.seconds:.0f} seconds, and those were over"
                states[task.name] = Part(name=task.name, reason=reason)
            else:
                say(f"{task.name} ...")
                limit = min(LIMITS[task.kind], left) if device.type == "cuda" else left
                states[task.name] = parts.run(task.name, task.command, limit, folder / f"{task.name}.log")
            record = Record(**head, parts=tuple(states.values()), **_results(tasks))
            record.write(folder / "gpu.json")
    return record


def _tasks(settings: Settings, scratch: Path) -> Iterator[_Task]:
    python, device = sys.executable, settings.device
    results = scratch / "tests.jsonl"
    chosen = "cuda" if torch.device(device).type == "cuda" else "not slow"
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", "-m", chosen, "-p", outcomes.__name__]
    yield _Task("tests", None, [*command, "--outcomes", str(results), *(settings.tests or marked_files())], results)
    for problem in settings.problems:
        output = scratch / f"times-{problem}"
        command = [python, "-m", "benchmarks", "performance", "--problems", problem, "--methods", *METHODS]
        command += ["--no-memory", "--device", device, "--output", str(output), "--batch", str(settings.batch)]
        command += ["--steps", str(settings.steps), "--rounds", str(settings.rounds)]
        yield _Task("times", problem, command, output / "results.json")
    for problem in settings.problems:
        file = scratch / f"overlap-{problem}.json"
        arguments = {"problem": problem, "device_name": device}
        numbers = {name: getattr(settings, name) for name in ("steps", "batch", "rounds")}
        module = "benchmarks.studies.gpu.overlap"
        yield _Task("overlap", problem, [python, "-m", module, str(file), json.dumps(arguments | numbers)], file)


def marked_files() -> list[str]:
    """The files of the library's tests in which the marker stands, by itself or among the devices."""
    files = sorted((ROOT / "tests" / "pgrad").rglob("test_*.py"))
    marked = [file for file in files if re.search(r"\bmark\.cuda\b|\bDEVICES\b", file.read_text(encoding="utf-8"))]
    return [file.relative_to(ROOT).as_posix() for file in marked]


def _results(tasks: list[_Task]) -> dict[str, Any]:
    """What there is by now; a file that is not there yet holds nothing."""
    tests: tuple[Outcome, ...] = ()
    rows: dict[str, list[dict[str, Any]]] = {"times": [], "passes": [], "overlaps": []}
    for task in tasks:
        if task.kind == "tests":
            tests = outcomes.read(task.results)
        elif task.results.exists():
            found = json.loads(task.results.read_text(encoding="utf-8"))
            if task.kind == "overlap":
                rows["overlaps"].append(found)
            else:
                rows["times"] += found["times"]
                rows["passes"] += found["passes"]
    times, passes, overlaps = (tuple(rows[name]) for name in ("times", "passes", "overlaps"))
    return {
        "tests": tests,
        "times": times,
        "passes": passes,
        "overlaps": overlaps,
        "targets": targets(times, passes),
    }
