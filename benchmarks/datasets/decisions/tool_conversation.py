"""A conversation as a game: which function to call next, or to stop; see `benchmarks.datasets.decisions.tool_calls`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.datasets.decisions.games import Game, Policy
from benchmarks.datasets.decisions.steps import View
from benchmarks.datasets.decisions.tool_wheel import Call, Task, Tools, answered, execute, is_error, same_state
from benchmarks.datasets.decisions.words import Weights, words

SHOWN = 16
SIZE = 32
"""Numbers of a text."""

GAIN = 4.0
"""Texts are vectors of this length, so that their numbers are of the order of one."""

MORE = 4
"""So many calls beyond those that are needed end a turn."""


@dataclass(frozen=True)
class Segment:
    """Turns of a conversation that are one episode.

    Attributes:
        task: The conversation.
        family: That serves them.
        turns: Their numbers, one after the other.
    """

    task: Task
    family: str
    turns: range

    @property
    def needed(self) -> list[str]:
        """Functions, each once, in their order."""
        return list(dict.fromkeys(call.name for turn in self.turns for call in self.task.truth[turn]))


def segments(tools: Tools) -> list[Segment]:
    """All of them; turns without a call, or with one that is not at hand, belong to none."""
    found = []
    for task in tools.tasks:
        families = [_family(tools, turn) for turn in task.truth]
        start = 0
        for turn in range(1, len(families) + 1):
            if turn == len(families) or families[turn] != families[start]:
                family = families[start]
                if family is not None:
                    found.append(Segment(task, family, range(start, turn)))
                start = turn
    return found


def _family(tools: Tools, calls: Sequence[Call]) -> str | None:
    """That of most of the calls, the first of equals; None where a call is of no family."""
    own = [tools.family(call.name) for call in calls]
    if not own or None in own:
        return None
    return max(dict.fromkeys(own), key=own.count)


@functools.lru_cache(maxsize=4)
def _weights(documentation: tuple[tuple[str, str], ...]) -> Weights:
    return Weights.of(f"{name} {text}" for name, text in documentation)


class Conversation:
    """One episode.

    Args:
        tools: Of the wheel.
        segment: The turns.
        rng: Draws the candidates and their order.
    """

    pending: list[Call]
    called: list[int]
    last: int | None
    failed: bool

    def __init__(self, tools: Tools, segment: Segment, rng: np.random.Generator) -> None:
        self.tools, self.segment = tools, segment
        self.weights = _weights(tuple(tools.documentation.items()))
        task = segment.task
        self.mine, self.truth = tools.begin(task), tools.begin(task)
        self.given: list[str] = []
        for turn in range(segment.turns.start):
            for call in task.truth[turn]:
                if tools.family(call.name) is not None:
                    self.given.append(execute(self.mine, tools.owner, call))
                    execute(self.truth, tools.owner, call)
        self.candidates = self._drawn(rng)
        self.vectors = np.stack([GAIN * self.weights.vector(self._said(name), SIZE) for name in self.candidates])
        self.turn = segment.turns.start
        self.valid: list[bool] = []
        self.lines: list[str] = []
        self.ever: set[int] = set()
        self._begin()

    @property
    def over(self) -> bool:
        """Whether the last turn has ended."""
        return self.turn == self.segment.turns.stop

    @property
    def stop(self) -> int:
        """The option that ends the turn."""
        return len(self.candidates)

    def view(self) -> View:
        """See the module."""
        message = self.segment.task.messages[self.turn]
        last = self.vectors[self.last] if self.last is not None else np.zeros(SIZE)
        covered = self.weights.overlap(message, " ".join(self._said(self.candidates[place]) for place in self.called))
        known = [
            len(self.called) / 4,
            (self.turn - self.segment.turns.start) / 4,
            float(self.failed),
            4 * covered,
            len(words(message)) / 32,
            sum(message.count(sign) for sign in ",.;!?") / 8,
        ]
        context = np.concatenate([known, GAIN * self.weights.vector(message, SIZE), last])
        options = np.zeros((self.stop + 1, SIZE + 6))
        for place, name in enumerate(self.candidates):
            options[place, :SIZE] = self.vectors[place]
            options[place, SIZE:] = (
                2 * self.weights.overlap(name, message),
                2 * self.weights.overlap(self._said(name), message),
                self.called.count(place),
                float(place in self.ever),
                float(self.last is not None and self._owner(place) == self._owner(self.last)),
                0.0,
            )
        options[self.stop, -1] = 1.0
        return View(context, options, np.ones(self.stop + 1, dtype=bool))

    def teacher(self) -> int:
        """The next call of the ground truth that is still to be made, or to stop."""
        return self.candidates.index(self.pending[0].name) if self.pending else self.stop

    def act(self, option: int) -> float:
        """Calls, or stops; the reward of a turn that ends is whether it is right."""
        if option == self.stop:
            return self._finish()
        name = self.candidates[option]
        wanted = next((call for call in self.pending if call.name == name), None)
        if wanted is not None:
            self.pending.remove(wanted)
        call = wanted or Call(name, (), {}, f"{name}()")
        result = execute(self.mine, self.tools.owner, call)
        self.given.append(result)
        self.last, self.failed = option, is_error(result)
        self.called.append(option)
        self.ever.add(option)
        self.lines.append(f"    {call.text} -> {result[:80]}")
        needed = len(self.segment.task.truth[self.turn])
        return self._finish() if len(self.called) == needed + MORE else 0.0

    def outcome(self) -> float:
        """Whether every turn was right."""
        return float(self.over and all(self.valid))

    def text(self) -> str:
        """The conversation so far."""
        return "\n".join(self.lines)

    def _begin(self) -> None:
        self.called, self.last, self.failed = [], None, False
        if not self.over:
            self.pending = list(self.segment.task.truth[self.turn])
            self.lines.append(f"user: {self.segment.task.messages[self.turn]}")

    def _finish(self) -> float:
        wanted = [execute(self.truth, self.tools.owner, call) for call in self.segment.task.truth[self.turn]]
        right = same_state(self.mine, self.truth) and answered(self.given, wanted)
        self.valid.append(right)
        self.lines.append(f"  stop: {'right' if right else 'wrong'}")
        self.turn += 1
        self._begin()
        return float(right)

    def _drawn(self, rng: np.random.Generator) -> list[str]:
        task, needed = self.segment.task, self.segment.needed
        others = [
            name
            for name, owner in self.tools.owner.items()
            if owner in self.mine and name not in task.excluded and name not in needed
        ]
        more = rng.permutation(len(others))[: max(SHOWN - len(needed), 0)]
        chosen = needed + [others[number] for number in more]
        return [chosen[number] for number in rng.permutation(len(chosen))]

    def _said(self, name: str) -> str:
        return f"{name} {self.tools.documentation[name]}"

    def _owner(self, place: int) -> str:
        return self.tools.owner[self.candidates[place]]


def corrupted(share: float) -> Policy:
    """The teacher with such a share of its choices corrupted."""

    def choose(game: Game, rng: np.random.Generator) -> int:
        own = game.teacher()
        if not isinstance(game, Conversation) or rng.random() >= share:
            return own
        kind = rng.integers(4)
        if kind == 0:
            return game.stop
        if kind == 1 and len(game.pending) > 1:
            return game.candidates.index(game.pending[-1].name)
        if kind == 2 and game.last is not None:
            return game.last
        return int(rng.integers(game.stop))

    return choose
