"""A cluster that is partly run on green power: which job starts next, or should all of them wait?

At a step of time there are the first `WINDOW` jobs of the queue to start, as long as processors are free, and the
option to wait, which ends the step. A job is worth its work (processors times steps), and less in proportion the longer
it waited, down to nothing at the end of its patience. Power beyond what is green costs `BROWN` for each processor and
step. The outcome is what was gained over the work of all jobs. Where nothing but waiting is possible, nothing is asked.

What the player sees: the time of the day, free processors, the queue, green power now, in the last six hours and at the
same hours of the day before, what is running by the times that users asked for, and the jobs in the window. What it
does not see: how long jobs really run, and the green power to come.

The *teacher* sees both. It compares each job that can start now with the best of its later starts in the next `AHEAD`
steps, given what runs already, and starts the one that gains most for its work where none later is better; else it
waits. It plans for one job at a time, so it is good and not the best.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets.decisions import job_chart
from benchmarks.datasets.decisions.drawing import Picture
from benchmarks.datasets.decisions.games import Game, Policy, at_random
from benchmarks.datasets.decisions.job_workloads import DAY, HORIZON, HOUR, LEAST, LONGEST, PROCESSORS, SPREAD, Job
from benchmarks.datasets.decisions.steps import View

WINDOW = 8
WAIT = WINDOW
BROWN = 0.9
AHEAD = 24
END = HORIZON + (LEAST + 3 * LONGEST + SPREAD) + LONGEST
"""After so many steps nothing waits or runs any more."""

Array = NDArray[Any]


@dataclass
class Running:
    """A job that runs: until when it really does, and until when its user said."""

    processors: int
    end: int
    said: int


class Cluster:
    """One episode.

    Args:
        jobs: In the order of their arrival.
        green: ``[DAY + END]`` processors that green power can run at each step; the first `DAY` of them are the day
            before.
        start: Steps after midnight.
    """

    def __init__(self, jobs: list[Job], green: Array, start: int) -> None:
        if len(green) < DAY + END:
            raise ValueError(f"green must have {DAY + END} steps, got {len(green)}")
        self.jobs, self.green, self.start = jobs, green, start
        self.time, self.next = 0, 0
        self.queue: list[Job] = []
        self.running: list[Running] = []
        self.gained, self.total = 0.0, float(sum(job.work for job in jobs))
        self.last = 0.0
        self.history: list[tuple[int, int]] = []
        self._arrive()
        self._skip()

    @property
    def over(self) -> bool:
        """Whether no job waits or is to come."""
        return not self.queue and self.next == len(self.jobs)

    @property
    def busy(self) -> int:
        """Processors."""
        return sum(each.processors for each in self.running)

    def view(self) -> View:
        """See the module."""
        free, now = PROCESSORS - self.busy, DAY + self.time
        angle = 2 * np.pi * ((self.start + self.time) % DAY) / DAY
        hours = np.arange(HOUR) * HOUR
        said = [sum(each.processors for each in self.running if each.said > self.time + at) for at in hours]
        context = np.concatenate(
            [
                [np.sin(angle), np.cos(angle), free / PROCESSORS, min(len(self.queue), 32) / 16, self.last],
                self.green[now - hours] / PROCESSORS,
                self.green[now - DAY + hours] / PROCESSORS,
                np.array(said) / PROCESSORS,
            ]
        )
        legal, options = np.zeros(WINDOW + 1, dtype=bool), np.zeros((WINDOW + 1, 6))
        spare = self.green[now] - self.busy
        for place, job in enumerate(self.queue[:WINDOW]):
            legal[place] = job.processors <= free
            options[place] = (
                job.processors / PROCESSORS,
                job.requested / LONGEST,
                self._share(job, self.time),
                max(min((spare - job.processors) / PROCESSORS, 1.0), -1.0),
                job.processors * job.requested / (PROCESSORS * LONGEST),
                0.0,
            )
        legal[WAIT] = True
        options[WAIT, 5] = 1.0
        return View(context, options, legal)

    def act(self, option: int) -> float:
        """Starts a job of the window, or waits; returns what was gained, over the work of all jobs."""
        before = self.gained
        if option == WAIT:
            self._tick()
        else:
            job = self.queue[option]
            if option >= WINDOW or job.processors > PROCESSORS - self.busy:
                raise ValueError(f"option {option} is not legal: {job.processors} processors are not free")
            self.queue.pop(option)
            self.running.append(Running(job.processors, self.time + job.runtime, self.time + job.requested))
            self.gained += job.work * self._share(job, self.time)
        self.last = float(option != WAIT)
        self._skip()
        return (self.gained - before) / self.total

    def outcome(self) -> float:
        """The share of the work of all jobs that was gained."""
        return self.gained / self.total

    def teacher(self) -> int:
        """See the module."""
        best, chosen = 0.0, WAIT
        free = PROCESSORS - self.busy
        for place, job in enumerate(self.queue[:WINDOW]):
            if job.processors <= free:
                gains = self._gains(job)
                if gains[0] >= gains[1:].max() and gains[0] / job.work > best:
                    best, chosen = gains[0] / job.work, place
        return chosen

    def text(self) -> str:
        """One line."""
        green, busy = int(self.green[DAY + self.time]), self.busy
        clock = (self.start + self.time) % DAY
        waiting = " ".join(f"{job.processors}x{job.requested}" for job in self.queue[:WINDOW])
        spare = max(min(green, PROCESSORS) - busy, 0)
        bar = "#" * (min(busy, green) // 2) + "!" * (max(busy - green, 0) // 2) + "." * (spare // 2)
        return f"{clock // HOUR:02d}:{clock % HOUR}0 green {green:3d} busy {busy:2d} {bar:34s} waiting: {waiting}"

    def picture(self) -> Picture:
        """See `benchmarks.datasets.decisions.job_chart`."""
        return job_chart.chart(self)

    def _gains(self, job: Job) -> Array:
        """``[AHEAD + 1]``: what the job gains if it starts so many steps from now, brown power paid."""
        steps = np.arange(AHEAD + 1 + job.runtime) + self.time
        busy = np.zeros(len(steps))
        for each in self.running:
            busy[: max(each.end - self.time, 0)] += each.processors
        room = self.green[DAY + np.minimum(steps, END - 1)] - busy
        extra = np.maximum(job.processors - np.maximum(room, 0), 0)  # of its own, beyond what is brown already
        paid = np.concatenate([[0.0], np.cumsum(extra)])
        starts = range(AHEAD + 1)
        cost = BROWN * (paid[job.runtime :][: AHEAD + 1] - paid[: AHEAD + 1])
        shares = np.array([self._share(job, self.time + start) for start in starts])
        gains: Array = job.work * shares - cost
        return gains

    @staticmethod
    def _share(job: Job, time: int) -> float:
        return max(1.0 - (time - job.arrival) / job.patience, 0.0)

    def _tick(self) -> None:
        """A step of time: power is paid, jobs end, lose their worth, arrive."""
        brown = max(self.busy - int(self.green[DAY + self.time]), 0)
        self.gained -= BROWN * brown
        self.history.append((self.busy, int(self.green[DAY + self.time])))
        self.time += 1
        self.running = [each for each in self.running if each.end > self.time]
        self.queue = [job for job in self.queue if self._share(job, self.time) > 0.0]
        self._arrive()

    def _arrive(self) -> None:
        while self.next < len(self.jobs) and self.jobs[self.next].arrival <= self.time:
            self.queue.append(self.jobs[self.next])
            self.next += 1

    def _skip(self) -> None:
        """Time passes until there is something to decide, or until all is done."""
        while (self.over and self.running) or not (self.over or self._can_start()):
            self._tick()

    def _can_start(self) -> bool:
        free = PROCESSORS - self.busy
        return any(job.processors <= free for job in self.queue[:WINDOW])


def shortest_first(game: Game, rng: np.random.Generator) -> int:  # noqa: ARG001  it draws nothing
    """The job with the least requested time that can start; it never waits."""
    view = game.view()
    return int(min(np.flatnonzero(view.legal[:WAIT]), key=lambda place: view.options[place, 1]))


def green_first(game: Game, rng: np.random.Generator) -> int:  # noqa: ARG001  neither does this
    """The job closest to the end of its patience, if green power is enough for it or half of its worth is gone."""
    view = game.view()
    places = sorted(np.flatnonzero(view.legal[:WAIT]), key=lambda place: view.options[place, 2])
    return int(next((at for at in places if view.options[at, 3] >= 0.0 or view.options[at, 2] < 0.5), WAIT))


POLICIES: dict[str, Policy] = {"random": at_random, "shortest first": shortest_first, "green first": green_first}
