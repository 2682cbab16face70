"""Gram matrix and weighted sum alone, against copying as many bytes as they must move."""

from __future__ import annotations

import statistics
from typing import Any

import torch

from benchmarks.studies.performance.timing import make_clock
from pgrad._engine.trajectory import Trajectory


def time_passes(numbers: int, steps: int, device: torch.device, clock_name: str, rounds: int = 9) -> dict[str, Any]:
    """Medians over rounds of ending a roll-out (with its Gram matrix), of the sum, and of a copy of 2T+1 vectors."""
    clock = make_clock(clock_name, device)
    widths = [numbers // 2, numbers - numbers // 2]
    params = [torch.nn.Parameter(torch.randn(width, device=device)) for width in widths]
    trajectory = Trajectory()
    target, source = (torch.zeros(numbers, device=device) for _ in range(2))
    weights = torch.linspace(-1, 1, steps + 1, dtype=torch.float64)
    seconds: dict[str, list[float]] = {"record": [], "close": [], "sum": [], "copy": []}
    for _ in range(rounds + 1):
        for position in range(steps):
            start = clock()
            trajectory.record(params, position, steps)
            if position > 0:
                seconds["record"].append(clock() - start)
            with torch.no_grad():
                for p in params:
                    p.add_(1e-3)
        start = clock()
        trajectory.end(steps)
        seconds["close"].append(clock() - start)
        start = clock()
        trajectory.weighted_sum(weights)
        seconds["sum"].append(clock() - start)
        start = clock()
        target.copy_(source)
        seconds["copy"].append(clock() - start)
    median = {name: statistics.median(values[len(values) // (rounds + 1) :]) for name, values in seconds.items()}
    moved = 4 + 2 * steps + 1  # vectors read or written; a copy moves two
    return {
        "parameters": numbers,
        "steps": steps,
        "clock": clock_name,
        **{f"{name}_seconds": value for name, value in median.items()},
        "share_of_copy_bandwidth": moved / 2 * median["copy"] / (median["close"] + median["sum"]),
    }
