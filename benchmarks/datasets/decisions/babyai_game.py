"""Grid worlds of BabyAI as games: several attempts at the same task, one after the other, with BabyAI's bot as teacher.

The player sees 7 x 7 cells before it (as codes, or with ``pixels`` as a picture of 56 x 56), which way it faces, the
mission in words, what it did last, which attempt this is and whether the one before succeeded. It does not see the grid
behind, or what the bot plans. An attempt ends with success, whose reward is 1, or after `CAP` steps.

minigrid is an extra of its own: ``pip install 'pgrad[babyai]'``.
"""

from __future__ import annotations

import contextlib
import io
import re
from typing import Any

import numpy as np

from benchmarks.datasets.decisions.drawing import Picture, captioned, side_by_side
from benchmarks.datasets.decisions.games import Game, LostError, Policy
from benchmarks.datasets.decisions.steps import View

LEVELS = {
    "go-to": "BabyAI-GoToLocal-v0",
    "pick-up": "BabyAI-PickupLoc-v0",
    "put-next": "BabyAI-PutNextLocal-v0",
    "open-two": "BabyAI-OpenTwoDoors-v0",
    "unlock": "BabyAI-UnlockPickup-v0",
    "object-or-door": "BabyAI-ActionObjDoor-v0",
}
"""Domain -> name in minigrid."""

ATTEMPTS = 3
CAP = 40
"""Steps of an attempt at most."""

TILE = 24
"""Pixels of a cell in pictures for people."""

PIXELS = 8
"""Of a cell in the view of a player who sees a picture."""

SAID = ("turn left", "turn right", "go forward", "pick up", "drop", "open")
"""`ACTIONS` in words, for that player."""

ACTIONS = ("left", "right", "forward", "pickup", "drop", "toggle")
"""In the order of minigrid; its seventh, "done", does nothing in these levels."""

KINDS = (1, 2, 4, 5, 6, 7)
"""Codes of empty, wall, door, key, ball and box; a cell that is not seen has none."""

DOOR, COLOURS, STATES, SIDE = 4, 6, 3, 7
WORDS = (
    *("go", "to", "pick", "up", "open", "put", "the", "a"),
    *("red", "green", "blue", "purple", "yellow", "grey", "ball", "box", "key", "door"),
    *("next", "then", "after", "you", "in", "front", "of", "behind", "on", "your", "left", "right"),
)
PARTING = ("next", "then", "after")
"""A word of a mission after which its second half begins."""


def installed() -> bool:
    """Whether minigrid is there."""
    import importlib.util

    return importlib.util.find_spec("minigrid") is not None


def _environment(name: str) -> Any:
    try:
        import gymnasium
        import minigrid  # noqa: F401  it makes its names known to gymnasium
    except ImportError as error:
        raise ImportError(
            f"levels of BabyAI need minigrid, which is missing ({error}); pip install 'pgrad[babyai]' installs it"
        ) from error
    return gymnasium.make(name, disable_env_checker=True).unwrapped


class Level:
    """Attempts at one task.

    Args:
        domain: One of `LEVELS`.
        seed: Of the task.
        attempts: How many.
        pixels: Whether the view is a picture, and actions are words.

    Raises:
        ImportError: If minigrid is not installed.
    """

    bot: Any
    last: int | None
    advice: int | None
    asked: bool
    time: int

    def __init__(self, domain: str, seed: int, attempts: int = ATTEMPTS, pixels: bool = False) -> None:
        self.pixels = pixels
        self.env, self.seed, self.attempts = _environment(LEVELS[domain]), seed, attempts
        self.attempt = 0
        self.succeeded: list[bool] = []
        self._begin()

    @property
    def over(self) -> bool:
        """Whether the last attempt has ended."""
        return self.attempt == self.attempts

    def view(self) -> View:
        """See the module."""
        before = self.succeeded[-1] if self.succeeded else False
        known = np.zeros(4 + len(ACTIONS) + ATTEMPTS + 1)
        known[self.seen["direction"]] = 1
        if self.last is not None:
            known[4 + self.last] = 1
        known[4 + len(ACTIONS) + min(self.attempt, ATTEMPTS - 1)] = 1
        known[-1] = before
        legal, mission = np.ones(len(ACTIONS), dtype=bool), words_of(self.seen["mission"])
        if self.pixels:
            row = np.zeros(3 * SIDE * PIXELS)  # a row of the step's table, so that the picture begins with the next
            row[: len(known) + len(mission)] = np.concatenate([known, mission])
            return View(np.concatenate([row, self._pixels().reshape(-1)]), said_as(len(row) - 1), legal)
        context = np.concatenate([known, mission, cells_of(self.seen["image"])])
        return View(context, np.zeros((len(ACTIONS), 0)), legal)

    def teacher(self) -> int:
        """What the bot would do.

        Raises:
            LostError: If it does not know, or was not asked at every step before.
        """
        if self.advice is None:
            if not self.asked:
                raise LostError("the bot must be asked at every step, or it cannot follow what was done")
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    advice = self.bot.replan(self.last)
            except Exception as error:
                raise LostError(f"the bot is lost: {type(error).__name__}: {error}") from error
            if advice is None or int(advice) >= len(ACTIONS):
                raise LostError(f"the bot advises {advice}, which is no option")
            self.advice = int(advice)
        return self.advice

    def act(self, option: int) -> float:
        """Does it; 1 where the task is done with that."""
        self.asked, self.advice = self.advice is not None, None
        self.seen, reward, done, cut, _ = self.env.step(option)
        self.last, self.time = option, self.time + 1
        success = bool(done and reward > 0)
        if done or cut or self.time == CAP:
            self.succeeded.append(success)
            self.attempt += 1
            if not self.over:
                self._begin()
        return float(success)

    def outcome(self) -> float:
        """The share of the attempts that succeeded."""
        return sum(self.succeeded) / self.attempts

    def text(self) -> str:
        """The grid, with the player as an arrow."""
        with contextlib.redirect_stdout(io.StringIO()):
            grid = self.env.pprint_grid()
        return f"attempt {self.attempt + 1}, step {self.time}: {self.seen['mission']}\n{grid}"

    def picture(self) -> Picture:
        """The grid, what the player sees of it highlighted, and the mission; beside it the picture that a player is
        given who sees one, enlarged.
        """
        shown: Picture = self.env.get_frame(highlight=True, tile_size=TILE)
        if self.pixels:
            shown = side_by_side([shown, self._pixels().repeat(TILE // PIXELS, axis=0).repeat(TILE // PIXELS, axis=1)])
        ended = ", ".join("succeeded" if success else "failed" for success in self.succeeded)
        said = f"attempt {min(self.attempt + 1, self.attempts)}, step {self.time}: {self.seen['mission']}"
        return captioned(shown, f"{said} ({ended} before)" if ended else said)

    def _pixels(self) -> Picture:
        shown: Picture = self.env.get_frame(highlight=True, tile_size=PIXELS, agent_pov=True)
        return shown

    def _begin(self) -> None:
        from minigrid.utils.baby_ai_bot import BabyAIBot

        with contextlib.redirect_stdout(io.StringIO()):  # it tells of levels that it drew again
            self.seen, _ = self.env.reset(seed=self.seed)
            self.bot = BabyAIBot(self.env)
        self.last = self.advice = None
        self.asked, self.time = True, 0


def words_of(mission: str) -> np.ndarray[Any, Any]:
    """``[2, words]``, flat: which words are in the first half of a mission and which in the second.

    Raises:
        ValueError: If a word is not known.
    """
    found, half = np.zeros((2, len(WORDS))), 0
    for word in re.findall(r"[a-z]+", mission):
        if word not in WORDS:
            raise ValueError(f"the mission {mission!r} has the word {word!r}; known are {', '.join(WORDS)}")
        half = 1 if word in PARTING else half
        found[half, WORDS.index(word)] = 1
    return found.reshape(-1)


def said_as(length: int) -> np.ndarray[Any, Any]:
    """``[actions, length]``: which words each action is said with, zeros behind them."""
    words = list(dict.fromkeys(word for each in SAID for word in each.split()))
    found = np.zeros((len(SAID), length))
    for place, each in enumerate(SAID):
        found[place, [words.index(word) for word in each.split()]] = 1
    return found


def cells_of(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``[7, 7, 3]`` of codes to ``[7, 7, kinds + colours + states]``, flat, of 0 and 1; states are those of doors."""
    kind, colour, state = image.reshape(-1, 3).astype(int).T
    things = (kind > 2)[:, None]
    found = np.concatenate(
        [
            kind[:, None] == np.array(KINDS),
            (colour[:, None] == np.arange(COLOURS)) & things,
            (state[:, None] == np.arange(STATES)) & (kind == DOOR)[:, None],
        ],
        axis=1,
    )
    return found.astype(float).reshape(-1)


def practising(shares: tuple[float, ...]) -> Policy:
    """The bot with such a share of actions at random in each attempt."""

    def choose(game: Game, rng: np.random.Generator) -> int:
        advice = game.teacher()
        share = shares[min(game.attempt, len(shares) - 1)] if isinstance(game, Level) else 0.0
        return int(rng.integers(len(ACTIONS))) if rng.random() < share else advice

    return choose
