"""A battle as a game: one side chooses, a bot chooses for the other.

A decision is a moment with two options at least; where there is only one, it is taken. A battle that lasts longer than
`CAP` turns ends there, and nobody has won.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.datasets.decisions.games import Game, Policy
from benchmarks.datasets.decisions.pokemon_bots import Bot, anything, strongest, teacher
from benchmarks.datasets.decisions.pokemon_dex import Dex, identifier
from benchmarks.datasets.decisions.pokemon_lines import take
from benchmarks.datasets.decisions.pokemon_player import MOVES, FirstPerson, Team, asked, team_of
from benchmarks.datasets.decisions.pokemon_scene import SIDES, Scene, named
from benchmarks.datasets.decisions.pokemon_simulator import Battles, Update
from benchmarks.datasets.decisions.pokemon_view import view
from benchmarks.datasets.decisions.steps import View

CAP = 150
"""Turns."""

BOTS: Mapping[str, Bot] = {"teacher": teacher, "strongest": strongest, "random": anything}


class Fought:
    """A battle in the simulator, up to a moment at which somebody must choose.

    Args:
        dex: Of the generation.
        battles: Where it is fought.
        seed: Of the teams and of all chance.
    """

    teams: dict[str, Team]

    def __init__(self, dex: Dex, battles: Battles, seed: int) -> None:
        self.dex, self.battles = dex, battles
        self.scene, self.lines = Scene(), list[str]()
        self.number, first = battles.start(dex.generation, seed)
        self.teams = {side: team_of(request) for side, request in first.asked.items()}
        self._take(first)

    @property
    def over(self) -> bool:
        """Whether it has ended, or gone on for too long."""
        return self.scene.over or self.scene.turn > CAP or not self.asked

    @property
    def asked(self) -> Mapping[str, FirstPerson]:
        """Who must choose now."""
        return self._asked

    def choose(self, options: Mapping[str, int]) -> None:
        """Goes on with these options; all that are asked must be there."""
        choices = {side: self._words(side, option) for side, option in options.items()}
        update = self.battles.choose(self.number, choices)
        if not update.lines and update.asked == self._requests:
            raise RuntimeError(f"the simulator does not take the choices {choices} on turn {self.scene.turn}")
        self._take(update)
        if self.over:
            self.battles.end(self.number)

    def _words(self, side: str, option: int) -> str:
        """An option as the simulator counts it."""
        first, request = self._asked[side], self._requests[side]
        if not first.legal[option]:
            raise ValueError(f"option {option} is not legal now: {np.flatnonzero(first.legal).tolist()} are")
        if option < MOVES:
            places = [place for place, move in enumerate(request["active"][0]["moves"]) if not move.get("disabled")]
            wanted = first.moves[option][0]
            found = next(place for place in places if _name(request["active"][0]["moves"][place]) == wanted)
            return f"move {found + 1}"
        name = first.bench[option - MOVES][0].name
        team = request["side"]["pokemon"]
        return f"switch {next(place for place, own in enumerate(team) if named(own['ident'])[1] == name) + 1}"

    def _take(self, update: Update) -> None:
        for line in update.lines:
            take(self.scene, line)
        self.lines += update.lines
        self._requests = update.asked
        self._asked = {
            side: asked(self.dex, self.scene, side, self.teams[side], request) for side, request in update.asked.items()
        }


def _name(move: Mapping[str, str]) -> str:
    return identifier(move["id"])


def fight(battle: Fought, bots: Mapping[str, Bot], rng: np.random.Generator) -> None:
    """To the end, by bots for both sides."""
    while not battle.over:
        battle.choose({side: bots[side](first, rng) for side, first in battle.asked.items()})


class Battle:
    """A battle as p1 plays it.

    Args:
        dex: Of the generation.
        battles: Where it is fought.
        seed: Of the teams and of all chance.
        opponent: Who chooses for p2.
    """

    def __init__(self, dex: Dex, battles: Battles, seed: int, opponent: Bot) -> None:
        self.seed, self.opponent = seed, opponent
        self.rng = np.random.default_rng(seed)
        self.battle = Fought(dex, battles, seed)
        self._until_asked()

    @property
    def over(self) -> bool:
        """Whether the battle has ended."""
        return self.battle.over

    @property
    def first(self) -> FirstPerson:
        """The player who is asked."""
        return self.battle.asked[SIDES[0]]

    def view(self) -> View:
        """What it sees."""
        return view(self.first)

    def teacher(self) -> int:
        """What the teacher would choose."""
        return teacher(self.first, self.rng)

    def act(self, option: int) -> float:
        """Chooses; 1 where the battle is won with that."""
        self._go_on({SIDES[0]: option})
        self._until_asked()
        return float(self.over and self.battle.scene.winner == SIDES[0])

    def outcome(self) -> float:
        """Whether it was won."""
        return float(self.battle.scene.winner == SIDES[0])

    def text(self) -> str:
        """The battle so far."""
        return told(self.battle.lines)

    def _until_asked(self) -> None:
        while not self.over:
            own = self.battle.asked.get(SIDES[0])
            if own is not None and own.legal.sum() > 1:
                return
            self._go_on({SIDES[0]: int(np.flatnonzero(own.legal)[0])} if own is not None else {})

    def _go_on(self, own: Mapping[str, int]) -> None:
        theirs = self.battle.asked.get(SIDES[1])
        chosen = {SIDES[1]: self.opponent(theirs, self.rng)} if theirs is not None else {}
        self.battle.choose({**own, **chosen})


def by(bot: Bot) -> Policy:
    """A bot as a policy."""

    def choose(game: Game, rng: np.random.Generator) -> int:
        return bot(game.first, rng) if isinstance(game, Battle) else game.teacher()

    return choose


def told(lines: Sequence[str]) -> str:
    """The log for people: turns, who does what, and what comes of it."""
    found = []
    for line in lines:
        words = [*line.split("|")[1:], "", "", "", ""]  # a short line tells nothing where it ends
        word, rest = words[0], words[1:]
        if word == "turn":
            found.append(f"turn {rest[0]}")
        elif word in ("switch", "drag"):
            found.append(f"  {rest[0]} comes ({rest[1]}, {rest[2]})")
        elif word == "move":
            found.append(f"  {rest[0]} uses {rest[1]}")
        elif word == "cant":
            found.append(f"  {rest[0]} cannot move ({rest[1]})")
        elif word in ("-damage", "-heal"):
            found.append(f"    {rest[0]} is at {rest[1]}")
        elif word == "faint":
            found.append(f"    {rest[0]} faints")
        elif word == "win":
            found.append(f"{rest[0]} wins")
        elif word == "tie":
            found.append("nobody wins")
    return "\n".join(found)
