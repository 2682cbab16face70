"""Does ``performance``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console

from benchmarks.base.errors import require_known
from benchmarks.runs.environment import environment
from benchmarks.studies.performance import report
from benchmarks.studies.performance.memory import in_fresh_process
from benchmarks.studies.performance.methods import METHODS
from benchmarks.studies.performance.passes import time_passes
from benchmarks.studies.performance.problems import PROBLEMS
from benchmarks.studies.performance.run import Case, cases_of, time_all

QUICK = tuple(name for name, problem in PROBLEMS.items() if not problem.full)
_VARIANTS: tuple[dict[str, Any], ...] = ({"trajectory_dtype": "bfloat16"},)


def performance(
    *,
    output: Path,
    problems: tuple[str, ...],
    methods: tuple[str, ...],
    full: bool,
    steps: int,
    rounds: int,
    clock: Literal["wall", "cpu"],
    device: str | None,
    batch: int | None,
    fused: bool,
    variants: bool,
    memory: bool,
) -> None:
    """See `benchmarks.commands.words.performance`."""
    require_known("--problems", problems or PROBLEMS, PROBLEMS)
    require_known("--methods", methods or METHODS, METHODS)
    methods = methods or tuple(METHODS)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    console = Console(width=None if sys.stdout.isatty() else 140)
    names = problems or (tuple(PROBLEMS) if full else QUICK)
    base = Case("", "inner", steps, device, batch, {"fused": fused} if fused else {})
    added = list(_VARIANTS) if variants and "pgrad" in methods else []
    output.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "environment": {**environment(), "threads": torch.get_num_threads(), "device": _describe(device)},
        "times": [],
        "memory": [],
        "passes": [],
    }
    for name in names:
        tasks = cases_of(name, methods, added, replace(base, problem=name))
        console.print(f"{name}: {len(tasks)} methods, {rounds} rounds", style="dim")
        results["times"] += time_all(tasks, clock, rounds)
        if memory and PROBLEMS[name].parameters >= 1e6:
            results["memory"] += _memory(tasks)
        _write(output / "results.json", results)
    if "pgrad" in methods:
        sizes = sorted({int(PROBLEMS[name].parameters) for name in names if PROBLEMS[name].parameters < 2e8})
        results["passes"] = [time_passes(size, steps, torch.device(device), clock) for size in sizes]
        _write(output / "results.json", results)
    console.print(report.times(results["times"]))
    if memory:
        console.print(report.memories(results["memory"]))
    console.print(report.passes(results["passes"]))
    report.draw(results["times"], results["memory"], output / "overhead.png")
    console.print(f"Written to {output}: results.json, overhead.png")


def _memory(tasks: Sequence[Case]) -> list[dict[str, Any]]:
    """Rows with the peak of each method; a method that fails is a row too."""
    numbers = sum(p.numel() for p in PROBLEMS[tasks[0].problem].make().parameters())
    rows: list[dict[str, Any]] = []
    for task in tasks:
        row = {"task": task.as_json(), "name": task.name, "parameters": numbers}
        try:
            row["peak"] = in_fresh_process(task)
        except RuntimeError as error:
            row["skipped"] = str(error)
        else:
            above = row["peak"] - rows[0]["peak"] if rows else 0
            row |= {"above": above, "above_in_vectors": above / (4 * numbers)}
        rows.append(row)
        if "skipped" in rows[0]:
            break  # nothing to compare with
    return rows


def _describe(device: str) -> str:
    place = torch.device(device)
    return torch.cuda.get_device_name(place) if place.type == "cuda" else device


def _write(path: Path, results: dict[str, Any]) -> None:
    """In one step, so that a run that is killed leaves a whole file."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(results, indent=1) + "\n")
    draft.replace(path)
