"""Displacements in host memory against displacements on the device: how much of the copying is hidden.

Two copies of a network walk the same roll-outs in turns, one with ``trajectory_device="cpu"``. Timed are the first T-1
inner steps, during which the displacements go to host memory, and the last one with the outer step, for which they come
back twice, for the Gram matrix and for the sum; beside them, the same number of bytes copied to host memory alone. The
hidden share of a round is 1 - (steps with host memory - steps without) / copies alone: 1 where nothing is seen of the
copies, 0 where every one is waited for. The copy that comes last has nothing but the end of its step to hide behind.

``python -m benchmarks.studies.gpu.overlap FILE '{"problem": ..., "steps": ..., ...}'`` writes the row.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

import pgrad
from benchmarks.studies.performance.problems import PROBLEMS, make_loss
from benchmarks.studies.performance.timing import Clock, make_clock

PLACES = {"device": None, "host": "cpu"}


class _Walker:
    """A network of its own, and a PGrad around Adam."""

    def __init__(self, problem: str, steps: int, batch: int | None, device: torch.device, place: str | None) -> None:
        torch.manual_seed(0)
        model = PROBLEMS[problem].make().to(device)
        self.loss = make_loss(PROBLEMS[problem], model, steps, batch)
        self.optimizer = pgrad.PGrad(model.parameters(), 1e-4, steps, outer_lr=0.1, trajectory_device=place)
        self.parameters = sum(p.numel() for p in model.parameters())

    def walk(self, steps: int) -> None:
        for _ in range(steps):
            self.optimizer.zero_grad()
            self.loss().backward()
            self.optimizer.step()

    def rows(self) -> int:
        """How many displacements are stored now."""
        return min(len(entry["pgrad"]["displacements"]) for entry in self.optimizer.state_dict()["state"].values())


def measure(problem: str, steps: int, batch: int | None, device_name: str, rounds: int) -> dict[str, Any]:
    """A row: seconds of every round, and the quartiles of what is made of them.

    Raises:
        ValueError: if there are fewer than three steps, so that no displacement goes before the last.
    """
    if steps < 3:
        raise ValueError(f"steps must be at least 3, so that a displacement is copied before the last one; got {steps}")
    device = torch.device(device_name)
    clock = make_clock("wall", device)
    walkers = {name: _Walker(problem, steps, batch, device, place) for name, place in PLACES.items()}
    for walker in walkers.values():
        walker.walk(2 * steps - 1)
    rows = walkers["host"].rows()
    for walker in walkers.values():
        walker.walk(1)
    seconds: dict[str, list[float]] = {f"{part}_{name}": [] for part in ("steps", "last") for name in PLACES}
    for turn in range(rounds):
        for name in list(PLACES)[:: 1 if turn % 2 else -1]:
            start = clock()
            walkers[name].walk(steps - 1)
            middle = clock()
            walkers[name].walk(1)
            end = clock()
            seconds[f"steps_{name}"].append(middle - start)
            seconds[f"last_{name}"].append(end - middle)
    numbers = walkers["host"].parameters
    copies = seconds["copies"] = _copy(numbers, rows, device, clock, rounds)
    alone, hosted = (list(zip(seconds[f"steps_{n}"], seconds[f"last_{n}"], strict=True)) for n in PLACES)
    return {
        "problem": problem,
        "device": device_name,
        "parameters": numbers,
        "steps": steps,
        "batch": batch or PROBLEMS[problem].batch,
        "rows": rows,
        "rounds": seconds,
        "seconds": {name: quartiles(values) for name, values in seconds.items()},
        "ratio": quartiles(sum(b) / sum(a) for a, b in zip(alone, hosted, strict=True)),
        "hidden_share": quartiles(1 - (b[0] - a[0]) / c for a, b, c in zip(alone, hosted, copies, strict=True)),
        "copy_bytes_per_second": 4 * numbers * rows / statistics.median(copies),
    }


def quartiles(values: Iterable[float]) -> list[float]:
    """Lower, middle, upper."""
    found = list(values)
    return statistics.quantiles(found, n=4, method="inclusive") if len(found) > 1 else found * 3


def _copy(numbers: int, rows: int, device: torch.device, clock: Clock, rounds: int) -> list[float]:
    source = torch.ones(numbers, device=device)
    target = torch.empty(numbers, pin_memory=device.type == "cuda")
    seconds = []
    for _ in range(rounds + 1):
        start = clock()
        for _ in range(rows):
            target.copy_(source, non_blocking=True)
        seconds.append(clock() - start)
    return seconds[1:]


def main(file: str, arguments: str) -> None:
    """Measure, and write the row in one step."""
    partial = Path(file).with_suffix(".partial")
    partial.write_text(json.dumps(measure(**json.loads(arguments)), indent=1) + "\n", encoding="utf-8")
    partial.replace(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
