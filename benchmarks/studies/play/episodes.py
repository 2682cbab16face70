"""Episodes: of a model, many at once; of a policy, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.base.seeds import seed_from
from benchmarks.datasets.decisions.games import Game, LostError, Policy
from benchmarks.datasets.decisions.steps import View, tables
from benchmarks.studies.play.stored import Stored


@dataclass(frozen=True)
class Played:
    """What came of episodes.

    Attributes:
        outcomes: Of each, in 0..1.
        agreed: Steps at which the choice was the teacher's.
        asked: Steps at which the teacher had a choice.
        steps: Of all episodes.
    """

    outcomes: tuple[float, ...]
    agreed: int
    asked: int
    steps: int


def play_model(stored: Stored, domain: str, episodes: int) -> Played:
    """The model's best option at every step, on episodes 0, 1, ... of a domain."""
    games = [stored.play.game(domain, seed) for seed in range(episodes)]
    agreed = asked = steps = 0
    teachers = [True] * len(games)
    for alive, choices in _choices(stored, games):
        for number, choice in zip(alive, choices, strict=True):
            advice = _advice(games[number]) if teachers[number] else None
            teachers[number] = advice is not None
            asked += advice is not None
            agreed += advice == choice
            steps += 1
            games[number].act(choice)
    return Played(tuple(game.outcome() for game in games), agreed, asked, steps)


def play_policy(stored: Stored, domain: str, episodes: int, policy: Policy, name: str) -> Played:
    """The same episodes by a policy; one that asks a teacher which is lost ends there."""
    outcomes, steps = [], 0
    for seed in range(episodes):
        game, rng = stored.play.game(domain, seed), np.random.default_rng(seed_from("play", name, domain, seed))
        try:
            while not game.over:
                game.act(policy(game, rng))
                steps += 1
        except LostError:
            pass  # what was reached by then counts
        outcomes.append(game.outcome())
    return Played(tuple(outcomes), 0, 0, steps)


def watched(stored: Stored, domain: str, seed: int, most: int = 200) -> Iterator[tuple[Game, int | None]]:
    """One episode of the model: the game as it stands before each choice, and the choice; at last without one."""
    game = stored.play.game(domain, seed)
    for (_, (choice,)), _ in zip(_choices(stored, [game]), range(most), strict=False):
        yield game, choice
        game.act(choice)
    yield game, None


def _advice(game: Game) -> int | None:
    try:
        return game.teacher()
    except LostError:
        return None


@torch.inference_mode()
def _choices(stored: Stored, games: Sequence[Game]) -> Iterator[tuple[list[int], list[int]]]:
    """Step by step the games that are not over, and the option of the model in each. What it sees of the past is what
    it saw in training: the steps since the last window began.
    """
    seen: list[list[Tensor]] = [[] for _ in games]
    alive = [number for number, game in enumerate(games) if not game.over]
    while alive:
        views: list[View] = [games[number].view() for number in alive]
        steps = torch.from_numpy(tables(views, stored.shape, stored.kind))
        for number, step in zip(alive, steps, strict=True):
            if len(seen[number]) == stored.window:
                seen[number].clear()
            seen[number].append(step)
        longest = max(len(seen[number]) for number in alive)
        inputs = torch.zeros(len(alive), longest, *steps.shape[1:], dtype=steps.dtype)
        for row, number in enumerate(alive):
            inputs[row, : len(seen[number])] = torch.stack(seen[number])
        last = torch.tensor([len(seen[number]) - 1 for number in alive])
        scores = stored.model(inputs)[torch.arange(len(alive)), last, : stored.shape.options]
        yield alive, scores.argmax(dim=-1).tolist()
        alive = [number for number in alive if not games[number].over]
