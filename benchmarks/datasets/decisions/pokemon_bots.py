"""Players by rule. They draw nothing, but for the one at random: the same moment, the same choice.

- `teacher`: weighs attacks, what weakens or heals, and who stands better against whom;
- `strongest`: the attack that is expected to hurt most, a switch only where it must;
- `anything`: any legal option.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.datasets.decisions.pokemon_damage import (
    Fighter,
    damage,
    feared,
    fighting,
    most,
    opponent,
    standing,
    waiting,
)
from benchmarks.datasets.decisions.pokemon_player import MOVES, FirstPerson

Bot = Callable[[FirstPerson, np.random.Generator], int]
"""Chooses a legal option."""

BETTER = 0.8
"""By so much must another one stand better to be sent out."""

WEAK = 0.35
"""An attack worth less may be a reason to switch."""


def anything(first: FirstPerson, rng: np.random.Generator) -> int:
    """Any legal option."""
    return int(rng.choice(np.flatnonzero(first.legal)))


def strongest(first: FirstPerson, rng: np.random.Generator) -> int:  # noqa: ARG001  it draws nothing
    """See the module."""
    legal = [int(place) for place in np.flatnonzero(first.legal)]
    moves = [place for place in legal if place < MOVES]
    return _best({place: _hoped(first, place) for place in moves or legal})


def teacher(first: FirstPerson, rng: np.random.Generator) -> int:  # noqa: ARG001  it draws nothing
    """See the module."""
    legal = [int(place) for place in np.flatnonzero(first.legal)]
    worths = {place: worth(first, first.moves[place][0]) for place in legal if place < MOVES}
    bench = {place: standing(first, first.bench[place - MOVES][0]) for place in legal if place >= MOVES}
    if not worths:
        return _best(bench)
    move, own = _best(worths), first.active
    if bench and own is not None and worths[move] < WEAK and first.scene.turn > first.mine.active.since:
        better = _best(bench)
        if bench[better] > standing(first, own) + BETTER:
            return better
    return move


def _best(values: Mapping[int, float]) -> int:
    """The option with the highest; the first of equals."""
    return max(values, key=lambda place: (values[place], -place))


def _hoped(first: FirstPerson, place: int) -> float:
    """The damage that is expected of a move, or of the best move of one that is sent out."""
    foe = opponent(first)
    if foe is None:
        return 0.0
    if place < MOVES:
        name = first.moves[place][0]
        return damage(first, fighting(first, first.mine), foe, name, first.type_of(name))
    own = first.bench[place - MOVES][0]
    return most(first, own, waiting(first, own), foe)


def worth(first: FirstPerson, name: str) -> float:
    """Of a move, about in shares of the hit points that the opponent has left."""
    foe = opponent(first)
    if foe is None:
        return 0.0
    own = fighting(first, first.mine)
    move = Considered(first, name, first.dex.move(name), own, foe, feared(first, foe, own))
    if move.said["category"] != "Status":
        return move.attack()
    found = (rule(move) for rule in (_of_healing, _of_status, _of_effect, _of_boosts, _of_field))
    return next((value for value in found if value is not None), 0.03)


@dataclass(frozen=True)
class Considered:
    """A move that is weighed.

    Attributes:
        first: By whom.
        name: Of the move.
        said: What the guide says of it.
        own, foe: Who uses it, and on whom.
        hurt: What the opponent is expected to do.
    """

    first: FirstPerson
    name: str
    said: Mapping[str, Any]
    own: Fighter
    foe: Fighter
    hurt: float

    @property
    def chance(self) -> float:
        """That it hits."""
        return float(self.said["accuracy"]) / 100

    @property
    def at_foe(self) -> bool:
        """Whether it is aimed at the opponent."""
        return self.said["target"] not in ("self", "allySide", "allyTeam", "all", "foeSide")

    @property
    def blocked(self) -> bool:
        """Whether a substitute takes it."""
        return self.at_foe and "substitute" in self.first.theirs.active.volatile

    def attack(self) -> float:
        """What it is worth for the damage."""
        found = damage(self.first, self.own, self.foe, self.name, self.first.type_of(self.name))
        share = found / max(self.foe.hp, 0.05)
        if self.said.get("selfdestruct"):
            return share if self.own.hp < 0.4 and share >= 0.9 else 0.3 * min(share, 1.0)
        if self.name == "dreameater" and self.foe.status != "slp":
            return 0.0
        if self.name == "focuspunch" or self.said.get("charge") or (self.said.get("recharge") and share < 1.0):
            share *= 0.55
        ahead = 0.05 if share >= 1.0 and self.said["priority"] > 0 else 0.0
        return min(share, 1.0) + 0.02 * min(found, 1.0) + ahead


def _of_healing(move: Considered) -> float | None:
    if move.name == "rest":
        return 0.7 if move.own.hp < 0.4 and move.hurt < 0.6 and move.own.status != "slp" else 0.0
    if move.said.get("recovers") or move.said.get("heal"):
        return 0.75 if move.own.hp < 0.55 and move.hurt < 0.6 else 0.0
    if move.name == "sleeptalk":
        return 0.5 if move.own.status == "slp" else 0.0
    return None


IMMUNE = {"psn": ("Poison", "Steel"), "tox": ("Poison", "Steel"), "brn": ("Fire",)}
"""Status -> types that it does not come to."""

STATUS_WORTH = {"slp": 0.85, "par": 0.5, "tox": 0.45, "brn": 0.4, "psn": 0.25}


def _of_status(move: Considered) -> float | None:
    status = move.said.get("status")
    if not status or not move.at_foe:
        return None
    kind = move.first.type_of(move.name)
    safe = any(own in IMMUNE.get(status, ()) for own in move.foe.types)
    safe |= status == "par" and move.first.dex.effect(kind, move.foe.types) == 0.0
    if move.blocked or move.foe.status or safe or "safeguard" in move.foe.walls:
        return 0.0
    if status == "slp" and any(mon.status == "slp" for mon in move.first.theirs.mons.values()):
        return 0.0  # one at a time is allowed
    fresh = 1.0 if status == "slp" else min(move.foe.hp + 0.3, 1.0)
    return STATUS_WORTH.get(status, 0.2) * move.chance * fresh


def _of_effect(move: Considered) -> float | None:
    effect, theirs = move.said.get("volatileStatus"), move.first.theirs.active.volatile
    if effect == "substitute":
        ready = move.own.hp > 0.5 and "substitute" not in move.first.mine.active.volatile
        return 0.3 if ready and move.hurt < 0.3 else 0.0
    values = {"leechseed": 0.4, "confusion": 0.25}
    if effect not in values:
        return None
    vain = move.blocked or effect in theirs or (effect == "leechseed" and "Grass" in move.foe.types)
    return 0.0 if vain else values[effect] * move.chance


def _of_boosts(move: Considered) -> float | None:
    raised = sum((move.said.get("boosts") or {}).values())
    if raised <= 0 or move.said["target"] != "self":
        return None
    up = sum(stage for stage in move.own.boosts.values() if stage > 0)
    return 0.3 * min(raised, 2) if move.own.hp > 0.6 and up < 3 and move.hurt < 0.45 else 0.0


def _of_field(move: Considered) -> float | None:
    condition = move.said.get("sideCondition")
    if condition in ("spikes", "toxicspikes", "stealthrock"):
        return 0.4 if move.first.theirs.left > 3 and not move.first.theirs.conditions.get(condition) else 0.0
    if condition in ("reflect", "lightscreen"):
        return 0.3 if move.own.hp > 0.5 and not move.first.mine.conditions.get(condition) else 0.0
    return None
