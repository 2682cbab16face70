"""``pokemon-generations``: what a player of Pokémon does next; a domain is a generation of the game.

Battles of two teams that the simulator draws, one against one, are fought by bots; each is two episodes, one for each
player, whose return is 1 where the battle was won. *What a player saw and did is rebuilt from the log that every
spectator sees* (`benchmarks.datasets.decisions.pokemon_logs`), as from a folder of logs of real players; moments whose
choice does not show are left out. There are nine options: four moves and five others to send out.

The option ``log`` says which bots fought, each side by itself:

- ``mixed``: the teacher, the strongest attack, or any option, one as likely as the other;
- ``poor``: any option in two of three, else the strongest attack;
- ``good``: the teacher.

and ``team`` what is known of the own team: ``given``, all of it, as a player knows it; or ``shown``, what the log of
the battle shows of it, as where nobody tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import numpy as np

from benchmarks.base.seeds import seed_from
from benchmarks.datasets.cache import Built, track
from benchmarks.datasets.decisions.games import Game, as_teacher, log
from benchmarks.datasets.decisions.pokemon_battle import BOTS, CAP, Battle, Fought, by, fight
from benchmarks.datasets.decisions.pokemon_bots import strongest
from benchmarks.datasets.decisions.pokemon_dex import GENERATIONS, Dex, kept_dexes
from benchmarks.datasets.decisions.pokemon_logs import read
from benchmarks.datasets.decisions.pokemon_scene import SIDES
from benchmarks.datasets.decisions.pokemon_simulator import PACKAGES, Battles, Simulator, started
from benchmarks.datasets.decisions.sets import DecisionSet, Play
from benchmarks.datasets.decisions.steps import Episode, windows

BATTLES = 180
"""Of each domain."""

LENGTH = 32
"""Steps of a window."""

LOGS: Mapping[str, tuple[str, ...]] = {
    "mixed": ("teacher", "strongest", "random"),
    "poor": ("random", "random", "strongest"),
    "good": ("teacher",),
}
"""Bots, each as likely as the others."""

SHOWN = 30
"""Lines of a battle on a page."""

Start = Callable[[], AbstractContextManager[Battles]]


def build(
    options: Mapping[str, str],
    battles: int = BATTLES,
    start: Start = Simulator,
    dexes: Callable[[], Mapping[int, Dex]] = kept_dexes,
) -> Built:
    """Fights and reads.

    Raises:
        FetchError: If Node.js or a package is missing.
    """
    known, episodes, left_out, endless = dexes(), list[Episode](), Counter[str](), 0
    with start() as simulator:
        for domain, generation in GENERATIONS.items():
            for number in track(range(battles), f"battles of {domain}", battles):
                fought = battle(known[generation], simulator, domain, number, options)
                endless += not fought.scene.over
                teams = fought.teams if options["team"] == "given" else None
                found = read(fought.lines, known, teams)
                left_out.update(found.left_out)
                for side, decided in found.decided.items():
                    if decided.moments:
                        episodes.append(Episode(domain, str(number), decided.steps(found.winner == side)))
    data = windows(episodes, tuple(GENERATIONS), LENGTH, discount=1.0, kind="int16")
    facts = {
        **{str(package): package.integrity for package in PACKAGES},
        "battles of each domain": str(battles),
        f"battles ended after {CAP} turns": str(endless),
        **{f"moments left out: {why}": str(count) for why, count in sorted(left_out.items())},
    }
    return Built(data, facts)


def battle(dex: Dex, battles: Battles, domain: str, number: int, options: Mapping[str, str]) -> Fought:
    """One that the log has."""
    fought = Fought(dex, battles, seed_from("pokemon battle", domain, number))
    rng = np.random.default_rng(seed_from("pokemon bots", options["log"], domain, number))
    names = rng.choice(LOGS[options["log"]], len(SIDES))
    fight(fought, {side: BOTS[name] for side, name in zip(SIDES, names, strict=True)}, rng)
    return fought


def play(
    options: Mapping[str, str],
    battles: Callable[[], Battles] = started,
    dexes: Callable[[], Mapping[int, Dex]] = kept_dexes,
) -> Play:
    """Battles that no log has, against the strongest attack."""
    known = dexes()

    def game(domain: str, seed: int) -> Game:
        return Battle(known[GENERATIONS[domain]], battles(), seed_from("pokemon play", domain, seed), strongest)

    def logged(game: Game, rng: np.random.Generator) -> int:
        own = LOGS[options["log"]]
        number = game.seed if isinstance(game, Battle) else 0
        return by(BOTS[own[number % len(own)]])(game, rng)

    return Play(game, logged, outcome="win rate")


def page(
    options: Mapping[str, str],
    battles: Callable[[], Battles] = started,
    dexes: Callable[[], Mapping[int, Dex]] = kept_dexes,
) -> dict[str, str]:
    """The beginning of a battle of each generation, fought by the teacher."""
    own, pages = play(options, battles, dexes), {}
    for domain in GENERATIONS:
        game = own.game(domain, 0)
        log(game, as_teacher, np.random.default_rng(0))
        pages[domain] = "\n".join(game.text().splitlines()[:SHOWN])
    return pages


POKEMON = DecisionSet(
    name="pokemon-generations",
    domains=tuple(GENERATIONS),
    build=build,
    description="which of 4 moves or 5 others a player of Pokémon chooses next; a domain is a generation of the game",
    licence="MIT (@pkmn/sim, @pkmn/randoms)",
    source="battles in the simulator of Pokémon Showdown, in the npm packages of pkmn",
    options={"log": tuple(LOGS), "team": ("given", "shown")},
    play=play,
    page=page,
    digest="86e5d6b760281779efefd9ed2ea257f7d7e8a75d59d3251f06d072606871f053",
)
