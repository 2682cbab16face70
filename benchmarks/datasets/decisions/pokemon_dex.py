"""What every player knows of the game: moves, species and types of a generation, as printed in its guides.

The tables come from the simulator and are kept beside the prepared data sets (`kept_dexes`), so that logs can be read
without Node.js afterwards.

*Views use what a move or a species is, never how the two meet*: `Dex.effect`, which type hurts which, is for the bots.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from benchmarks.datasets.cache import folder
from benchmarks.datasets.decisions.pokemon_simulator import PACKAGES, Simulator

GENERATIONS = {"generation-1": 1, "generation-2": 2, "generation-3": 3, "generation-4": 4}
"""Domain -> number."""

TYPES = (
    *("Normal", "Fighting", "Flying", "Poison", "Ground", "Rock", "Bug", "Ghost", "Steel"),
    *("Fire", "Water", "Grass", "Electric", "Psychic", "Ice", "Dragon", "Dark"),
)
STATS = ("hp", "atk", "def", "spa", "spd", "spe")
FACTORS = (1.0, 2.0, 0.5, 0.0)
"""How a type is hurt, by the simulator's code."""

PSEUDO = ("fight", "recharge", "struggle")
"""Moves of no set: what a player is offered who cannot choose."""

DIGEST = "f758403db9a4e18def9848d4315f810020ab67cf1cf4cdb70906824fd6afebd9"
"""SHA-256 of the kept tables."""


def identifier(name: str) -> str:
    """As the simulator names things, without the power or the type that some names end in.

    Example:
        >>> [identifier(name) for name in ("Double-Edge", "Mr. Mime", "return102", "hiddenpowerfire70", "Nidoran-F")]
        ['doubleedge', 'mrmime', 'return', 'hiddenpower', 'nidoranf']
    """
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return re.sub(r"^(hiddenpower|return|frustration).*", r"\1", plain)


@dataclass(frozen=True)
class Dex:
    """One generation.

    Attributes:
        generation: Its number.
        moves, species: What the simulator says of each, by identifier.
        chart: Type hurt -> type that hurts -> code.
    """

    generation: int
    moves: Mapping[str, Mapping[str, Any]]
    species: Mapping[str, Mapping[str, Any]]
    chart: Mapping[str, Mapping[str, int]]

    def move(self, name: str) -> Mapping[str, Any]:
        """A move; one that is of no set, or not known, has no power and no type."""
        return self.moves.get(name, _NOTHING)

    def types(self, species: str) -> tuple[str, ...]:
        """Of a species; none of one that is not known."""
        found = self.species.get(species) or self.species.get(_base(species, self.species))
        return tuple(found["types"]) if found else ()

    def stats(self, species: str) -> tuple[int, ...]:
        """Its base stats, in the order of `STATS`."""
        found = self.species.get(species) or self.species.get(_base(species, self.species))
        return tuple(found["stats"][name] for name in STATS) if found else (80,) * len(STATS)

    def effect(self, attack: str, types: tuple[str, ...]) -> float:
        """By how much an attack of a type hurts a Pokémon of such types."""
        factor = 1.0
        for own in types:
            factor *= FACTORS[self.chart.get(own, {}).get(attack, 0)]
        return factor


_NOTHING: Mapping[str, Any] = {
    "type": "",
    "basePower": 0,
    "accuracy": 100,
    "pp": 5,
    "priority": 0,
    "category": "Status",
    "target": "normal",
}


def _base(species: str, known: Mapping[str, Any]) -> str:
    """The longest known species that a name begins with: a form that has no entry of its own."""
    return max((name for name in known if species.startswith(name)), key=len, default="")


def dexes(table: Mapping[str, Any]) -> dict[int, Dex]:
    """By generation, from the kept table."""
    return {number: Dex(number, **table[str(number)]) for number in GENERATIONS.values()}


def kept_dexes(start: Callable[[], AbstractContextManager[Simulator]] = Simulator) -> dict[int, Dex]:
    """All generations; from the simulator if they are not kept yet, or are not what they were.

    Raises:
        FetchError: If they are not, and Node.js or a package is missing.
    """
    path = folder() / "packages" / f"pokemon-dex-{PACKAGES[0].version}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not (path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == DIGEST):
            with start() as simulator:
                table = {str(number): simulator.dex(number) for number in GENERATIONS.values()}
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(table, sort_keys=True, separators=(",", ":")), encoding="utf-8")
            partial.replace(path)
        return _read(path)


def _read(path: Path) -> dict[int, Dex]:
    return dexes(json.loads(path.read_text(encoding="utf-8")))
