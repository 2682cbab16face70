"""What fits into the time: from a few timed steps of each algorithm to the size of the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.runs.config import RunConfig
from benchmarks.studies.choose.candidates import Space
from benchmarks.sweeps.timing import time_steps

SECONDS = 0.05
"""Of timed updates for each algorithm."""
OVERHEAD = 0.03
"""Seconds of a run besides its gradient evaluations: claiming, splitting, storing."""
SEARCH = 0.75
"""Share of the time that the search may plan for; the rest is for refits, the last training and surprises."""


@dataclass(frozen=True)
class Speeds:
    """Seconds of a gradient evaluation, by model and algorithm; and why some cannot begin."""

    seconds: Mapping[tuple[int, str], float]
    failed: Mapping[tuple[int, str], str]


def measured(space: Space, seconds: float = SECONDS) -> Speeds:
    """Times every algorithm with every model here."""
    found: dict[tuple[int, str], float] = {}
    failed: dict[tuple[int, str], str] = {}
    for model, sweep in enumerate(space.sweeps):
        timed = time_steps(sweep, seconds=seconds)
        found |= {(model, algorithm): own for (_, algorithm), own in timed.speeds.items()}
        failed |= {(model, algorithm): why for (_, algorithm), why in timed.failed.items()}
    return Speeds(found, failed)


@dataclass(frozen=True)
class Need:
    """What a search takes.

    Attributes:
        runs: Of all rungs, at most.
        seconds: Of one worker.
    """

    runs: int
    seconds: float


def need(space: Space, speeds: Speeds) -> Need:
    """What the rungs of a search take if every outer set keeps others: an upper end."""
    runs, seconds = 0, 0.0
    candidates = space.candidates()
    share = 1.0
    outers = space.outers()
    sets = {held_out: 0 for outer in outers for held_out in space.held_out(outer)}
    for outer in outers:
        for held_out in space.held_out(outer):
            sets[held_out] += 1
    for rung, own in enumerate(space.recipe.rungs):
        number = max(1 + space.recipe.least, share * len(candidates)) if rung else len(candidates)
        for held_out, askers in sets.items():
            many = min(len(candidates), number * askers)
            times = many * len(space.seeds(rung))
            runs += round(times)
            average = sum(
                _seconds(space.run(each, held_out, 0, rung), each.model, speeds, len(space.domains))
                for each in candidates[: len(space.recipe.algorithms)]
            ) / min(len(candidates), len(space.recipe.algorithms))
            seconds += times * average
        share *= own.keep
    return Need(runs, seconds)


def _seconds(run: RunConfig, model: int, speeds: Speeds, n_domains: int) -> float:
    known = list(speeds.seconds.values())
    slow = max(known) if known else 0.0
    return OVERHEAD + run.evaluations(n_domains) * speeds.seconds.get((model, run.algorithm), slow)


@dataclass(frozen=True)
class Fitting:
    """What fits.

    Attributes:
        space: With the largest size that fits; with the smallest one if none does.
        need: Of it.
        fits: Whether it does.
        whole: Minutes that all of the recipe would take.
        least: Minutes that the smallest search takes.
    """

    space: Space
    need: Need
    fits: bool
    whole: float
    least: float


def fitting(space: Space, speeds: Speeds, minutes: float, workers: int) -> Fitting:
    """The largest search of the recipe that fits into the time."""
    spaces: Sequence[Space] = [replace(space, size=size) for size in space.recipe.sizes]
    needs = [need(each, speeds) for each in spaces]
    minutes_of = [each.seconds / workers / SEARCH / 60 for each in needs]
    number = max((i for i, each in enumerate(minutes_of) if each <= minutes), default=None)
    return Fitting(
        space=spaces[number or 0],
        need=needs[number or 0],
        fits=number is not None,
        whole=minutes_of[-1],
        least=minutes_of[0],
    )
