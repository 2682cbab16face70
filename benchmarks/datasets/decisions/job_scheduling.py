"""``job-scheduling``: jobs on a cluster with green power; a domain is a workload, and the sites are mixed inside.

``job-scheduling-sites`` is the negative control: the same kind of episodes with a site as the domain. `job_cluster`
says what is decided, `job_workloads` and `job_power` what it is made from. The option ``log`` says who made the log, in
turns:

- ``mixed``: at random, the shortest job first, green power first;
- ``poor``: at random;
- ``good``: the teacher, with one choice of ten at random.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.base.seeds import seed_from
from benchmarks.datasets.cache import Built, track
from benchmarks.datasets.decisions.drawing import Picture
from benchmarks.datasets.decisions.games import Game, Policy, as_teacher, at_random, log, noisy
from benchmarks.datasets.decisions.job_cluster import END, Cluster, green_first, shortest_first
from benchmarks.datasets.decisions.job_power import FILES, HOURS, WHEEL, Weather, green, read
from benchmarks.datasets.decisions.job_workloads import DAY, PROCESSORS, WORKLOADS, Workload
from benchmarks.datasets.decisions.packages import kept
from benchmarks.datasets.decisions.sets import DecisionSet, Play
from benchmarks.datasets.decisions.steps import Episode, windows

EPISODES = 60
"""Of each domain."""

MIXED = 12
"""A round of sites, or of workloads: a multiple of both numbers."""

LENGTH = 24
"""Steps of a window."""

LOGS: Mapping[str, tuple[Policy, ...]] = {
    "mixed": (at_random, shortest_first, green_first),
    "poor": (at_random,),
    "good": (noisy(0.1),),
}

Source = Callable[[], Weather]


@functools.cache
def fetched_weather() -> Weather:
    """From the wheel.

    Raises:
        FetchError: If it cannot be had.
    """
    return read(kept(WHEEL))


def cluster(
    weather: Weather, workload: str, site: str, *names: str | int, workloads: Mapping[str, Workload] = WORKLOADS
) -> Cluster:
    """One episode; `names` are those of its random numbers."""
    rng = np.random.default_rng(seed_from("job-scheduling", workload, site, *names))
    power = green(weather[site])
    steps = np.arange(DAY + END) / 6.0
    hour = int(rng.integers(0, len(power) - int(steps[-1]) - 1))
    found = np.interp(hour + steps, np.arange(len(power)), power)
    start = (hour * 6) % DAY  # a day later it is the same time
    jobs = workloads[workload](start, rng)
    return Cluster(jobs, np.floor(PROCESSORS * found + 1e-9).astype(np.int64), start)


def places(domain: str, seed: int) -> tuple[str, str]:
    """Workload and site of an episode, of which one is its domain."""
    if domain in WORKLOADS:
        return domain, list(FILES)[seed % len(FILES)]
    return list(WORKLOADS)[seed % len(WORKLOADS)], domain


def build(
    domains: tuple[str, ...], options: Mapping[str, str], weather: Source = fetched_weather, number: int = EPISODES
) -> Built:
    """Plays and logs so many episodes of each domain."""
    found, policies = weather(), LOGS[options["log"]]
    episodes = []
    for domain in domains:
        for seed in track(range(number), f"episodes of {domain}", number):
            game = cluster(found, *places(domain, seed), "log", seed)
            rng = np.random.default_rng(seed_from("job-scheduling log", domain, seed))
            # What is mixed inside a domain changes with every seed, the policy after a round of it.
            policy = policies[seed // MIXED % len(policies)]
            episodes.append(Episode(domain, str(seed), log(game, policy, rng)))
    data = windows(episodes, domains, LENGTH, discount=1.0, kind="int16")
    hours = len(next(iter(found.values())))
    return Built(data, {str(WHEEL): WHEEL.integrity, "weather": f"{', '.join(FILES)}, {hours} of {HOURS} hours"})


def play(options: Mapping[str, str], weather: Source = fetched_weather) -> Play:
    """Episodes that no log has."""
    policies = LOGS[options["log"]]

    def game(domain: str, seed: int) -> Game:
        return cluster(weather(), *places(domain, seed), "play", seed)

    return Play(game, logged(policies), outcome="value")


def logged(policies: tuple[Policy, ...]) -> Policy:
    """One of the policies for a whole episode, told by its jobs: policies hold no state."""

    def choose(game: Game, rng: np.random.Generator) -> int:
        jobs = game.jobs if isinstance(game, Cluster) else []
        return policies[sum(job.work for job in jobs) % len(policies)](game, rng)

    return choose


def page(
    domains: tuple[str, ...],
    options: Mapping[str, str],  # noqa: ARG001  the teacher is the same whoever made the log
    weather: Source = fetched_weather,
) -> dict[str, Picture]:
    """The teacher's schedule of one episode of each domain, as a chart."""
    found = weather()
    return {domain: schedule(cluster(found, *places(domain, 0), "log", 0)) for domain in domains}


def schedule(game: Cluster) -> Picture:
    """What the teacher does, to the end."""
    log(game, as_teacher, np.random.default_rng(0))
    return game.picture()


def _set(name: str, domains: tuple[str, ...], what: str, digest: str) -> DecisionSet:
    return DecisionSet(
        name=name,
        domains=domains,
        build=functools.partial(build, domains),
        description=f"which of 8 waiting jobs a cluster with green power starts next, or none; a domain is {what}",
        licence="BSD-3-Clause (pvlib); the weather is of the U.S. government",
        source="own simulator; sizes and run times of Lublin and Feitelson (2003); weather in the wheel of pvlib",
        options={"log": tuple(LOGS)},
        play=play,
        page=functools.partial(page, domains),
        digest=digest,
    )


SCHEDULING = _set(
    "job-scheduling",
    tuple(WORKLOADS),
    "a workload, sites mixed inside",
    "e11eba1d25248b1b3f226be28641f319d7451ee3bcf1090747b0253491ab969c",
)
SITES = _set(
    "job-scheduling-sites",
    tuple(FILES),
    "a site, workloads mixed inside: the negative control",
    "e41638fc226bec79c921e3720483e2c2f284b2b46ba8faf44314624dc242a251",
)
