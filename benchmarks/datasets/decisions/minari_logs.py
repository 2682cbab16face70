"""``decisions:PATH`` where Minari's data sets are: a domain is one of them, so that there must be two at least.

PATH is a folder of data sets as Minari keeps them, at any depth: each is a folder ``data`` with ``metadata.json`` in
it, and its domain is called by what stands between PATH and ``data``. Actions must be discrete and the same in all of
them: they are the options, all legal at every step. Observations are flattened as gymnasium does it and must come to
one length in all. There is no teacher: agreement is with what was done. Every episode is a group of its own.

``limit`` takes the first so many episodes of each data set; the other options are those of logs in one file.

Minari is an extra of its own: ``pip install 'pgrad[minari]'``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.datasets.base import DatasetEntry
from benchmarks.datasets.decisions.logged import OPTIONS, logged_entry
from benchmarks.datasets.decisions.steps import Episode, Step, View
from benchmarks.datasets.named import checked_domains, parse, positive

METADATA = "data/metadata.json"


def of_minari(path: Path) -> bool:
    """Whether a path leads to a folder with data sets of Minari."""
    return path.is_dir() and next(path.rglob(METADATA), None) is not None


def installed() -> bool:
    """Whether minari is there."""
    import importlib.util

    return importlib.util.find_spec("minari") is not None


def entry(rest: str) -> DatasetEntry:
    """The data set that stands after ``decisions:``.

    Raises:
        ValueError: If minari is not installed, or a data set cannot be used; names it.
    """
    path, options = parse("decisions", rest, (*OPTIONS, "limit"))
    most = positive(options, "limit", 10**9)
    found = {_name(path, file.parents[1]): file.parent for file in sorted(path.rglob(METADATA))}
    names = checked_domains(list(found), f"{path}, in which every data set of Minari is a domain,")
    digest = hashlib.sha256(rest.partition("?")[2].encode())
    for name, folder in found.items():
        digest.update(name.encode())
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    episodes = list(_episodes(found, most))
    options.pop("limit", None)
    return logged_entry(path, options, episodes, names, digest.hexdigest()[:16], "a data set of Minari")


def _name(path: Path, folder: Path) -> str:
    return path.name if folder == path else folder.relative_to(path).as_posix()


def _episodes(found: dict[str, Path], most: int) -> Iterator[Episode]:
    try:
        import minari
        from gymnasium import spaces
    except ImportError as error:
        raise ValueError(
            f"data sets of Minari need minari, which is missing ({error}); pip install 'pgrad[minari]' installs it"
        ) from error
    first: tuple[str, int, int] | None = None
    for name, folder in found.items():
        try:
            data = minari.MinariDataset(folder)
            actions, seen = data.action_space, data.observation_space
            length = int(np.prod(spaces.flatten_space(seen).shape or ()))
        except Exception as error:  # Minari checks no description: a broken one raises whatever its reading comes to
            raise ValueError(f"{name}: {type(error).__name__}: {error}") from error
        number = _options(name, actions, spaces)
        first = first or (name, number, length)
        if (number, length) != first[1:]:
            raise ValueError(
                f"{name} has {number} actions and observations of {length} numbers, {first[0]} has {first[1]} and "
                f"{first[2]}; they must be the same in all data sets of the folder"
            )
        for played in _read(name, data, most):
            yield _episode(name, played, actions, seen, number, spaces)


def _options(name: str, actions: Any, spaces: Any) -> int:
    if not isinstance(actions, spaces.Discrete):
        raise ValueError(f"actions of {name} must be discrete, got {actions}; choices among options is what is learned")
    return int(actions.n)


def _read(name: str, data: Any, most: int) -> Iterator[Any]:
    """Minari reads a file only when it is asked for an episode."""
    episodes = data.iterate_episodes(data.episode_indices[:most])
    while True:
        try:
            played = next(episodes)
        except StopIteration:
            return
        except (OSError, KeyError, ValueError, IndexError) as error:
            raise ValueError(f"{name} cannot be read: {type(error).__name__}: {error}") from error
        yield played


def _episode(name: str, played: Any, actions: Any, seen: Any, number: int, spaces: Any) -> Episode:
    rewards = np.asarray(played.rewards, dtype=np.float64)
    done = np.asarray(played.actions).astype(np.int64).reshape(-1) - int(actions.start)
    shown = np.stack([spaces.flatten(seen, _at(played.observations, t)) for t in range(len(rewards))])
    if not np.isfinite(rewards).all() or not np.isfinite(shown).all():
        raise ValueError(f"{name}, episode {played.id}: rewards and observations must be finite numbers")
    every = np.ones(number, dtype=bool)
    views = [View(np.asarray(row, dtype=np.float64).reshape(-1), np.zeros((number, 0)), every) for row in shown]
    steps = [
        Step(view, int(choice), int(choice), float(reward))
        for view, choice, reward in zip(views, done, rewards, strict=True)
    ]
    return Episode(name, str(played.id), steps)


def _at(observations: Any, t: int) -> Any:
    """One observation out of what holds them all: dictionaries and tuples of arrays."""
    if isinstance(observations, dict):
        return {key: _at(value, t) for key, value in observations.items()}
    if isinstance(observations, tuple):
        return tuple(_at(value, t) for value in observations)
    return observations[t]
