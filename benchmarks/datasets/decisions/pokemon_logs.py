"""From the public log of a battle to what each player decided: the first person, rebuilt.

A log has no player's view. What a player saw is the scene of that moment; what was chosen shows in what is done next:

- at the beginning of a turn: the first move or switch of that side. A Pokémon that was out before it could act, that
  could not move, or goes on with what it began, shows no choice: that moment is left out;
- where one must be sent out (after one has fainted, or by Baton Pass and the like): who comes. If both sides must, both
  have seen the same.

The own team is the one that the player was given, where somebody tells (the simulator does). Else it is what the whole
log shows of it, moves used later among them; *what the log never shows is no option then*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.datasets.decisions.pokemon_bots import teacher
from benchmarks.datasets.decisions.pokemon_dex import Dex, identifier
from benchmarks.datasets.decisions.pokemon_lines import take
from benchmarks.datasets.decisions.pokemon_player import MOVES, FirstPerson, Own, Team, rebuilt
from benchmarks.datasets.decisions.pokemon_scene import SIDES, BrokenLogError, Scene, effect, named, said
from benchmarks.datasets.decisions.pokemon_view import view
from benchmarks.datasets.decisions.steps import Step, View


@dataclass(frozen=True)
class Moment:
    """One at which a player may choose.

    Attributes:
        line: How many lines of the log had been seen.
        first: Who may choose, and among what; what it says of the scene is true only at that moment.
        view: What was seen.
        teacher: What the teacher would choose.
    """

    line: int
    first: FirstPerson
    view: View
    teacher: int


@dataclass
class Decided:
    """What one player did.

    Attributes:
        moments, choices: One after the other.
    """

    moments: list[Moment] = field(default_factory=list)
    choices: list[int] = field(default_factory=list)

    def steps(self, won: bool) -> list[Step]:
        """With the reward of a battle: 1 at the last one where it was won."""
        last = len(self.moments) - 1
        return [
            Step(moment.view, choice, moment.teacher, float(won and number == last))
            for number, (moment, choice) in enumerate(zip(self.moments, self.choices, strict=True))
        ]


@dataclass(frozen=True)
class Read:
    """A log that was read.

    Attributes:
        generation: Its number.
        decided: Side -> what it did.
        winner: The side that won; empty for none.
        finished: Whether the log goes to the end of the battle.
        left_out: Why a moment is none of the decisions -> how often.
    """

    generation: int
    decided: Mapping[str, Decided]
    winner: str
    finished: bool
    left_out: Mapping[str, int]


def read(lines: Sequence[str], dexes: Mapping[int, Dex], teams: Mapping[str, Team] | None = None) -> Read:
    """Both players of a log.

    Args:
        lines: Of the log.
        dexes: By generation.
        teams: Side -> what the player was given; None to take what the log shows.

    Raises:
        BrokenLogError: If a line cannot be read, or the log is of another kind of battle; names the line.
    """
    if teams is None:
        teams = shown(lines)
    reader = _Reader(teams, dexes)
    for number, line in enumerate(lines, start=1):
        try:
            reader.take(number, line)
        except BrokenLogError as error:
            raise BrokenLogError(f"line {number}: {error}") from error
    scene = reader.scene
    if scene.generation not in dexes:
        raise BrokenLogError(f"it never says its generation; known are {', '.join(map(str, dexes))}")
    return Read(scene.generation, reader.decided, scene.winner, scene.over, reader.left_out)


def shown(lines: Sequence[str]) -> dict[str, Team]:
    """Both teams, as far as a whole log shows them.

    Raises:
        BrokenLogError: If a line cannot be read; names it.
    """
    scene = Scene()
    for number, line in enumerate(lines, start=1):
        try:
            take(scene, line)
        except BrokenLogError as error:
            raise BrokenLogError(f"line {number}: {error}") from error
    return {
        side: {
            mon.name: Own(mon.name, mon.species, mon.level, tuple(sorted(mon.moves)), whole=len(mon.moves) >= MOVES)
            for mon in own.mons.values()
        }
        for side, own in scene.sides.items()
    }


_NO_CHANCE = np.random.default_rng(0)
"""The teacher draws nothing."""


class _Reader:
    """Follows a log; `turns` and `forced` are moments whose choice is still to be seen, None where there was none."""

    def __init__(self, teams: Mapping[str, Team], dexes: Mapping[int, Dex]) -> None:
        self.teams, self.dexes = teams, dexes
        self.scene = Scene()
        self.decided = {side: Decided() for side in SIDES}
        self.left_out: Counter[str] = Counter()
        self.turns: dict[str, Moment | None] = {}
        self.forced: dict[str, Moment | None] = {}
        self.number = 0
        self.acts = {"switch": self._switch, "drag": self._drag, "move": self._move, "cant": self._cant}

    def take(self, number: int, line: str) -> None:
        word, *words = line.split("|")[1:] or [""]
        self.number = number
        if word == "gametype" and words[:1] != ["singles"]:
            raise BrokenLogError(f"it is a battle of {' '.join(words)}, and only singles can be read")
        act = self.acts.get(word)
        if act is not None and words:
            act(named(words[0])[0], words)
        take(self.scene, line)
        if word == "gen" and self.scene.generation not in self.dexes:
            known = ", ".join(map(str, self.dexes))
            raise BrokenLogError(f"it is of generation {self.scene.generation}; known are {known}")
        if word == "turn":
            self._turn()

    def _turn(self) -> None:
        self.left_out["no choice to be seen"] += sum(moment is not None for moment in self.turns.values())
        self.forced.clear()
        self.turns = {side: self._moment(side, forced=False) for side in SIDES}

    def _moment(self, side: str, forced: bool) -> Moment | None:
        dex = self.dexes.get(self.scene.generation)
        if dex is None:
            raise BrokenLogError("a turn begins before the log says its generation")
        first = rebuilt(dex, self.scene, side, self.teams[side], forced)
        if first.legal.sum() < 2 or self.scene.sides[side].active.copied_moves:
            return None
        return Moment(self.number, first, view(first), teacher(first, _NO_CHANCE))

    def _decide(self, side: str, moment: Moment | None, place: int | None) -> None:
        if moment is None:
            return
        if place is None or not moment.first.legal[place]:
            self.left_out["a choice that did not look possible"] += 1
            return
        self.decided[side].moments.append(moment)
        self.decided[side].choices.append(place)

    def _switch(self, side: str, words: Sequence[str]) -> None:
        own, name = self.scene.sides[side], named(words[0])[1]
        if own.mon is None:
            return
        if side in self.turns and not own.mon.fainted:
            moment = self.turns.pop(side)
        else:
            self.turns.pop(side, None)
            if side not in self.forced:
                both = [each for each in SIDES if each == side or self._out(each)]
                self.forced |= {each: self._moment(each, forced=True) for each in both}
            moment = self.forced.pop(side)
        self._decide(side, moment, moment.first.place_of(name) if moment is not None else None)

    def _out(self, side: str) -> bool:
        mon = self.scene.sides[side].mon
        return mon is not None and mon.fainted

    def _drag(self, side: str, words: Sequence[str]) -> None:  # noqa: ARG002  as the others
        if self.turns.pop(side, None) is not None:
            self.left_out["no choice to be seen"] += 1

    def _move(self, side: str, words: Sequence[str]) -> None:
        moment = self.turns.pop(side, None)
        source = effect(said(words[2:], "from"))
        if moment is None or (source and source != "pursuit"):
            return  # it goes on with what it began, or is made to
        self._decide(side, moment, moment.first.place_of_move(identifier(words[1])))

    def _cant(self, side: str, words: Sequence[str]) -> None:
        moment = self.turns.get(side)
        if moment is None:
            return
        wanted = identifier(words[2]) if len(words) > 2 and not words[2].startswith("[") else ""
        if moment.first.moves == (("fight", True),):
            wanted = "fight"  # it did not switch, and there was nothing else
        if wanted:
            del self.turns[side]
            self._decide(side, moment, moment.first.place_of_move(wanted))
