"""Battles without Node.js: what the simulator said is recorded once, and said again to whoever chooses the same."""

import contextlib
import hashlib
import json

from benchmarks.datasets.decisions import pokemon
from benchmarks.datasets.decisions.games import as_teacher, at_random
from benchmarks.datasets.decisions.pokemon_dex import GENERATIONS, Dex, dexes, kept_dexes
from benchmarks.datasets.decisions.pokemon_simulator import Simulator, Update
from benchmarks.studies.play.episodes import play_policy

GIVEN = {"log": "mixed", "team": "given"}
LOGGED = 2
"""Battles of each generation that are in the recording as those of the log."""

PLAYED = {"teacher": (as_teacher, 5), "random": (at_random, 2)}
"""Who plays, and how many battles of each generation."""


class Recorder:
    """A simulator whose answers are noted, by all that was said to a battle before."""

    def __init__(self, simulator):
        self.simulator, self.said, self.history = simulator, {}, {}

    def start(self, generation, seed):
        battle, update = self.simulator.start(generation, seed)
        self.history[battle] = [generation, seed]
        return battle, self._noted(battle, update)

    def choose(self, battle, choices):
        self.history[battle].append(dict(choices))
        return self._noted(battle, self.simulator.choose(battle, choices))

    def end(self, battle):
        self.simulator.end(battle)

    def _noted(self, battle, update):
        asked = {side: _short(request) for side, request in update.asked.items()}
        self.said[_key(self.history[battle])] = [list(update.lines), asked, update.ended]
        return update


class Recording:
    """Answers that were noted; nothing else is known."""

    def __init__(self, said):
        self.said, self.history = said, {}

    def start(self, generation, seed):
        battle = len(self.history)
        self.history[battle] = [generation, seed]
        return battle, self._update(battle)

    def choose(self, battle, choices):
        self.history[battle].append(dict(choices))
        return self._update(battle)

    def end(self, battle):
        self.history[battle] = None

    def _update(self, battle):
        lines, asked, ended = self.said[_key(self.history[battle])]
        return Update(tuple(lines), asked, ended)


def _key(history):
    return hashlib.sha256(json.dumps(history, sort_keys=True).encode()).hexdigest()[:10]


def _short(request):
    """What is read of a request."""
    team = [
        {name: each[name] for name in ("ident", "details", "condition", "active", "moves", "item")}
        for each in request["side"]["pokemon"]
    ]
    short = {"side": {"pokemon": team}}
    if "forceSwitch" in request:
        short["forceSwitch"] = request["forceSwitch"]
    if "active" in request:
        (active,) = request["active"]
        moves = [{"id": move["id"], "disabled": move.get("disabled", False)} for move in active["moves"]]
        short["active"] = [{"moves": moves, "trapped": active.get("trapped", False)}]
    return short


class _Noted(dict):
    """A table that notes what is looked up."""

    def __init__(self, table):
        super().__init__(table)
        self.seen = set()

    def __getitem__(self, key):
        self.seen.add(key)
        return super().__getitem__(key)

    def get(self, key, default=None):
        self.seen.add(key)
        return super().get(key, default)

    def part(self):
        return {key: dict.get(self, key) for key in sorted(self.seen & self.keys())}


def used(battles, known):
    """All that the tests do with battles."""
    data = pokemon.build(GIVEN, LOGGED, lambda: contextlib.nullcontext(battles), lambda: known).data
    stored = type("Stored", (), {"play": pokemon.play(GIVEN, lambda: battles, lambda: known)})
    played = {
        (domain, name): play_policy(stored, domain, number, policy, name)
        for domain in GENERATIONS
        for name, (policy, number) in PLAYED.items()
    }
    return data, played


def record():
    """The bytes of the fixture; needs Node.js."""
    known = {
        number: Dex(number, _Noted(dex.moves), _Noted(dex.species), dex.chart) for number, dex in kept_dexes().items()
    }
    with Simulator() as simulator:
        recorder = Recorder(simulator)
        used(recorder, known)
    tables = {
        str(number): {"moves": dex.moves.part(), "species": dex.species.part(), "chart": dex.chart}
        for number, dex in known.items()
    }
    return json.dumps({"dex": tables, "said": recorder.said}, separators=(",", ":"), sort_keys=True).encode()


def recorded(content):
    """The simulator and the tables that `record` noted."""
    found = json.loads(content)
    return Recording(found["said"]), dexes(found["dex"])
