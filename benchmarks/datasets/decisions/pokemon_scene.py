"""A battle as a spectator follows it, line by line of the public log of Pokémon Showdown.

Only what has been shown by then is in a `Scene`: who was sent out, hit points in hundredths, which moves were used.
Lines that say nothing about the state are passed over; a line that is broken raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.datasets.decisions.pokemon_dex import identifier

SIDES = ("p1", "p2")
STATUSES = ("brn", "par", "slp", "frz", "psn", "tox")
BOOSTS = ("atk", "def", "spa", "spd", "spe", "accuracy", "evasion")
TEAM = 6
LEVEL = 100
"""Where a log names none."""


_ONE_TURN = frozenset({"protect", "endure", "focuspunch", "roost", "snatch", "magiccoat", "flinch"})
_PASSED = frozenset({"substitute", "confusion", "leechseed", "ingrain", "aquaring", "curse", "focusenergy", "trapped"})
_TRAPS = frozenset(
    {"trapped", "wrap", "bind", "clamp", "firespin", "whirlpool", "sandtomb", "magmastorm", "partiallytrapped"}
)


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

    def read(self, line: str) -> None:
        """Takes in one line of the log.

        Raises:
            BrokenLogError: If it cannot be meant so.
        """
        word, *rest = line.split("|")[1:] or [""]
        reader = _READERS.get(word)
        if reader is None:
            return
        try:
            reader(self, rest)
        except (IndexError, KeyError, ValueError, ZeroDivisionError) as error:
            if isinstance(error, BrokenLogError):
                raise
            raise BrokenLogError(f"the line {line[:80]!r} cannot be read: {type(error).__name__}: {error}") from error

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


def _player(scene: Scene, words: list[str]) -> None:
    if len(words) > 1 and words[1]:
        scene.players[words[0]] = words[1]


def _size(scene: Scene, words: list[str]) -> None:
    scene.sides[words[0]].size = int(words[1])


def _generation(scene: Scene, words: list[str]) -> None:
    scene.generation = int(words[0])


def _turn(scene: Scene, words: list[str]) -> None:
    scene.turn = int(words[0])
    for side in scene.sides.values():
        side.active.volatile -= _ONE_TURN


def _sent(scene: Scene, words: list[str]) -> None:
    side, name = named(words[0])
    species, level = details(words[1])
    own = scene.sides[side]
    before = own.active
    mon = own.mons.setdefault(name, Mon(name, species, level))
    mon.hp, mon.status = condition(words[2])
    own.out, own.active = name, Active(since=scene.turn)
    if effect(said(words, "from")) == "batonpass" or before.last == "batonpass":
        own.active.boosts = before.boosts
        own.active.volatile = before.volatile & _PASSED
    scene.sides[other(side)].active.volatile -= {"trapped", "partiallytrapped"}  # they hold while both stay


def _switch(scene: Scene, words: list[str]) -> None:
    _sent(scene, words)
    scene.sides[words[0][:2]].switched = True


def _replace(scene: Scene, words: list[str]) -> None:
    species, level = details(words[1])
    _, mon = scene.who(words[0])
    mon.species, mon.level = species, level


def _form(scene: Scene, words: list[str]) -> None:
    own, _ = scene.who(words[0])
    own.active.copied = identifier(words[1])


def _move(scene: Scene, words: list[str]) -> None:
    own, mon = scene.who(words[0])
    move, source = identifier(words[1]), said(words[2:], "from")
    own.switched = False
    own.active.volatile.discard("mustrecharge")
    if source and effect(source) != "pursuit":
        return
    own.active.last = move
    if not own.active.copied_moves and move != own.active.learned and move != "struggle":
        foe = scene.sides[other(words[0][:2])]
        aimed = len(words) > 2 and words[2][:2] == other(words[0][:2])
        pressed = aimed and foe.mon is not None and foe.mon.ability == "pressure"
        mon.moves[move] = mon.moves.get(move, 0) + 1 + pressed


def _health(scene: Scene, words: list[str]) -> None:
    for ident, state in zip(words[::2], words[1::2], strict=False):
        if ident.startswith("["):
            break
        _, mon = scene.who(ident)
        mon.hp, mon.status = condition(state)


def _faint(scene: Scene, words: list[str]) -> None:
    _, mon = scene.who(words[0])
    mon.hp, mon.status = 0.0, ""


def _status(scene: Scene, words: list[str]) -> None:
    _, mon = scene.who(words[0])
    mon.status = words[1]


def _cure(scene: Scene, words: list[str]) -> None:
    side, name = named(words[0])
    if name in scene.sides[side].mons:
        scene.sides[side].mons[name].status = ""


def _cure_all(scene: Scene, words: list[str]) -> None:
    own, _ = scene.who(words[0])
    for mon in own.mons.values():
        mon.status = ""


def _boost(sign: int) -> _Reader:
    def read(scene: Scene, words: list[str]) -> None:
        own, _ = scene.who(words[0])
        boosts = own.active.boosts
        boosts[words[1]] = max(-6, min(6, boosts.get(words[1], 0) + sign * int(words[2])))

    return read


def _set_boost(scene: Scene, words: list[str]) -> None:
    own, _ = scene.who(words[0])
    own.active.boosts[words[1]] = int(words[2])


def _clear(scene: Scene, words: list[str]) -> None:
    own, _ = scene.who(words[0])
    own.active.boosts.clear()


def _clear_negative(scene: Scene, words: list[str]) -> None:
    own, _ = scene.who(words[0])
    own.active.boosts = {name: max(stage, 0) for name, stage in own.active.boosts.items()}


def _clear_all(scene: Scene, words: list[str]) -> None:  # noqa: ARG001  nobody is named
    for side in scene.sides.values():
        side.active.boosts.clear()


def _copy_boosts(scene: Scene, words: list[str]) -> None:
    one, _ = scene.who(words[0])
    another, _ = scene.who(words[1])
    one.active.boosts = dict(another.active.boosts)


def _swap_boosts(scene: Scene, words: list[str]) -> None:
    one, _ = scene.who(words[0])
    another, _ = scene.who(words[1])
    one.active.boosts, another.active.boosts = another.active.boosts, one.active.boosts


def _start(scene: Scene, words: list[str]) -> None:
    own, _ = scene.who(words[0])
    what = effect(words[1])
    own.active.volatile.add(what)
    if what == "typechange":
        own.active.types = tuple(words[2].split("/"))
    elif what == "disable":
        own.active.disabled = identifier(words[2])
    elif what == "mimic":
        own.active.learned = identifier(words[2])


def _activate(scene: Scene, words: list[str]) -> None:
    what = effect(words[1])
    if what == "mimic" and len(words) > 2:
        own, _ = scene.who(words[0])
        own.active.learned = identifier(words[2])
    elif what in _TRAPS:
        own, _ = scene.who(words[0])
        own.active.volatile.add("trapped" if what == "trapped" else "partiallytrapped")


def _end(scene: Scene, words: list[str]) -> None:
    own, _ = scene.who(words[0])
    what = effect(words[1])
    own.active.volatile.discard("partiallytrapped" if what in _TRAPS else what)
    if what == "disable":
        own.active.disabled = ""


def _turns(scene: Scene, words: list[str]) -> None:
    own, _ = scene.who(words[0])
    own.active.volatile.add(effect(words[1]))


def _recharge(scene: Scene, words: list[str]) -> None:
    own, _ = scene.who(words[0])
    own.active.volatile.add("mustrecharge")


def _cannot(scene: Scene, words: list[str]) -> None:
    own, _ = scene.who(words[0])
    own.switched = False
    own.active.volatile.discard("mustrecharge")


def _transform(scene: Scene, words: list[str]) -> None:
    own, _ = scene.who(words[0])
    theirs, target = scene.who(words[1])
    own.active.copied = theirs.active.copied or target.species
    own.active.volatile.add("transform")
    own.active.boosts = dict(theirs.active.boosts)


def _item(scene: Scene, words: list[str]) -> None:
    _, mon = scene.who(words[0])
    mon.item = identifier(words[1])


def _no_item(scene: Scene, words: list[str]) -> None:
    _, mon = scene.who(words[0])
    mon.item = ""


def _ability(scene: Scene, words: list[str]) -> None:
    _, mon = scene.who(words[0])
    mon.ability = identifier(words[1])


def _weather(scene: Scene, words: list[str]) -> None:
    scene.weather = "" if words[0] == "none" else identifier(words[0])


def _side_start(scene: Scene, words: list[str]) -> None:
    own, what = scene.sides[words[0][:2]], effect(words[1])
    own.conditions[what] = own.conditions.get(what, 0) + 1


def _side_end(scene: Scene, words: list[str]) -> None:
    scene.sides[words[0][:2]].conditions.pop(effect(words[1]), None)


def _win(scene: Scene, words: list[str]) -> None:
    scene.over = True
    scene.winner = next((side for side, name in scene.players.items() if name == words[0]), "")
    if not scene.winner:
        raise BrokenLogError(f"{words[0]!r} has won, and players are {', '.join(scene.players.values()) or 'none'}")


def _tie(scene: Scene, words: list[str]) -> None:  # noqa: ARG001  nobody is named
    scene.over = True


_Reader = Callable[[Scene, list[str]], None]
_READERS: Mapping[str, _Reader] = {
    "player": _player,
    "teamsize": _size,
    "gen": _generation,
    "turn": _turn,
    "switch": _switch,
    "drag": _sent,
    "replace": _replace,
    "detailschange": _replace,
    "-formechange": _form,
    "move": _move,
    "cant": _cannot,
    "-damage": _health,
    "-heal": _health,
    "-sethp": _health,
    "faint": _faint,
    "-status": _status,
    "-curestatus": _cure,
    "-cureteam": _cure_all,
    "-boost": _boost(1),
    "-unboost": _boost(-1),
    "-setboost": _set_boost,
    "-clearboost": _clear,
    "-clearnegativeboost": _clear_negative,
    "-clearallboost": _clear_all,
    "-copyboost": _copy_boosts,
    "-swapboost": _swap_boosts,
    "-start": _start,
    "-activate": _activate,
    "-end": _end,
    "-singleturn": _turns,
    "-mustrecharge": _recharge,
    "-transform": _transform,
    "-item": _item,
    "-enditem": _no_item,
    "-ability": _ability,
    "-weather": _weather,
    "-sidestart": _side_start,
    "-sideend": _side_end,
    "win": _win,
    "tie": _tie,
}
"""The first word of a line -> how it is taken in."""
