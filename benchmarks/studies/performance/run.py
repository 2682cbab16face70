"""One problem with all methods: times, memory and limits as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import psutil
import torch

from benchmarks.studies.performance.limits import measure, products, vectors_moved
from benchmarks.studies.performance.methods import METHODS, RunRollout
from benchmarks.studies.performance.problems import PROBLEMS, make_loss
from benchmarks.studies.performance.timing import make_clock, take_turns

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Case:
    """A method on a problem; ``options`` are PGrad's, and ``fused`` for the Adam inside all of them."""

    problem: str
    method: str
    steps: int = 9
    device_name: str = "cpu"
    batch: int | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return torch.device(self.device_name)

    @property
    def name(self) -> str:
        """Method and options."""
        return " ".join([self.method, *(f"{key}={value}" for key, value in self.options.items() if key != "fused")])

    def as_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Case:
        """The same task."""
        return cls(**values)

    def prepare(self) -> RunRollout:
        """A model of its own, and the function for one roll-out."""
        problem = PROBLEMS[self.problem]
        torch.manual_seed(0)
        model = problem.make().to(self.device)
        loss = make_loss(problem, model, self.steps, self.batch)
        options = dict(self.options)
        if "trajectory_dtype" in options:
            options["trajectory_dtype"] = DTYPES[options["trajectory_dtype"]]
        return METHODS[self.method](model, loss, self.steps, options)


def cases_of(problem: str, methods: Sequence[str], variants: Sequence[dict[str, Any]], base: Case) -> list[Case]:
    """The methods on a problem, the base line first, and PGrad once more with each variant of its options."""
    task = replace(base, problem=problem, steps=PROBLEMS[problem].steps or base.steps)
    wanted = [m for m in methods if m != "inner" and (m != "dense" or PROBLEMS[problem].dense)]
    tasks = [replace(task, method=method) for method in ("inner", *wanted)]
    tasks += [replace(task, method="pgrad", options={**base.options, **variant}) for variant in variants]
    return tasks


def bytes_needed(problem: str, methods: int, steps: int) -> float:
    """What it takes to keep that many methods with their points at once, float32, with room for temporaries."""
    return 4 * PROBLEMS[problem].parameters * (methods * 6 + steps + 2)


def time_all(tasks: Sequence[Case], clock_name: str, rounds: int) -> Iterator[dict[str, Any]]:
    """A row for every task."""
    first = tasks[0]
    needed = bytes_needed(first.problem, len(tasks), first.steps)
    free = _free(first.device)
    if needed > free:
        reason = f"needs about {needed / 1e9:.0f} GB, {free / 1e9:.0f} GB are free"
        yield from ({"task": task.as_json(), "name": task.name, "skipped": reason} for task in tasks)
        return
    clock = make_clock(clock_name, first.device)
    timings = take_turns({task.name: task.prepare() for task in tasks}, clock, rounds)
    rates = measure(first.device, clock)
    base = timings[first.name].median
    model = PROBLEMS[first.problem].make()
    numbers = sum(p.numel() for p in model.parameters())
    tensors = len(list(model.parameters()))
    samples = first.steps * (first.batch or PROBLEMS[first.problem].batch)
    for task in tasks:
        timing = timings[task.name]
        row = {
            "task": task.as_json(),
            "name": task.name,
            "clock": clock_name,
            "parameters": numbers,
            "tensors": tensors,
            "ratio": timing.ratio,
            "ratio_quartiles": [timing.lower, timing.upper],
            "seconds_per_update": timing.median,
            "seconds_per_sample": timing.median / samples,
            "seconds_added_per_step": (timing.ratio - 1) * base / first.steps,
            "rounds": timing.seconds,
        }
        if task.method == "pgrad":
            moved, flops = 4 * numbers * vectors_moved(task.steps), numbers * products(task.steps)
            least = rates.seconds(moved, flops)
            row |= {
                "bytes_moved": moved,
                "flops": flops,
                "copy_bytes_per_second": rates.bytes_per_second,
                "flops_per_second": rates.flops_per_second,
                "limit_seconds": least,
                "limit_ratio": 1 + least / base,
                "share_of_limit": least / ((timing.ratio - 1) * base) if timing.ratio > 1 else None,
            }
        yield row


def _free(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return float(psutil.virtual_memory().available)
