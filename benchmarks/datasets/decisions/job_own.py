"""``decisions:LOG.swf``, or a folder of such logs: jobs of real clusters on green power; a domain is a log.

Episodes are those of ``job-scheduling``, with jobs of `job_logs`. The four made workloads are domains too, so that one
log is enough; ``?workloads=none`` leaves them out. ``log`` says who schedules what is learned from, as there.
"""

from __future__ import annotations

import functools
import hashlib
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.base.seeds import seed_from
from benchmarks.datasets.base import DatasetEntry
from benchmarks.datasets.cache import Built, Recipe, track
from benchmarks.datasets.decisions.drawing import Picture
from benchmarks.datasets.decisions.games import Game, log
from benchmarks.datasets.decisions.job_cluster import Cluster
from benchmarks.datasets.decisions.job_logs import ENDINGS, JobLog, is_log, name_of, read
from benchmarks.datasets.decisions.job_power import FILES, WHEEL, Weather
from benchmarks.datasets.decisions.job_scheduling import (
    EPISODES,
    LENGTH,
    LOGS,
    MIXED,
    Source,
    cluster,
    fetched_weather,
    logged,
    schedule,
)
from benchmarks.datasets.decisions.job_workloads import WORKLOADS
from benchmarks.datasets.decisions.sets import LEARNING, DecisionSet, Play
from benchmarks.datasets.decisions.steps import Episode, windows
from benchmarks.datasets.named import checked_domains, parse

OPTIONS = (*LEARNING, "log", "workloads")
BESIDE = ("all", "none")


def of_jobs(path: Path) -> bool:
    """Whether a path leads to logs of jobs: to one, or to a folder that holds some."""
    return is_log(path) or (path.is_dir() and any(map(is_log, path.iterdir())))


def decision_set(rest: str, weather: Source = fetched_weather) -> tuple[DecisionSet, str]:
    """The set that stands after ``decisions:``, and the options of its name that are left for it.

    Raises:
        ValueError: If an option is not known, or there are no such logs or too few.
    """
    path, options = parse("decisions", rest, OPTIONS)
    beside = options.pop("workloads", "all")
    if beside not in BESIDE:
        raise ValueError(f"decisions:{rest}: workloads must be one of {', '.join(BESIDE)}; got {beside!r}")
    logs = _found(path)
    made = tuple(WORKLOADS) if beside == "all" else ()
    domains = checked_domains((*made, *logs), f"{path} with workloads={beside}")
    digest = hashlib.sha256()
    for name, file in logs.items():
        digest.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    read_once = functools.cache(lambda: {name: read(file) for name, file in logs.items()})
    own = DecisionSet(
        name=f"jobs-{digest.hexdigest()[:16]}-{beside}",
        domains=domains,
        build=lambda chosen: _build(domains, read_once(), chosen, weather),
        description="which of 8 waiting jobs a cluster with green power starts next, or none; a domain is a workload, "
        f"{', '.join(logs)} from {path.name}",
        licence="see where you have the logs from; BSD-3-Clause (pvlib); the weather is of the U.S. government",
        source=str(path),
        options={"log": tuple(LOGS)},
        play=lambda chosen: _play(read_once(), chosen, weather),
        page=lambda chosen: _page(domains, read_once(), weather),  # the teacher is the same whoever made the log
    )
    query = "&".join(f"{name}={urllib.parse.quote(value)}" for name, value in options.items())
    return own, query


def entry(rest: str, weather: Source = fetched_weather) -> DatasetEntry:
    """The line of the registry; logs that were never prepared are read at once, to refuse what is broken.

    Raises:
        ValueError: As `decision_set`, or if a log is broken: names the line.
    """
    own, query = decision_set(rest, weather)
    found = own.entry(query)
    recipe = found.factory
    if isinstance(recipe, Recipe) and not recipe.path.exists():
        for file in _found(parse("decisions", rest, OPTIONS)[0]).values():
            read(file)
    return found


def _found(path: Path) -> dict[str, Path]:
    """Logs by the names of their domains.

    Raises:
        ValueError: If there is none, or two have one name, or that of a made workload.
    """
    files = [path] if not path.is_dir() else sorted(filter(is_log, path.iterdir()))
    if not files or not all(file.is_file() for file in files):
        raise ValueError(f"decisions: there is no file {path}, or no file {' or '.join(ENDINGS)} in it")
    found: dict[str, Path] = {}
    for file in files:
        name = name_of(file)
        if name in found or name in WORKLOADS:
            other = found.get(name, "a made workload")
            raise ValueError(f"{file}: its domain would be called {name!r}, as {other}; rename the file")
        found[name] = file
    return found


def _game(weather: Weather, logs: Mapping[str, JobLog], domain: str, seed: int, use: str) -> tuple[Cluster, str]:
    """One episode, and its group: what shares jobs of a log is never parted."""
    site = list(FILES)[seed % len(FILES)]
    if domain in WORKLOADS:
        return cluster(weather, domain, site, use, seed), str(seed)
    own = logs[domain]
    blocks = own.for_play if use == "play" else own.for_logs
    block = blocks[seed // len(FILES) % len(blocks)]  # each with every site
    workloads = {domain: functools.partial(own.jobs, block)}
    return cluster(weather, domain, site, use, seed, workloads=workloads), f"block {block}"


def _build(domains: Sequence[str], logs: Mapping[str, JobLog], options: Mapping[str, str], weather: Source) -> Built:
    found, policies = weather(), LOGS[options["log"]]
    episodes = []
    for domain in domains:
        for seed in track(range(EPISODES), f"episodes of {domain}", EPISODES):
            game, group = _game(found, logs, domain, seed, "log")
            rng = np.random.default_rng(seed_from("job-scheduling log", domain, seed))
            policy = policies[seed // MIXED % len(policies)]
            episodes.append(Episode(domain, group, log(game, policy, rng)))
    data = windows(episodes, domains, LENGTH, discount=1.0, kind="int16")
    return Built(data, {str(WHEEL): WHEEL.integrity, **{name: own.facts for name, own in logs.items()}})


def _play(logs: Mapping[str, JobLog], options: Mapping[str, str], weather: Source) -> Play:
    def game(domain: str, seed: int) -> Game:
        return _game(weather(), logs, domain, seed, "play")[0]

    return Play(game, logged(LOGS[options["log"]]), outcome="value")


def _page(domains: Sequence[str], logs: Mapping[str, JobLog], weather: Source) -> dict[str, Picture]:
    found = weather()
    return {domain: schedule(_game(found, logs, domain, 0, "log")[0]) for domain in domains}
