"""What the machine allows: bytes and products of a roll-out over the rates measured here and now."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.studies.performance.timing import Clock


@dataclass(frozen=True)
class Rates:
    """Bytes per second read and written by a copy, and floating-point operations per second, both in float32."""

    bytes_per_second: float
    flops_per_second: float

    def seconds(self, moved: float, flops: float) -> float:
        """The least time for both, one beside the other."""
        return max(moved / self.bytes_per_second, flops / self.flops_per_second)


def vectors_moved(steps: int) -> int:
    """Vectors of the size of the model that PGrad with SGD outside reads or writes beyond the inner steps."""
    record, close, gram, weighted, outer = 2 + 3 * (steps - 1), 4, steps, steps + 1, 3
    return record + close + gram + weighted + outer


def products(steps: int) -> int:
    """Floating-point operations per parameter: half of the Gram matrix, and the weighted sum."""
    return steps * (steps + 1) + 2 * steps


def measure(device: torch.device, clock: Clock, numbers: int = 1 << 24) -> Rates:
    """Copy a vector too large for the caches, and multiply two matrices."""
    source, target = torch.ones(numbers, device=device), torch.empty(numbers, device=device)
    matrix = torch.ones(1024, 1024, device=device)
    copy = _median(lambda: target.copy_(source), clock)
    product = _median(lambda: matrix @ matrix, clock)
    return Rates(8 * numbers / copy, 2 * 1024**3 / product)


def _median(action: Callable[[], object], clock: Clock, rounds: int = 15) -> float:
    action()
    times = []
    for _ in range(rounds):
        start = clock()
        action()
        times.append(clock() - start)
    return statistics.median(times)
