"""Methods that take turns in one process, and the quartiles of their ratios to the first."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

Clock = Callable[[], float]


def make_clock(kind: str, device: torch.device) -> Clock:
    """``wall`` waits for the accelerator; ``cpu`` counts the processor time of this process, on one thread."""
    if kind == "cpu":
        if device.type != "cpu":
            raise ValueError(f"clock must be 'wall' on {device.type}: processor time does not see an accelerator")
        torch.set_num_threads(1)
        return time.process_time
    if device.type == "cpu":
        return time.perf_counter

    def synchronized() -> float:
        torch.accelerator.synchronize(device)
        return time.perf_counter()

    return synchronized


@dataclass(frozen=True)
class Timing:
    """Seconds of every round, and the quartiles of their ratio to the base line of the same round."""

    seconds: list[float]
    ratio: float
    lower: float
    upper: float

    @property
    def median(self) -> float:
        """Seconds of a roll-out."""
        return statistics.median(self.seconds)


def take_turns(
    rollouts: Mapping[str, Callable[[], None]], clock: Clock, rounds: int, warmup: int = 2
) -> dict[str, Timing]:
    """Every roll-out once a round, in an order that rotates; the first name is the base line."""
    for _ in range(warmup):
        for rollout in rollouts.values():
            rollout()
    names = list(rollouts)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            start = clock()
            rollouts[name]()
            seconds[name].append(clock() - start)
    return {name: _compare(seconds[name], seconds[names[0]]) for name in names}


def _compare(own: list[float], base: list[float]) -> Timing:
    ratios = [a / b for a, b in zip(own, base, strict=True)]
    lower, middle, upper = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return Timing(own, middle, lower, upper)
