"""What fits into the time: from a few timed steps of each algorithm to the size of the search."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.algorithms.averaging import followed
from benchmarks.runs.config import RunConfig
from benchmarks.studies.choose.candidates import Outer, Space
from benchmarks.sweeps.launcher_config import LauncherConfig
from benchmarks.sweeps.timing import time_steps

SECONDS = 0.05
"""Of timed updates for each algorithm."""
TIMING = 0.05
"""Share of the time after which no other algorithm of a model is timed."""
OVERHEAD = 0.03
"""Seconds of a run besides its gradient evaluations: claiming, splitting, storing."""
SHARED = 0.2
"""Of its own seconds, what a run adds to another one whose training does for both: what it evaluates, and more."""
MARGIN = 0.8
"""Share of the time that may be planned for; the rest is for surprises."""


@dataclass(frozen=True)
class Speeds:
    """Seconds of a gradient evaluation, by model and algorithm; and why some cannot begin."""

    seconds: Mapping[tuple[int, str], float]
    failed: Mapping[tuple[int, str], str]

    def with_those(self, others: Speeds) -> Speeds:
        """Both together."""
        return Speeds({**self.seconds, **others.seconds}, {**self.failed, **others.failed})


def measured(
    space: Space, folder: Path, launcher: LauncherConfig, minutes: float, seconds: float = SECONDS, tuned: bool = False
) -> Speeds:
    """Times every algorithm with every model here; data and features are in `folder` then.

    Where a step takes long, no more than plain ERM may be timed: an algorithm without a speed counts as the slowest.

    Args:
        space: Of any size.
        folder: Of the output.
        launcher: Of the workers, whose device and threads are timed.
        minutes: Of the choice; timing a model takes `TIMING` of it, and what the algorithm takes with which it is over.
        seconds: For each algorithm.
        tuned: Whether those that are fine-tuned are timed, or the others: a step of theirs takes long.
    """
    found: dict[tuple[int, str], float] = {}
    failed: dict[tuple[int, str], str] = {}
    for model, sweep in enumerate(space.sweeps):
        if (model in space.kept) != tuned:
            own = sweep.model_copy(update={"launcher": launcher})
            timed = time_steps(own, seconds=seconds, folder=folder, budget=TIMING * 60 * minutes)
            found |= {(model, algorithm): speed for (_, algorithm), speed in timed.speeds.items()}
            failed |= {(model, algorithm): why for (_, algorithm), why in timed.failed.items()}
    return Speeds(found, failed)


@dataclass(frozen=True)
class Need:
    """What a search takes.

    Attributes:
        search: Seconds of one worker for all rungs, at most.
        after: The same for the choices without each domain, their refits and the last training.
    """

    search: float
    after: float

    def minutes(self, workers: int, start: float) -> float:
        """With so many workers, which take some seconds to start, and what must be kept in reserve."""
        both = self.search + self.after
        return min(both, both / workers + start) / MARGIN / 60

    def alone(self, workers: int, start: float) -> bool:
        """Whether one worker in the process of the command, which begins at once, is as fast as several."""
        both = self.search + self.after
        return both <= both / workers + start


def need(space: Space, speeds: Speeds) -> Need:
    """What a search takes if every outer set keeps others, and the longest ones: an upper end."""
    candidates, outers = space.candidates(), space.outers()
    askers = Counter(held_out for outer in outers for held_out in space.held_out(outer))

    def alone(held_out: Outer, rung: int) -> list[float]:
        """Seconds of a run of each candidate."""
        known: dict[tuple[int, str], float] = {}  # the same at all points
        for each in candidates:
            if (each.model, each.algorithm) not in known:
                run, domains = space.run(each, held_out, 0, rung), len(space.domains) + len(space.unseen)
                known[each.model, each.algorithm] = _seconds(run, each.model, speeds, domains)
        return [known[each.model, each.algorithm] for each in candidates]

    def costs(held_out: Outer, rung: int) -> list[float]:
        """The same, the longest first, where averages are seen in the training that they follow."""
        trainings: dict[tuple[int, str, int], list[float]] = {}
        for each, seconds in zip(candidates, alone(held_out, rung), strict=True):
            trainings.setdefault((each.model, followed(each.algorithm), each.point), []).append(seconds)
        found = []
        for own in trainings.values():
            longest = max(own)
            found += [longest, *(SHARED * (sum(own) - longest) / (len(own) - 1) for _ in own[1:])]
        return sorted(found, reverse=True)

    search, share = 0.0, 1.0
    for rung in space.rungs:
        first, own = rung == space.rungs.start, space.recipe.rungs[rung]
        number = len(candidates) if first else 1.0 + share * len(candidates)
        for held_out, many in askers.items():
            entering = math.ceil(min(len(candidates), number * many))
            search += len(space.seeds(rung)) * sum(costs(held_out, rung)[:entering])
        share /= own.factor
    of_all = alone(frozenset(space.domains[:1]), len(space.recipe.rungs) - 1)
    longest = max(of_all)
    pairs = 2 * space.size.seeds * len(space.domains)  # a training and its refit, of the choice and of plain ERM
    return Need(search, pairs * (longest + sum(of_all) / len(of_all)) + 2 * longest)


def _seconds(run: RunConfig, model: int, speeds: Speeds, n_domains: int) -> float:
    known = [seconds for place, seconds in speeds.seconds.items() if place[0] == model] or speeds.seconds.values()
    slow = max(known, default=0.0)
    return OVERHEAD + run.evaluations(n_domains) * speeds.seconds.get((model, run.algorithm), slow)


@dataclass(frozen=True)
class Fitting:
    """What fits.

    Attributes:
        space: With the largest size that fits; with the smallest one if none does.
        need: Of it.
        fits: Whether it does.
        whole: Minutes that all of the recipe would take; without fine-tuning where that was not timed.
        least: Minutes that the smallest search takes.
        workers: That are worth their start.
    """

    space: Space
    need: Need
    fits: bool
    whole: float
    least: float
    workers: int


def fitting(
    space: Space, speeds: Speeds, minutes: float, workers: int, start: float, size: int | None = None
) -> Fitting:
    """The largest search of the recipe that fits into the time.

    Args:
        space: Of any size.
        speeds: Here; sizes with fine-tuning count if there are some of it.
        minutes: There are.
        workers: That can be had.
        start: Seconds until processes of their own have imported everything.
        size: Number of the one that is wanted, whether it fits or not; None for the largest that does.
    """
    tuned = any(model not in space.kept for model, _ in speeds.seconds)
    spaces: Sequence[Space] = [replace(space, size=each) for each in space.sizes(tuned)]
    needs = [need(each, speeds) for each in spaces]
    minutes_of = [each.minutes(workers, start) for each in needs]
    number = max((i for i, each in enumerate(minutes_of) if each <= minutes), default=None) if size is None else size
    return Fitting(
        space=spaces[number or 0],
        need=needs[number or 0],
        fits=number is not None,
        whole=minutes_of[-1],
        least=minutes_of[0],
        workers=1 if needs[number or 0].alone(workers, start) else workers,
    )
