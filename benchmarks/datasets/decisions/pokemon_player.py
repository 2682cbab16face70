"""A player at one moment of a battle: what is seen, what is known, and what may be chosen.

A player knows the own team (`Own`), and of the rest what every spectator knows (`Scene`). Options are always nine: four
moves in the order of their names, then the five that are not on the field, in the order of their species. Who may be
chosen is what the simulator told (`asked`), or what follows from the log (`rebuilt`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.datasets.decisions.pokemon_dex import Dex, identifier
from benchmarks.datasets.decisions.pokemon_scene import TEAM, Scene, Side, details, named, other
from benchmarks.datasets.decisions.steps import Array

MOVES = 4
BENCH = TEAM - 1
OPTIONS = MOVES + BENCH


@dataclass(frozen=True)
class Own:
    """A Pokémon of the player's own team, as it was before the battle.

    Attributes:
        name: The one it is called by.
        species: By identifier.
        level: Its level.
        moves: Those that are known, by name, in order.
        item: By identifier; empty for none, or for one that is not known.
        hidden: The type of its Hidden Power; empty where it is not known.
        whole: Whether these are all its moves.
    """

    name: str
    species: str
    level: int
    moves: tuple[str, ...]
    item: str = ""
    hidden: str = ""
    whole: bool = True


Team = Mapping[str, Own]
"""By name."""


@dataclass(frozen=True)
class FirstPerson:
    """A player at one moment.

    Attributes:
        dex: Of the generation.
        scene: What everybody knows.
        side: Whose eyes these are.
        team: The player's own.
        moves: Those that could be chosen, in order, and which of them may be; none where a switch is forced.
        bench: Those that could be sent out, in order, and which of them may be.
        forced: Whether one must be sent out.
    """

    dex: Dex
    scene: Scene
    side: str
    team: Team
    moves: tuple[tuple[str, bool], ...]
    bench: tuple[tuple[Own, bool], ...]
    forced: bool

    @property
    def mine(self) -> Side:
        """The player's side of the scene."""
        return self.scene.sides[self.side]

    @property
    def theirs(self) -> Side:
        """The opponent's."""
        return self.scene.sides[other(self.side)]

    @property
    def active(self) -> Own | None:
        """The player's own on the field; None before the first."""
        return self.team.get(self.mine.out)

    @property
    def legal(self) -> Array:
        """``[9]`` of bool."""
        found = np.zeros(OPTIONS, dtype=bool)
        for place, (_, may) in enumerate(self.moves[:MOVES]):
            found[place] = may
        for place, (_, may) in enumerate(self.bench[:BENCH]):
            found[MOVES + place] = may
        return found

    def place_of_move(self, move: str) -> int | None:
        """Its option, where it may be chosen."""
        return next((place for place, own in enumerate(self.moves[:MOVES]) if own == (move, True)), None)

    def place_of(self, name: str) -> int | None:
        """The option to send one out."""
        found = (place for place, (own, may) in enumerate(self.bench[:BENCH]) if own.name == name and may)
        return next((MOVES + place for place in found), None)

    def said(self, option: int) -> str:
        """An option in words."""
        if option < MOVES:
            return self.moves[option][0]
        return f"switch to {self.bench[option - MOVES][0].name}"

    def type_of(self, move: str) -> str:
        """Of one of the player's own moves."""
        hidden = self.active.hidden if self.active is not None and move == "hiddenpower" else ""
        return hidden or str(self.dex.move(move)["type"])

    def types(self, side: Side) -> tuple[str, ...]:
        """Of the one on the field of a side."""
        if side.active.types is not None:
            return side.active.types
        return self.dex.types(side.active.copied or (side.mon.species if side.mon is not None else ""))


def rebuilt(dex: Dex, scene: Scene, side: str, team: Team, forced: bool) -> FirstPerson:
    """A player whose choices nobody told: what may be chosen follows from what was seen.

    What nobody can see is taken to be possible: an ability that holds the player, a move that the opponent knows too.
    """
    mine = scene.sides[side]
    own, active = team.get(mine.out), mine.active
    held = {"trapped", "partiallytrapped", "ingrain"} & active.volatile and not forced
    if scene.generation == 1:
        held = set()
    bench = [
        (each, not held and not (each.name in mine.mons and mine.mons[each.name].fainted))
        for each in sorted(team.values(), key=lambda each: (each.species, each.name))
        if each.name != mine.out
    ]
    moves: list[tuple[str, bool]] = []
    if own is not None and mine.mon is not None and not forced:
        names = sorted(active.learned if move == "mimic" and active.learned else move for move in own.moves)
        if scene.generation == 1 and (mine.mon.status in ("slp", "frz") or "partiallytrapped" in active.volatile):
            moves = [("fight", True)]
        else:
            usable = _usable(dex, mine, own, names)
            moves = [(name, name in usable) for name in names]
            if not usable and own.whole:
                moves = [("struggle", True)]
    return FirstPerson(dex, scene, side, team, tuple(moves), tuple(bench), forced)


def _usable(dex: Dex, mine: Side, own: Own, names: Sequence[str]) -> set[str]:
    """Of the moves, those that may be chosen."""
    active, mon = mine.active, mine.mon
    used: Mapping[str, int] = mon.moves if mon is not None else {}
    found = {name for name in names if used.get(name, 0) < dex.move(name)["pp"] * 8 // 5} - {active.disabled}
    item = mon.item if mon is not None and mon.item is not None else own.item
    if "taunt" in active.volatile:
        found = {name for name in found if dex.move(name)["category"] != "Status"}
    if "torment" in active.volatile:
        found -= {active.last}
    if active.last in names and ("encore" in active.volatile or item.startswith("choice")):
        found &= {active.last}
    return found


def team_of(request: Mapping[str, Any]) -> Team:
    """The player's own team, as the simulator told it before the first choice."""
    found = {}
    for told in request["side"]["pokemon"]:
        _, name = named(told["ident"])
        species, level = details(told["details"])
        hidden = next((move for move in told["moves"] if move.startswith("hiddenpower")), "")
        kind = "".join(letter for letter in hidden.removeprefix("hiddenpower") if letter.isalpha()).capitalize()
        moves = tuple(sorted(identifier(move) for move in told["moves"]))
        found[name] = Own(name, species, level, moves, told.get("item", ""), kind)
    return found


def asked(dex: Dex, scene: Scene, side: str, team: Team, request: Mapping[str, Any]) -> FirstPerson:
    """A player whom the simulator asks to choose."""
    forced = any(request.get("forceSwitch", ()))
    (active, *_) = request.get("active") or [{}]
    held = bool(active.get("trapped")) and not forced
    may = {
        named(told["ident"])[1]: not (told["active"] or held or told["condition"].endswith("fnt"))
        for told in request["side"]["pokemon"]
    }
    out = next((named(told["ident"])[1] for told in request["side"]["pokemon"] if told["active"]), "")
    bench = [
        (each, may[each.name])
        for each in sorted(team.values(), key=lambda each: (each.species, each.name))
        if each.name != out
    ]
    moves = () if forced else active.get("moves", ())
    told = sorted((identifier(move["id"]), not move.get("disabled")) for move in moves)
    return FirstPerson(dex, scene, side, team, tuple(told), tuple(bench), forced)
