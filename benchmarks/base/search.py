"""Random search over hyper-parameters, or a grid of one of them.

A space maps each hyper-parameter's name to a distribution with a default. Point 0 is the defaults; every further point
draws each hyper-parameter from a seed made of the point and of *its own name*: adding a hyper-parameter leaves the
others where they were, and two algorithms that share a hyper-parameter try the same values of it. A `Grid` is the one
distribution that draws nothing: its values are the points, in their order.

`draw` draws every point by itself, which leaves gaps in a range. `spread` is a Latin hypercube of `BLOCK` points and
then of as many more: each twelfth of every range has one point of a block, in an order of the hyper-parameter's own.
The default is the point of its twelfth.
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

    def at(self, share: float) -> float:
        """The value below which `share` of all draws lie."""
        return float(self.low * (self.high / self.low) ** share)

    def strata(self, number: int) -> list[int]:
        """In which of so many equal parts of the range the default lies; empty if it is outside."""
        if not self.low <= self.default <= self.high:
            return []
        share = math.log(self.default / self.low) / math.log(self.high / self.low)
        return [min(int(number * share), number - 1)]


@dataclass(frozen=True)
class Choice:
    """One of ``values``, all equally likely."""

    default: float
    values: tuple[float, ...]

    def draw(self, rng: np.random.Generator) -> float:
        """One value."""
        return self.values[int(rng.integers(len(self.values)))]

    def at(self, share: float) -> float:
        """The value in whose part of [0, 1) `share` lies."""
        return self.values[int(share * len(self.values))]

    def strata(self, number: int) -> list[int]:
        """Which of so many parts of [0, 1) have the default in their middle."""
        return [part for part in range(number) if self.at((part + 0.5) / number) == self.default]


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


BLOCK = 12
"""Points that cover every range evenly."""


def spread(space: Space, point: int, seed: int) -> dict[str, float]:
    """The hyper-parameters of one point of a search that covers every range evenly; the defaults for point 0.

    Example:
        >>> space = {"lr": LogUniform(default=1e-2, low=1e-4, high=1e-1)}
        >>> rates = sorted(spread(space, point, seed=0)["lr"] for point in range(BLOCK))
        >>> [
        ...     sum(1e-4 * 10 ** (part / 4) <= rate < 1e-4 * 10 ** ((part + 1) / 4) for rate in rates)
        ...     for part in range(12)
        ... ]
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    """
    return {name: _placed(name, distribution, point, seed) for name, distribution in space.items()}


def _placed(name: str, distribution: Distribution, point: int, seed: int) -> float:
    if isinstance(distribution, Grid) or point == 0:
        return _value(name, distribution, point, seed)
    block, place = divmod(point, BLOCK)
    order = np.random.default_rng(seed_from("spread", name, block, seed)).permutation(BLOCK).tolist()
    if block == 0 and (own := distribution.strata(BLOCK)):
        other = order.index(own[0])
        order[0], order[other] = order[other], order[0]
    inside = np.random.default_rng(seed_from("spread", name, "point", point, seed)).uniform()
    return distribution.at(float(order[place] + inside) / BLOCK)
