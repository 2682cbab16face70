"""Gram matrix and weighted sum alone, against copying as many bytes as they must move."""

from __future__ import annotations

import statistics
from typing import Any

import torch

from benchmarks.studies.performance.timing import make_clock
from pgrad._engine.trajectory import Trajectory


def time_passes(numbers: int, steps: int, device: torch.device, clock_name: str, rounds: int = 9) -> dict[str, Any]:
    """Medians over rounds of ending a roll-out (with its Gram matrix), of the sum, and of copying a vector.

    Shares are the time of copying as many bytes over the time taken, with their quartiles over the rounds. T+1 copies
    are timed together: one alone can be shorter than what starting and awaiting it takes.
    """
    clock = make_clock(clock_name, device)
    widths = [numbers // 2, numbers - numbers // 2]
    params = [torch.nn.Parameter(torch.randn(width, device=device)) for width in widths]
    trajectory = Trajectory()
    target, source = (torch.zeros(numbers, device=device) for _ in range(2))
    weights = torch.linspace(-1, 1, steps + 1, dtype=torch.float64)
    seconds: dict[str, list[float]] = {"record": [], "close": [], "sum": [], "copy": []}
    for _ in range(rounds + 1):
        for position in range(steps):
            trajectory.begin_step(params, position, steps)
            with torch.no_grad():
                for p in params:
                    p.add_(1e-3)
            start = clock()
            trajectory.end_step(position + 1, steps)
            if position + 1 < steps:
                seconds["record"].append(clock() - start)
        start = clock()
        trajectory.end(steps)
        seconds["close"].append(clock() - start)
        start = clock()
        trajectory.weighted_sum(weights)
        seconds["sum"].append(clock() - start)
        start = clock()
        for _ in range(steps + 1):
            target.copy_(source)
        seconds["copy"].append((clock() - start) / (steps + 1))
    kept = {name: values[len(values) // (rounds + 1) :] for name, values in seconds.items()}  # the first warms up
    median = {name: statistics.median(values) for name, values in kept.items()}
    close, weighted = 4 + steps, steps + 1  # vectors read or written; a copy moves two
    shares = {
        "share_of_copy_bandwidth": _shares(close + weighted, kept["copy"], kept["close"], kept["sum"]),
        "close_share": _shares(close, kept["copy"], kept["close"]),
        "sum_share": _shares(weighted, kept["copy"], kept["sum"]),
    }
    return {
        "parameters": numbers,
        "steps": steps,
        "clock": clock_name,
        **{f"{name}_seconds": value for name, value in median.items()},
        "rounds": kept,
        **{name: middle for name, (_, middle, _) in shares.items()},
        **{f"{name}_quartiles": [lower, upper] for name, (lower, _, upper) in shares.items()},
    }


def _shares(vectors: int, copies: list[float], *parts: list[float]) -> list[float]:
    found = [vectors / 2 * copy / sum(taken) for copy, *taken in zip(copies, *parts, strict=True)]
    return statistics.quantiles(found, n=4, method="inclusive") if len(found) > 1 else found * 3
