"""Players by rule. They draw nothing: the same moment, the same choice.

Damage is estimated from what is printed in a guide: base stats, power, types and which type hurts which; nobody's exact
stats, items or moves that were not shown are known. Of an opponent's species attacks of its own types are expected.

- `teacher`: weighs attacks, what weakens or heals, and who stands better against whom;
- `strongest`: the attack that is expected to hurt most, a switch only where it must.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.datasets.decisions.pokemon_player import MOVES, FirstPerson, Own
from benchmarks.datasets.decisions.pokemon_scene import Mon, Side

Bot = Callable[[FirstPerson, np.random.Generator], int]
"""Chooses a legal option."""

EXPECTED = 65.0
"""Power of the attack of its own type that an opponent is expected to have."""

RATIO = 0.7
"""What is feared, as a share of what is hoped."""

BETTER = 0.8
"""By so much must another one stand better to be sent out."""


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
    boosts: dict[str, int]
    walls: dict[str, int]


def teacher(first: FirstPerson, rng: np.random.Generator) -> int:  # noqa: ARG001  it draws nothing
    """See the module."""
    legal = first.legal
    there = {place: standing(first, first.bench[place - MOVES][0]) for place in np.flatnonzero(legal) if place >= MOVES}
    best = max(there, key=lambda place: (there[place], -place), default=None)
    worths = {place: worth(first, first.moves[place][0]) for place in np.flatnonzero(legal) if place < MOVES}
    if not worths:
        if best is None:
            raise ValueError("no option is legal")
        return int(best)
    move = max(worths, key=lambda place: (worths[place], -place))
    stayed = first.scene.turn - first.mine.active.since
    own = first.active
    if best is not None and own is not None and stayed >= 1:
        now = standing(first, own)
        weak = worths[move] < 0.35
        if weak and there[best] > now + BETTER:
            return int(best)
    return int(move)


def strongest(first: FirstPerson, rng: np.random.Generator) -> int:  # noqa: ARG001  it draws nothing
    """See the module."""
    legal = np.flatnonzero(first.legal)
    hopes = {place: hoped(first, place) for place in legal if place < MOVES or first.forced or not first.moves}
    hopes = hopes or {int(legal[0]): 0.0}
    return int(max(hopes, key=lambda place: (hopes[place], -place)))


def anything(first: FirstPerson, rng: np.random.Generator) -> int:
    """Any legal option."""
    return int(rng.choice(np.flatnonzero(first.legal)))


def hoped(first: FirstPerson, place: int) -> float:
    """The damage that is expected of a move, or of the best move of one that is sent out."""
    foe = opponent(first)
    if foe is None:
        return 0.0
    if place < MOVES:
        return damage(first, fighting(first, first.mine), foe, first.moves[place][0], first.type_of(first.moves[place][0]))
    own = first.bench[place - MOVES][0]
    return most(first, own, waiting(first, own), foe)


def worth(first: FirstPerson, name: str) -> float:
    """Of a move, about in shares of the opponent's hit points."""
    move, foe, own = first.dex.move(name), opponent(first), fighting(first, first.mine)
    if foe is None:
        return 0.0
    if move["category"] != "Status":
        found = damage(first, own, foe, name, first.type_of(name))
        share = found / max(foe.hp, 0.05)
        if move.get("selfdestruct"):
            return share if own.hp < 0.4 and share >= 0.9 else 0.3 * min(share, 1.0)
        if move.get("charge") or (move.get("recharge") and share < 1.0):
            share *= 0.55
        if name == "dreameater" and foe.status != "slp":
            return 0.0
        if name == "focuspunch":
            share *= 0.5
        return min(share, 1.0) + 0.02 * min(found, 1.0) + (0.05 if share >= 1.0 and move["priority"] > 0 else 0.0)
    return _status_worth(first, name, move, own, foe)


def _status_worth(first: FirstPerson, name: str, move: dict[str, Any], own: Fighter, foe: Fighter) -> float:
    """Of a move that does no damage by itself."""
    hurt = feared(first, foe, own)
    chance = move["accuracy"] / 100
    theirs = first.theirs
    behind = "substitute" in theirs.active.volatile
    inflicted = move.get("status")
    if move.get("recovers") or move.get("heal") or name == "rest":
        if name == "rest":
            return 0.7 if own.hp < 0.4 and hurt < 0.6 and own.status != "slp" else 0.0
        return 0.75 if own.hp < 0.55 and hurt < 0.6 else 0.0
    if name == "sleeptalk":
        return 0.5 if own.status == "slp" else 0.0
    if move["target"] in ("normal", "any", "allAdjacentFoes") and behind:
        return 0.0
    if inflicted and move["target"] == "normal":
        if foe.status or _immune(first, inflicted, first.type_of(name), foe) or "safeguard" in foe.walls:
            return 0.0
        if inflicted == "slp":
            asleep = any(mon.status == "slp" for mon in theirs.mons.values())
            return 0.0 if asleep else 0.85 * chance
        return {"par": 0.5, "tox": 0.45, "brn": 0.4, "psn": 0.25}.get(inflicted, 0.2) * chance * min(foe.hp + 0.3, 1.0)
    volatile = move.get("volatileStatus")
    if volatile == "leechseed":
        planted = "leechseed" in theirs.active.volatile or "Grass" in foe.types
        return 0.0 if planted else 0.4 * chance
    if volatile == "confusion":
        return 0.0 if "confusion" in theirs.active.volatile else 0.25 * chance
    if volatile == "substitute":
        there = "substitute" in first.mine.active.volatile
        return 0.3 if own.hp > 0.5 and not there and hurt < 0.3 else 0.0
    raised = sum((move.get("boosts") or {}).values())
    if raised and move["target"] == "self":
        up = sum(stage for stage in own.boosts.values() if stage > 0)
        return 0.3 * min(raised, 2) if own.hp > 0.6 and up < 3 and hurt < 0.45 else 0.0
    condition = move.get("sideCondition")
    if condition in ("spikes", "toxicspikes", "stealthrock"):
        there = theirs.conditions.get(condition, 0)
        return 0.4 if theirs.left > 3 and not there else 0.0
    if condition in ("reflect", "lightscreen"):
        return 0.3 if not first.mine.conditions.get(condition, 0) and own.hp > 0.5 else 0.0
    return 0.03


def _immune(first: FirstPerson, status: str, kind: str, foe: Fighter) -> bool:
    wrong = {"psn": ("Poison", "Steel"), "tox": ("Poison", "Steel"), "brn": ("Fire",), "frz": ("Ice",)}
    if any(own in wrong.get(status, ()) for own in foe.types):
        return True
    return status == "par" and first.dex.effect(kind, foe.types) == 0.0


def standing(first: FirstPerson, own: Own) -> float:
    """How one of the own team stands against the opponent: what it hopes less what it fears."""
    foe = opponent(first)
    if foe is None:
        return 0.0
    mine = fighting(first, first.mine) if own.name == first.mine.out else waiting(first, own)
    hope = min(most(first, own, mine, foe) / max(foe.hp, 0.1), 1.0)
    fear = min(feared(first, foe, mine) / max(mine.hp, 0.1), 1.2)
    tired = 0.3 if mine.status in ("slp", "frz") else 0.0
    return hope - RATIO * fear - tired + 0.2 * mine.hp


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
    chance = move["accuracy"] / 100
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
    place = ("hp", "atk", "def", "spa", "spd", "spe").index(name)
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
        side.active.copied or mon.species, first.types(side), mon.level, mon.hp, mon.status, side.active.boosts, side.conditions
    )


def waiting(first: FirstPerson, own: Own) -> Fighter:
    """One of the own team that is not on the field, or was not yet."""
    mon = first.mine.mons.get(own.name) or Mon(own.name, own.species, own.level)
    return Fighter(own.species, first.dex.types(own.species), own.level, mon.hp, mon.status, {}, first.mine.conditions)
