"""How often a loop goes through the examples of each domain, and the warning where that is out of proportion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

__all__ = ["TOO_OFTEN", "UNEVEN", "inclusion", "out_of_proportion"]

TOO_OFTEN = 10  # passes through one domain in a loop that takes about one through the whole
UNEVEN = "domains are uneven: {found}. A model soon knows so few by heart. {remedy} `repeats` has all numbers"


def out_of_proportion(repeats: Mapping[int | str, float], sizes: Mapping[int | str, int], loop: str) -> str:
    """A sentence about the domain that a loop goes through most often; empty below `TOO_OFTEN` times."""
    worst, largest = max(repeats, key=repeats.__getitem__), max(sizes, key=sizes.__getitem__)
    if repeats[worst] < TOO_OFTEN:
        return ""
    others = sum(times >= TOO_OFTEN for times in repeats.values()) - 1
    more = f" (and {others} more {TOO_OFTEN} times or more)" if others else ""
    return (
        f"{loop} goes {repeats[worst]:.3g} times through domain {worst!r}, which has {sizes[worst]} examples{more}, "
        f"and {repeats[largest]:.3g} times through the largest, {largest!r} with {sizes[largest]}"
    )


def inclusion(weights: Sequence[int], n: int) -> list[float]:
    """Probabilities that each item is among `n` drawn one after the other without replacement, by weight.

    An item drawn so is one of the first n of independent exponential clocks with these rates. Taken at the time t when
    n are expected to have rung, item i is among them with probability 1 - exp(-weight_i t). That is the approximation
    of Rosén ("Asymptotic theory for successive sampling", 1972); it is exact for equal weights and for n = all.
    """
    if n >= len(weights):
        return [1.0] * len(weights)
    total, low, high = sum(weights), 0.0, 1.0

    def rung(time: float) -> list[float]:
        return [-math.expm1(-weight / total * time) for weight in weights]

    while sum(rung(high)) < n:
        high *= 2
    for _ in range(60):  # bisection, to the last bits
        middle = (low + high) / 2
        low, high = (middle, high) if sum(rung(middle)) < n else (low, middle)
    return rung(high)
