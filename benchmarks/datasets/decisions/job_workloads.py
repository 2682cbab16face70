"""Jobs of four workloads for a cluster of 64 processors.

``batch`` and ``interactive`` have the sizes and run times of Lublin and Feitelson (2003), "The workload on parallel
supercomputers: modeling the characteristics of rigid jobs": a serial job with probability p_1, else 2^u processors with
u from a two-stage uniform distribution, rounded to a whole u with probability p_2; a run time exp(x) seconds with x
from a hyper-gamma distribution whose mixing probability falls with the size. Jobs arrive through the day as their
daily cycle says: the number in half an hour follows a gamma distribution over the half-hours of a day that begins in
the morning.
How many jobs there are is ours: as many as keep the cluster busy.

``bursty`` has campaigns: a few moments at which many like jobs come at once. ``heavy-tail`` has small jobs whose run
times have a Pareto distribution. Both are made up.

Times are in steps of ten minutes. A user asks for more time than a job runs, and loses interest when it waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import gammainc

PROCESSORS = 64
STEP = 600.0
"""Seconds."""

HORIZON = 96
"""Steps during which jobs arrive."""

LONGEST = 48
"""Steps that a job runs at most."""

LEAST, SPREAD = 36, 72
"""A user's patience is `LEAST` steps, three times the run time, and up to `SPREAD` more."""

DAY, HOUR = 144, 6
"""Steps."""


@dataclass(frozen=True)
class Job:
    """One job; times in steps.

    Attributes:
        arrival: When it is submitted.
        processors: That it needs.
        runtime: How long it runs, which nobody knows before.
        requested: How long the user says it may run.
        patience: After so long a wait it is worth nothing.
    """

    arrival: int
    processors: int
    runtime: int
    requested: int
    patience: int

    @property
    def work(self) -> int:
        """Processors times steps: what it is worth without a wait."""
        return self.processors * self.runtime


@dataclass(frozen=True)
class Model:
    """Constants of Lublin and Feitelson's model, for this size of a cluster.

    Attributes:
        serial: Probability of one processor.
        power: Probability of a power of two.
        low, middle, high, first: Of the two-stage uniform distribution of the logarithm of the size.
        gammas: Shape and scale of the two gamma distributions of the logarithm of the run time.
        mixing: Slope and offset of the probability of the first of them, over the size.
        cycle: Shape and scale of the daily cycle, in half-hours.
    """

    serial: float
    power: float
    low: float
    middle: float
    high: float
    first: float
    gammas: tuple[tuple[float, float], tuple[float, float]]
    mixing: tuple[float, float]
    cycle: tuple[float, float]


BATCH = Model(
    *(0.2927, 0.6686, 1.2, 4.0, 6.0, 0.875),  # the largest job has the whole cluster, and middle is 2 below high
    gammas=((6.57, 0.823), (639.1, 0.0156)),
    mixing=(-0.003, 0.6986),
    cycle=(6.1271, 5.2740),
)
INTERACTIVE = Model(
    *(0.1541, 0.625, 1.0, 3.0, 5.5, 0.705),
    gammas=((3.8351, 0.6605), (7.073, 0.6856)),
    mixing=(-0.0118, 0.9156),
    cycle=(8.9186, 3.6680),
)
MORNING = 11
"""The half-hour at which the day of the cycle begins; those before it belong to the day before."""


def size(model: Model, rng: np.random.Generator) -> int:
    """Processors of a job."""
    kind = rng.random()
    if kind <= model.serial:
        return 1
    below = rng.random() <= model.first
    exponent = rng.uniform(model.low, model.middle) if below else rng.uniform(model.middle, model.high)
    if kind <= model.serial + model.power:
        exponent = round(exponent)
    return min(int(2**exponent + 0.5), PROCESSORS)


def runtime(model: Model, processors: int, rng: np.random.Generator) -> int:
    """Steps that a job runs."""
    slope, offset = model.mixing
    first, second = model.gammas
    chosen = first if rng.random() < min(max(slope * processors + offset, 0.0), 1.0) else second
    return steps(float(np.exp(rng.gamma(*chosen))))


def steps(seconds: float) -> int:
    """Of so many seconds, at least one and at most `LONGEST`."""
    return int(min(max(np.ceil(seconds / STEP), 1), LONGEST))


def arrivals(model: Model, number: int, start: int, rng: np.random.Generator) -> list[int]:
    """Steps at which jobs arrive, `start` steps after midnight being step 0."""
    edges = (np.arange(HORIZON + 1) + start) % DAY / 3.0  # in half-hours of the day
    edges = (edges - MORNING) % 48.0 + MORNING
    shares = gammainc(model.cycle[0], (edges[:-1] + 1 / 3) / model.cycle[1])
    shares = np.maximum(shares - gammainc(model.cycle[0], edges[:-1] / model.cycle[1]), 1e-4)
    return sorted(rng.choice(HORIZON, size=number, p=shares / shares.sum()).tolist())


def _job(arrival: int, processors: int, running: int, rng: np.random.Generator) -> Job:
    requested = min(int(np.ceil(running * rng.choice([1.0, 1.5, 2.0, 3.0]))), 2 * LONGEST)
    return submitted(arrival, processors, running, requested, rng)


def submitted(arrival: int, processors: int, running: int, requested: int, rng: np.random.Generator) -> Job:
    """A job with the patience of its user drawn."""
    return Job(arrival, processors, running, requested, patience=int(LEAST + 3 * running + rng.integers(0, SPREAD + 1)))


Workload = Callable[[int, np.random.Generator], "list[Job]"]
"""``workload(start, rng)``: the jobs of one episode, in the order of their arrival; `start` is the time of the day."""


def _modelled(model: Model, number: int) -> Workload:
    def make(start: int, rng: np.random.Generator) -> list[Job]:
        found = []
        for arrival in arrivals(model, number, start, rng):
            processors = size(model, rng)
            found.append(_job(arrival, processors, runtime(model, processors, rng), rng))
        return found

    return make


def _bursty(start: int, rng: np.random.Generator) -> list[Job]:  # noqa: ARG001  bursts come at any time of the day
    found = []
    for _ in range(5):
        moment, processors = int(rng.integers(0, HORIZON)), int(2 ** rng.integers(1, 5))
        running = int(rng.integers(3, 13))
        for _ in range(9):
            length = max(1, running + int(rng.integers(-2, 3)))
            found.append(_job(moment, processors, length, rng))
    return sorted(found, key=lambda job: job.arrival)


def _heavy_tail(start: int, rng: np.random.Generator) -> list[Job]:  # noqa: ARG001  neither do these
    found = []
    for arrival in sorted(rng.integers(0, HORIZON, size=60).tolist()):
        processors = int(rng.choice([1, 2, 4, 8, 16], p=[0.2, 0.2, 0.25, 0.2, 0.15]))
        found.append(_job(arrival, processors, steps(STEP * float(1.0 + rng.pareto(0.9))), rng))
    return found


WORKLOADS: Mapping[str, Workload] = {
    "batch": _modelled(BATCH, 30),
    "interactive": _modelled(INTERACTIVE, 70),
    "bursty": _bursty,
    "heavy-tail": _heavy_tail,
}
"""By name."""
