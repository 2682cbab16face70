"""Random search over hyper-parameters, or a grid of one of them.

A space maps each hyper-parameter's name to a distribution with a default. Point 0 is the defaults; every further point
draws each hyper-parameter from a seed made of the point and of *its own name*: adding a hyper-parameter leaves the
others where they were, and two algorithms that share a hyper-parameter try the same values of it. A `Grid` is the one
distribution that draws nothing: its values are the points, in their order.
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


@dataclass(frozen=True)
class Grid:
    """The values in their order, whatever the seed: point p of a search of as many points is ``values[p]``.

    More points begin again with the first value.
    """

    values: tuple[float, ...]

    @property
    def default(self) -> float:
        """The first one: it is that of point 0."""
        return self.values[0]


Distribution = LogUniform | Choice | Grid
Space = Mapping[str, Distribution]


def draw(space: Space, point: int, seed: int) -> dict[str, float]:
    """The hyper-parameters of one point of the search: the defaults for point 0, a random draw for the others."""
    return {name: _value(name, distribution, point, seed) for name, distribution in space.items()}


def _value(name: str, distribution: Distribution, point: int, seed: int) -> float:
    if isinstance(distribution, Grid):
        return distribution.values[point % len(distribution.values)]
    if point == 0:
        return distribution.default
    return distribution.draw(np.random.default_rng(seed_from("search", name, point, seed)))
