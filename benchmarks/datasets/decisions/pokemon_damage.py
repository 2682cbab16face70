"""What attacks are expected to do, from what is printed in a guide.

Base stats, power, types and which type hurts which; nobody's exact stats, items or moves that were not shown are known.
Of an opponent's species attacks of its own types are expected. All in shares of the hit points of the one attacked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.datasets.decisions.pokemon_dex import STATS
from benchmarks.datasets.decisions.pokemon_player import MOVES, FirstPerson, Own
from benchmarks.datasets.decisions.pokemon_scene import Mon, Side

EXPECTED = 65.0
"""Power of the attack of its own type that an opponent is expected to have."""

FEAR = 0.7
"""What is feared, as a share of what is hoped."""


@dataclass(frozen=True)
class Fighter:
    """One that attacks, or is attacked.

    Attributes:
        species: By identifier.
        types: Its types now.
        level: Its level.
        hp: The share that is left.
        status: Its status.
        boosts: Its stages.
        walls: Conditions of its side of the field.
    """

    species: str
    types: tuple[str, ...]
    level: int
    hp: float
    status: str
    boosts: Mapping[str, int]
    walls: Mapping[str, int]


def standing(first: FirstPerson, own: Own) -> float:
    """How one of the own team stands against the opponent: what it hopes less what it fears."""
    foe = opponent(first)
    if foe is None:
        return 0.0
    mine = fighting(first, first.mine) if own.name == first.mine.out else waiting(first, own)
    hope = min(most(first, own, mine, foe) / max(foe.hp, 0.1), 1.0)
    fear = min(feared(first, foe, mine) / max(mine.hp, 0.1), 1.2)
    tired = 0.3 if mine.status in ("slp", "frz") else 0.0
    return hope - FEAR * fear - tired + 0.2 * mine.hp


def most(first: FirstPerson, own: Own, mine: Fighter, foe: Fighter) -> float:
    """The most that one of the own team does to the opponent with a move."""
    kinds = {move: own.hidden if move == "hiddenpower" and own.hidden else None for move in own.moves}
    return max(
        (damage(first, mine, foe, move, kind or str(first.dex.move(move)["type"])) for move, kind in kinds.items()),
        default=0.0,
    )


def feared(first: FirstPerson, foe: Fighter, mine: Fighter) -> float:
    """The most that the opponent is expected to do, by a move that was shown or by one of its own types."""
    mon = first.theirs.mon
    shown = [damage(first, foe, mine, move, str(first.dex.move(move)["type"])) for move in (mon.moves if mon else ())]
    dull = [_hurt(first, foe, mine, EXPECTED, kind, _category(first, kind, foe)) for kind in foe.types]
    return max([*shown, *(dull if len(shown) < MOVES else ())], default=0.0)


def _category(first: FirstPerson, kind: str, foe: Fighter) -> str:
    _, attack, _, special, _, _ = first.dex.stats(foe.species)
    if first.dex.generation >= 4:
        return "Physical" if attack >= special else "Special"
    return "Special" if kind in SPECIAL else "Physical"


SPECIAL = ("Fire", "Water", "Grass", "Electric", "Psychic", "Ice", "Dragon", "Dark")
"""Types whose attacks are special before the fourth generation."""


def damage(first: FirstPerson, one: Fighter, another: Fighter, name: str, kind: str) -> float:
    """Expected of a move of that type, as a share of all hit points of the one that is attacked."""
    move = first.dex.move(name)
    if move["category"] == "Status":
        return 0.0
    chance = float(move["accuracy"]) / 100
    effect = first.dex.effect(kind, another.types)
    fixed = move.get("damage")
    if fixed or name == "superfang":
        points = another.hp * _points(first, another) / 2 if name == "superfang" else float(one.level)
        points = float(fixed) if isinstance(fixed, int) else points
        return chance * min(points / _points(first, another), 1.0) if effect else 0.0
    if move.get("ohko"):
        return 0.3 if effect and one.level >= another.level else 0.0
    times = move.get("multihit") or 1
    power = float(move["basePower"]) * (3.0 if isinstance(times, Sequence) else float(times))
    power = POWERS.get(name, power)
    if name in ("explosion", "selfdestruct"):
        power *= 2 if first.dex.generation > 1 else 1
    return chance * _hurt(first, one, another, power, kind, move["category"])


POWERS = {"return": 102.0, "frustration": 102.0, "flail": 60.0, "reversal": 60.0, "lowkick": 60.0, "hiddenpower": 70.0}
"""Of moves whose power depends on what nobody sees."""


def _hurt(first: FirstPerson, one: Fighter, another: Fighter, power: float, kind: str, category: str) -> float:
    special = category == "Special"
    attack = _stat(first, one, "spa" if special else "atk")
    guard = _stat(first, another, "spd" if special else "def")
    if one.status == "brn" and not special:
        attack /= 2
    points = (2 * one.level / 5 + 2) * power * attack / guard / 50 + 2
    if ("lightscreen" if special else "reflect") in another.walls:
        points /= 2
    same = 1.5 if kind in one.types else 1.0
    return points * same * first.dex.effect(kind, another.types) * 0.925 / _points(first, another)


def _stat(first: FirstPerson, who: Fighter, name: str) -> float:
    place = STATS.index(name)
    stage = who.boosts.get(name, 0)
    factor = (2 + stage) / 2 if stage >= 0 else 2 / (2 - stage)
    return factor * ((2 * first.dex.stats(who.species)[place] + 52) * who.level / 100 + 5)


def _points(first: FirstPerson, who: Fighter) -> float:
    return (2 * first.dex.stats(who.species)[0] + 52) * who.level / 100 + who.level + 10


def opponent(first: FirstPerson) -> Fighter | None:
    """The one on the other side of the field, unless it has fainted."""
    mon = first.theirs.mon
    return None if mon is None or mon.fainted else fighting(first, first.theirs)


def fighting(first: FirstPerson, side: Side) -> Fighter:
    """The one on the field."""
    mon = side.mon or Mon("", "", 100)
    return Fighter(
        side.active.copied or mon.species,
        first.types(side),
        mon.level,
        mon.hp,
        mon.status,
        side.active.boosts,
        side.conditions,
    )


def waiting(first: FirstPerson, own: Own) -> Fighter:
    """One of the own team that is not on the field, or was not yet."""
    mon = first.mine.mons.get(own.name) or Mon(own.name, own.species, own.level)
    return Fighter(own.species, first.dex.types(own.species), own.level, mon.hp, mon.status, {}, first.mine.conditions)
