"""What is played: the interface of every simulator, policies for it, and their logs.

A `Game` is one task of one domain with one seed. Logs for training and episodes of a stored model come from the same
interface, so that a model sees while it plays exactly what it saw while it learned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np

from benchmarks.datasets.decisions.drawing import Picture
from benchmarks.datasets.decisions.steps import Step, View


class LostError(RuntimeError):
    """A teacher no longer knows what to do after what was done: it is not asked again in this game."""


class Game(Protocol):
    """One task."""

    @property
    def over(self) -> bool:
        """Whether nothing is left to decide."""

    def view(self) -> View:
        """What the player sees now, and nothing else."""

    def teacher(self) -> int:
        """The option that the teacher would take now; it may know more than the player.

        Raises:
            LostError: If it no longer knows.
        """

    def act(self, option: int) -> float:
        """Takes a legal option; returns the reward."""

    def outcome(self) -> float:
        """Of the whole, in 0..1: success, or the share of what could be gained."""

    def text(self) -> str:
        """How things stand now, for a person to read."""


@runtime_checkable
class Pictured(Protocol):
    """A game that can be drawn."""

    def picture(self) -> Picture:
        """How things stand now; of one size throughout an episode, but for a strip of text."""


Policy = Callable[[Game, np.random.Generator], int]
"""Chooses a legal option."""


def at_random(game: Game, rng: np.random.Generator) -> int:
    """Any legal option."""
    return int(rng.choice(np.flatnonzero(game.view().legal)))


def as_teacher(game: Game, rng: np.random.Generator) -> int:  # noqa: ARG001  it draws nothing
    """What the teacher does."""
    return game.teacher()


def noisy(share: float, policy: Policy = as_teacher) -> Policy:
    """A policy that takes any legal option in that share of its steps."""

    def choose(game: Game, rng: np.random.Generator) -> int:
        return at_random(game, rng) if rng.random() < share else policy(game, rng)

    return choose


def log(game: Game, policy: Policy, rng: np.random.Generator) -> list[Step]:
    """Plays to the end; the teacher says at every step what it would do."""
    steps = []
    while not game.over:
        view, teacher = game.view(), game.teacher()
        done = policy(game, rng)
        steps.append(Step(view, done, teacher, game.act(done)))
    return steps
