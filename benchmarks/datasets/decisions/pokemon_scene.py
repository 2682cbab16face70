"""A battle as a spectator follows it: only what has been shown by then is in a `Scene`.

`benchmarks.datasets.decisions.pokemon_lines` takes in the log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.datasets.decisions.pokemon_dex import identifier

SIDES = ("p1", "p2")
STATUSES = ("brn", "par", "slp", "frz", "psn", "tox")
BOOSTS = ("atk", "def", "spa", "spd", "spe", "accuracy", "evasion")
TEAM = 6
LEVEL = 100
"""Where a log names none."""


class BrokenLogError(ValueError):
    """A line that no simulator writes; the message names it."""


def other(side: str) -> str:
    """The opponent's."""
    return SIDES[1 - SIDES.index(side)]


@dataclass
class Mon:
    """One Pokémon, as far as it was shown.

    Attributes:
        name: The one it is called by.
        species: By identifier.
        level: Its level.
        hp: The share that is left.
        status: One of `STATUSES`, or nothing.
        moves: Its own moves that were seen -> how often they were used, twice each time against Pressure.
        item: By identifier, empty where it has none; None where nothing was shown.
        ability: By identifier; empty where it was not shown.
    """

    name: str
    species: str
    level: int
    hp: float = 1.0
    status: str = ""
    moves: dict[str, int] = field(default_factory=dict)
    item: str | None = None
    ability: str = ""

    @property
    def fainted(self) -> bool:
        """Whether it is out."""
        return self.hp <= 0


@dataclass
class Active:
    """What lasts until a Pokémon leaves the field.

    Attributes:
        since: The turn in which it came.
        boosts: In stages.
        volatile: Effects on it, by identifier.
        last: The move that it used last, by its own choice.
        disabled: The move that it cannot use.
        copied: The species that it has become, or nothing.
        types: Where they are no longer those of the species.
        learned: A move that stands in for Mimic.
    """

    since: int = 0
    boosts: dict[str, int] = field(default_factory=dict)
    volatile: set[str] = field(default_factory=set)
    last: str = ""
    disabled: str = ""
    copied: str = ""
    types: tuple[str, ...] | None = None
    learned: str = ""

    @property
    def copied_moves(self) -> bool:
        """Whether its moves are another one's."""
        return "transform" in self.volatile


@dataclass
class Side:
    """One player's.

    Attributes:
        mons: Those that were shown, by name.
        size: Of the team.
        out: The name of the one on the field; empty before the first.
        active: What lasts while it is there.
        conditions: On this side of the field -> how many layers.
        switched: Whether the last thing that was done was to switch.
    """

    mons: dict[str, Mon] = field(default_factory=dict)
    size: int = TEAM
    out: str = ""
    active: Active = field(default_factory=Active)
    conditions: dict[str, int] = field(default_factory=dict)
    switched: bool = False

    @property
    def mon(self) -> Mon | None:
        """The one on the field."""
        return self.mons.get(self.out)

    @property
    def left(self) -> int:
        """How many have not fainted, those among them that nobody has seen."""
        return max(self.size, len(self.mons)) - sum(mon.fainted for mon in self.mons.values())


@dataclass
class Scene:
    """All of it.

    Attributes:
        generation: As the log says; 0 before it does.
        turn: Its number.
        weather: By identifier, or nothing.
        players: Side -> name.
        sides: Side -> what is known.
        over: Whether the battle has ended.
        winner: The side that won; empty for none.
    """

    generation: int = 0
    turn: int = 0
    weather: str = ""
    players: dict[str, str] = field(default_factory=dict)
    sides: dict[str, Side] = field(default_factory=lambda: {name: Side() for name in SIDES})
    over: bool = False
    winner: str = ""

    def who(self, ident: str) -> tuple[Side, Mon]:
        """The side and the Pokémon of an identity such as ``p1a: Nick``.

        Raises:
            BrokenLogError: If it was never sent out.
        """
        side, name = named(ident)
        own = self.sides[side]
        if name not in own.mons:
            raise BrokenLogError(f"{ident!r} was never sent out")
        return own, own.mons[name]


def named(ident: str) -> tuple[str, str]:
    """``p1a: Nick`` to ``("p1", "Nick")``.

    Raises:
        BrokenLogError: If it is no such identity.
    """
    place, colon, name = ident.partition(": ")
    if not colon or place[:2] not in SIDES:
        raise BrokenLogError(f"{ident!r} names no Pokémon of p1 or p2")
    return place[:2], name


def details(text: str) -> tuple[str, int]:
    """``Species, L74, M`` to species and level."""
    species, *rest = text.split(", ")
    level = next((int(part[1:]) for part in rest if part[:1] == "L" and part[1:].isdecimal()), LEVEL)
    return identifier(species), level


def condition(text: str) -> tuple[float, str]:
    """``78/100 par`` or ``0 fnt`` to the share of hit points and the status."""
    points, *rest = text.split(" ")
    status = rest[0] if rest and rest[0] in STATUSES else ""
    have, slash, of = points.partition("/")
    share = float(have) / float(of) if slash else float(have)
    if "fnt" in rest or share <= 0:
        return 0.0, ""
    if not share <= 1.0:
        raise ValueError(f"{text!r} is no share of hit points")
    return share, status


def said(arguments: Sequence[str], name: str) -> str:
    """What stands behind ``[name]``."""
    return next((text.removeprefix(f"[{name}]").strip() for text in arguments if text.startswith(f"[{name}]")), "")


def effect(text: str) -> str:
    """``move: Leech Seed`` to ``leechseed``."""
    return identifier(text.rpartition(": ")[2])
