"""The public log of Pokémon Showdown, line by line, as a spectator takes it in.

Lines that say nothing about the state are passed over; a line that is broken raises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from benchmarks.datasets.decisions.pokemon_dex import identifier
from benchmarks.datasets.decisions.pokemon_scene import (
    Active,
    BrokenLogError,
    Mon,
    Scene,
    condition,
    details,
    effect,
    named,
    other,
    said,
)

_ONE_TURN = frozenset({"protect", "endure", "focuspunch", "roost", "snatch", "magiccoat", "flinch"})
_PASSED = frozenset({"substitute", "confusion", "leechseed", "ingrain", "aquaring", "curse", "focusenergy", "trapped"})
_TRAPS = frozenset(
    {"trapped", "wrap", "bind", "clamp", "firespin", "whirlpool", "sandtomb", "magmastorm", "partiallytrapped"}
)


def take(scene: Scene, line: str) -> None:
    """Changes the scene by one line of the log.

    Raises:
        BrokenLogError: If it cannot be meant so.
    """
    word, *rest = line.split("|")[1:] or [""]
    reader = _READERS.get(word)
    if reader is None:
        return
    try:
        reader(scene, rest)
    except (IndexError, KeyError, ValueError, ZeroDivisionError) as error:
        if isinstance(error, BrokenLogError):
            raise
        raise BrokenLogError(f"the line {line[:80]!r} cannot be read: {type(error).__name__}: {error}") from error


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
