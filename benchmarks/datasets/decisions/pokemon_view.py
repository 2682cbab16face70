"""A moment of a battle as numbers.

What a move or a species is by itself is shown; *how well one does against another is not*, a model has to learn it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.datasets.decisions.pokemon_dex import TYPES, Dex
from benchmarks.datasets.decisions.pokemon_player import BENCH, MOVES, OPTIONS, FirstPerson, Own
from benchmarks.datasets.decisions.pokemon_scene import BOOSTS, STATUSES, TEAM, Mon, Side
from benchmarks.datasets.decisions.steps import Array, View

VOLATILE = (
    *("substitute", "confusion", "leechseed", "encore", "taunt", "trapped", "partiallytrapped", "mustrecharge"),
    *("protect", "curse", "yawn", "attract"),
)
LAYERS: Mapping[str, int] = {
    "spikes": 3,
    "toxicspikes": 2,
    "stealthrock": 1,
    "reflect": 1,
    "lightscreen": 1,
    "safeguard": 1,
}
"""Conditions of a side of the field, and how many layers there are at most."""

WEATHERS = ("sunnyday", "raindance", "sandstorm", "hail")
CATEGORIES = ("Physical", "Special", "Status")

INFLICTED = ("brn", "par", "slp", "frz", "psn", "tox", "confusion", "leechseed", "substitute", "flinch")
MOVED = 24 + 2 * len(INFLICTED)
"""Numbers of a move, besides its type."""

SWITCHED = 2 + len(STATUSES) + 6
"""Numbers of one that is sent out, besides its types."""

WIDTH = 2 + len(TYPES) + MOVED + SWITCHED
FIGHTER = 2 + len(STATUSES) + len(BOOSTS) + len(VOLATILE) + len(TYPES) + 6


def view(first: FirstPerson) -> View:
    """See the module."""
    options = np.zeros((OPTIONS, WIDTH))
    for place, (move, _) in enumerate(first.moves[:MOVES]):
        options[place] = _move(first, move)
    for place, (own, _) in enumerate(first.bench[:BENCH]):
        options[MOVES + place] = _switch(first, own)
    return View(_context(first), options, first.legal)


def _context(first: FirstPerson) -> Array:
    scene, mine, theirs = first.scene, first.mine, first.theirs
    last = first.dex.move(theirs.active.last)
    known = list(theirs.mon.moves) if theirs.mon is not None else []
    attacks = {str(first.dex.move(move)["type"]) for move in known if first.dex.move(move)["category"] != "Status"}
    there = [
        scene.turn / 64,
        float(first.forced),
        *(float(scene.weather == weather) for weather in WEATHERS),
        last["basePower"] / 100,
        float(bool(theirs.active.last) and last["category"] == "Status"),
        float(theirs.switched),
        len(known) / MOVES,
        float(any(first.dex.move(move)["category"] == "Status" for move in known)),
        *(float(name in attacks) for name in TYPES),
    ]
    parts = [there]
    for side in (mine, theirs):
        parts += [_side(side), _fighter(first, side)]
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts])


def _side(side: Side) -> list[float]:
    left = max(side.size, len(side.mons))
    points = sum(mon.hp for mon in side.mons.values()) + left - len(side.mons)
    return [
        side.left / TEAM,
        len(side.mons) / TEAM,
        points / TEAM,
        sum(bool(mon.status) for mon in side.mons.values()) / TEAM,
        *(min(side.conditions.get(name, 0), most) / most for name, most in LAYERS.items()),
    ]


def _fighter(first: FirstPerson, side: Side) -> list[float]:
    mon, active = side.mon, side.active
    if mon is None:
        return [0.0] * FIGHTER
    return [
        mon.hp,
        mon.level / 100,
        *_one_of(mon.status, STATUSES),
        *(active.boosts.get(name, 0) / 4 for name in BOOSTS),
        *(float(name in active.volatile) for name in VOLATILE),
        *_types(first.types(side)),
        *_stats(first.dex, active.copied or mon.species),
    ]


def _move(first: FirstPerson, name: str) -> list[float]:
    move, own = first.dex.move(name), first.type_of(name)
    used = first.mine.mon.moves.get(name, 0) if first.mine.mon is not None else 0
    changes = dict.fromkeys(("raises", "lowers"), 0.0)
    target = "raises" if move["target"] in ("self", "allySide", "allyTeam") else "lowers"
    changes[target] += sum((move.get("boosts") or {}).values())
    changes["raises"] += sum(((move.get("own") or {}).get("boosts") or {}).values())
    inflicts = {str(move.get("status") or ""), str(move.get("volatileStatus") or "")}
    chance = {each.get("status") or each.get("volatileStatus"): each for each in move.get("secondaries") or ()}
    numbers = [
        move["basePower"] / 100,
        move["accuracy"] / 100,
        move["priority"] / 2,
        *_one_of(move["category"], CATEGORIES),
        used / max(move["pp"] * 8 // 5, 1),
        float(own in first.types(first.mine)),
        float(bool(move.get("recovers") or move.get("heal"))),
        float(bool(move.get("drain"))),
        float(bool(move.get("recoil"))),
        float(bool(move.get("damage"))),
        float(bool(move.get("ohko"))),
        float(bool(move.get("multihit"))),
        float(bool(move.get("selfdestruct"))),
        float(bool(move.get("selfSwitch"))),
        float(bool(move.get("forceSwitch"))),
        float(bool(move.get("charge"))),
        float(bool(move.get("recharge"))),
        float(bool(move.get("weather"))),
        float(move.get("sideCondition") in ("spikes", "toxicspikes", "stealthrock")),
        float(move.get("sideCondition") in ("reflect", "lightscreen", "safeguard")),
        changes["raises"] / 2,
        changes["lowers"] / 2,
        *(float(status in inflicts) for status in INFLICTED),
        *(chance[status].get("chance", 0) / 100 if status in chance else 0.0 for status in INFLICTED),
    ]
    return [1.0, 0.0, *_types((own,)), *numbers, *[0.0] * SWITCHED]


def _switch(first: FirstPerson, own: Own) -> list[float]:
    mon = first.mine.mons.get(own.name) or Mon(own.name, own.species, own.level)
    numbers = [mon.hp, own.level / 100, *_one_of(mon.status, STATUSES), *_stats(first.dex, own.species)]
    return [0.0, 1.0, *_types(first.dex.types(own.species)), *[0.0] * MOVED, *numbers]


def _one_of(value: str, words: Sequence[str]) -> list[float]:
    return [float(value == word) for word in words]


def _types(own: Sequence[str]) -> list[float]:
    return [float(name in own) for name in TYPES]


def _stats(dex: Dex, species: str) -> list[float]:
    return [number / 128 for number in dex.stats(species)]
