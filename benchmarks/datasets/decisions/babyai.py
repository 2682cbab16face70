"""``babyai``: what to do next in a grid world, from a mission in words; a domain is a kind of mission.

A task is tried several times in a row, so that what was learned in one attempt can help in the next: all attempts stand
in the same window (of `LENGTH` steps; long ones go on in another). The option ``log`` says who made the log:

- ``mixed``: the bot with 60 %, 30 % and no actions at random;
- ``poor``: 60 % in all attempts;
- ``good``: 10 %.

and ``attempts`` how they stand: ``ordered`` by that share, ``shuffled``, or each ``alone`` in windows of its own.

The bot cannot go on after some random actions; such tasks are left out, and counted.

``babyai-pixels`` is the same with the view as a picture, and actions as words; it has fewer tasks, and windows of 24
steps, so that it stays small.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from benchmarks.base.seeds import seed_from
from benchmarks.datasets.cache import Built, track
from benchmarks.datasets.decisions.babyai_game import ATTEMPTS, LEVELS, Level, practising
from benchmarks.datasets.decisions.drawing import Picture, side_by_side
from benchmarks.datasets.decisions.games import Game, LostError
from benchmarks.datasets.decisions.sets import DecisionSet, Play
from benchmarks.datasets.decisions.steps import Episode, Step, windows

TASKS = 200
"""Of each domain, those that are left out among them."""

LENGTH = 48
"""Steps of a window."""

PIXEL_TASKS, PIXEL_LENGTH = 60, 24
SHOWN = 4

LOGS: Mapping[str, tuple[float, ...]] = {"mixed": (0.6, 0.3, 0.0), "poor": (0.6, 0.6, 0.6), "good": (0.1, 0.1, 0.1)}


def build(options: Mapping[str, str], tasks: int = TASKS, pixels: bool = False) -> Built:
    """Plays and logs.

    Raises:
        ImportError: If minigrid is not installed.
    """
    import importlib.metadata

    episodes: list[Episode] = []
    lost = dict.fromkeys(LEVELS, 0)
    for domain in LEVELS:
        for task in track(range(tasks), f"tasks of {domain}", tasks):
            try:
                episodes += practised(domain, task, options, pixels)
            except LostError:
                lost[domain] += 1
    length = PIXEL_LENGTH if pixels else LENGTH
    data = windows(episodes, tuple(LEVELS), length, discount=1.0, kind="uint8")
    left = ", ".join(f"{domain} {number}" for domain, number in lost.items())
    return Built(
        data, {"minigrid": importlib.metadata.version("minigrid"), f"left out of {tasks} tasks of each domain": left}
    )


def practised(domain: str, task: int, options: Mapping[str, str], pixels: bool = False) -> list[Episode]:
    """One task.

    Raises:
        LostError: If the bot cannot go on.
    """
    rng = np.random.default_rng(seed_from("babyai", domain, task))
    shares = LOGS[options["log"]]
    if options["attempts"] == "shuffled":
        shares = tuple(shares[number] for number in rng.permutation(len(shares)))
    game = Level(domain, seed_from("babyai task", domain, task), pixels=pixels)
    attempts: list[list[Step]] = [[] for _ in range(ATTEMPTS)]
    policy = practising(shares)
    while not game.over:
        view, teacher, attempt = game.view(), game.teacher(), game.attempt
        done = policy(game, rng)
        attempts[attempt].append(Step(view, done, teacher, game.act(done)))
    if options["attempts"] == "alone":
        return [Episode(domain, str(task), each) for each in attempts]
    ends = frozenset(np.cumsum([len(each) for each in attempts]) - 1)
    return [Episode(domain, str(task), [step for each in attempts for step in each], ends)]


def play(options: Mapping[str, str], pixels: bool = False) -> Play:
    """Tasks that no log has."""

    def game(domain: str, seed: int) -> Game:
        return Level(domain, seed_from("babyai play", domain, seed), pixels=pixels)

    return Play(game, practising(LOGS[options["log"]]))


def page(options: Mapping[str, str], pixels: bool = False) -> dict[str, Picture]:
    """The bot's first attempt in a level of each domain, in `SHOWN` pictures from the beginning on."""
    own, pages = play(options, pixels), {}
    for domain in LEVELS:
        game, pictures = own.game(domain, 0), []
        while isinstance(game, Level) and game.attempt == 0:
            pictures.append(game.picture())
            game.act(game.teacher())
        chosen = np.linspace(0, len(pictures) - 1, min(SHOWN, len(pictures))).round().astype(int)
        pages[domain] = side_by_side([pictures[number] for number in chosen])
    return pages


def _set(name: str, description: str, pixels: bool, model: str) -> DecisionSet:
    return DecisionSet(
        name=name,
        domains=tuple(LEVELS),
        build=functools.partial(build, tasks=PIXEL_TASKS if pixels else TASKS, pixels=pixels),
        description=f"{description}; a domain is a kind of mission",
        licence="MIT (minigrid)",
        source="levels and bot of BabyAI, in minigrid",
        options={"attempts": ("ordered", "shuffled", "alone"), "log": tuple(LOGS)},
        play=functools.partial(play, pixels=pixels),
        page=functools.partial(page, pixels=pixels),
        model=model,
    )


BABYAI = _set(
    "babyai", "which of 6 actions a player in a grid world takes next, in 3 attempts", pixels=False, model="decisions"
)
PIXELS = _set("babyai-pixels", "the same from a picture of what the player sees", pixels=True, model="decisions-pixels")
