"""Random search over hyper-parameters.

A space maps each hyper-parameter's name to a distribution with a default. Point 0 is the defaults; every further point
draws each hyper-parameter from a seed made of the point and of *its own name*: adding a hyper-parameter leaves the
others where they were, and two algorithms that share a hyper-parameter try the same values of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.base.seeds import seed_from

HParams = Mapping[str, float]


@dataclass(frozen=True)
class LogUniform:
    """Uniform in the logarithm between ``low`` and ``high``."""

    default: float
    low: float
    high: float

    def draw(self, rng: np.random.Generator) -> float:
        """One value."""
        return float(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))


@dataclass(frozen=True)
class Choice:
    """One of ``values``, all equally likely."""

    default: float
    values: tuple[float, ...]

    def draw(self, rng: np.random.Generator) -> float:
        """One value."""
        return self.values[int(rng.integers(len(self.values)))]


Distribution = LogUniform | Choice
Space = Mapping[str, Distribution]


def draw(space: Space, point: int, seed: int) -> dict[str, float]:
    """The hyper-parameters of one point of the search: the defaults for point 0, a random draw for the others."""
    if point == 0:
        return {name: distribution.default for name, distribution in space.items()}
    return {
        name: distribution.draw(np.random.default_rng(seed_from("search", name, point, seed)))
        for name, distribution in space.items()
    }
