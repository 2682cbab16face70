"""Battles by generation: what the simulator itself says about the first person, and what a player cannot know."""

import contextlib
import copy
import dataclasses
import shutil

import numpy as np
import pytest
import torch

from benchmarks.base.values import BINS
from benchmarks.datasets import DATASETS, cache, fetch
from benchmarks.datasets.decisions import pokemon, pokemon_simulator
from benchmarks.datasets.decisions.games import as_teacher
from benchmarks.datasets.decisions.packages import kept
from benchmarks.datasets.decisions.pokemon_battle import BOTS, Battle, Fought, fight
from benchmarks.datasets.decisions.pokemon_bots import strongest, teacher
from benchmarks.datasets.decisions.pokemon_dex import GENERATIONS, kept_dexes
from benchmarks.datasets.decisions.pokemon_logs import read
from benchmarks.datasets.decisions.pokemon_player import MOVES, OPTIONS
from benchmarks.datasets.decisions.pokemon_scene import SIDES, condition, named
from benchmarks.datasets.decisions.pokemon_simulator import PACKAGES, Simulator
from benchmarks.datasets.decisions.pokemon_view import view
from benchmarks.datasets.decisions.steps import DONE, RETURN, TEACHER
from benchmarks.datasets.fetch import FetchError
from tests.benchmarks.datasets.decisions.battles import GIVEN, LOGGED, recorded, used
from tests.benchmarks.datasets.decisions.gaps import inside_and_outside
from tests.benchmarks.datasets.decisions.record import at_hand, load

HERE = shutil.which("node") is not None and all(at_hand(package) for package in PACKAGES)
needs_node = pytest.mark.skipif(
    not HERE, reason="needs Node.js and the packages of @pkmn; data pokemon-generations fetches them"
)


@pytest.fixture(scope="module")
def content():
    return load("pokemon.json")


@pytest.fixture
def battles(content):
    return recorded(content)[0]


@pytest.fixture(scope="module")
def known(content):
    return recorded(content)[1]


@pytest.fixture(scope="module")
def played(content):
    """The data set of the recorded battles, and what came of those that were played."""
    return used(*recorded(content))


def watched(dex, battles, seed, bots, rng):
    """A battle, and all that was asked: side, lines by then, who was asked, the request, the state, the choice."""
    battle, asks = Fought(dex, battles, seed), []
    while not battle.over:
        options = {side: bots[side](first, rng) for side, first in battle.asked.items()}
        for side, option in options.items():
            first = battle.asked[side]
            asks.append((side, len(battle.lines), first, view(first), battle._requests[side],
                         copy.deepcopy(first.mine.mons), first.said(option)))  # fmt: skip
        battle.choose(options)
    return battle, asks


def against_requests(battle, asks, dexes):
    """The first person of the log beside the simulator's requests: how many agree, of how many."""
    counts = dict.fromkeys(("moments", "masks", "views", "choices", "states"), 0)
    for side, decided in read(battle.lines, dexes, battle.teams).decided.items():
        own = [ask for ask in asks if ask[0] == side]
        for moment, choice in zip(decided.moments, decided.choices, strict=True):
            _, _, first, seen, request, mons, said = next(ask for ask in reversed(own) if ask[1] <= moment.line)
            counts["moments"] += 1
            counts["masks"] += np.array_equal(first.legal, moment.first.legal)
            counts["views"] += all(map(np.array_equal, vars(seen).values(), vars(moment.view).values()))
            counts["choices"] += moment.first.said(choice) == said
            right = True
            for told in request["side"]["pokemon"]:
                share, status = condition(told["condition"])
                mon = mons.get(named(told["ident"])[1])
                right &= (share, status) == (1.0, "") if mon is None else (
                    abs(mon.hp - share) <= 0.0101 and mon.status == status
                )  # fmt: skip
            counts["states"] += right
    return counts


@pytest.mark.parametrize("domain", GENERATIONS)
def test_the_first_person_is_what_the_simulator_told(battles, known, domain):
    """From the public log alone: hit points, states, what may be chosen, and what was."""
    for number in range(LOGGED):
        rng = np.random.default_rng(pokemon.seed_from("pokemon bots", "mixed", domain, number))
        names = rng.choice(pokemon.LOGS["mixed"], len(SIDES))
        bots = {side: BOTS[name] for side, name in zip(SIDES, names, strict=True)}
        seed = pokemon.seed_from("pokemon battle", domain, number)
        battle, asks = watched(known[GENERATIONS[domain]], battles, seed, bots, rng)
        found = against_requests(battle, asks, known)
        assert found["moments"] > 10
        for what, count in found.items():
            assert count == found["moments"], what


def test_the_recorded_set(played):
    data, _ = played
    assert data.names == tuple(GENERATIONS)
    assert data.n_outputs == OPTIONS + BINS
    for domain in data.domains:
        there = domain.labels[..., DONE] >= 0
        assert domain.inputs.dtype == torch.int16
        assert len(domain.groups.unique()) == LOGGED
        labels, steps = domain.labels[there], domain.inputs[there]
        legal = steps[:, -OPTIONS:, 0] > 0
        for column in (DONE, TEACHER):
            assert legal.gather(1, labels[:, column : column + 1].long()).all()
        assert (legal.sum(dim=1) > 1).all()
        assert set(labels[:, RETURN].tolist()) == {0.0, 1.0}
        # Of each battle one player has won: the same return from the first step to the last.
        won = [domain.labels[place][there[place]][:, RETURN].unique().tolist() for place in range(len(domain))]
        assert all(len(each) == 1 for each in won)


def test_the_same_data_twice(content, played):
    again, _ = used(*recorded(content))
    assert again.digest() == played[0].digest()


@pytest.mark.parametrize("domain", GENERATIONS)
def test_the_teacher_is_far_above_random(played, domain):
    """Against the strongest attack."""
    won = {name: float(np.mean(played[1][domain, name].outcomes)) for name in ("teacher", "random")}
    assert won["random"] == 0.0
    assert won["teacher"] >= 0.4


def test_what_is_known_of_the_own_team(content, played):
    """Only what the log shows: fewer options, each of them one of those that there were."""
    simulator, known = recorded(content)
    start = lambda: contextlib.nullcontext(simulator)  # noqa: E731
    shown = pokemon.build(GIVEN | {"team": "shown"}, LOGGED, start, lambda: known).data
    for given, less in zip(played[0].domains, shown.domains, strict=True):
        most, least = (float((each.inputs[..., -OPTIONS:, 0] > 0).float().mean()) for each in (given, less))
        assert 0.2 * most < least < most


def some_battle(battles, known, domain="generation-4"):
    seed = pokemon.seed_from("pokemon battle", domain, 0)
    rng = np.random.default_rng(pokemon.seed_from("pokemon bots", "mixed", domain, 0))
    names = rng.choice(pokemon.LOGS["mixed"], len(SIDES))
    battle = Fought(known[GENERATIONS[domain]], battles, seed)
    fight(battle, {side: BOTS[name] for side, name in zip(SIDES, names, strict=True)}, rng)
    return battle


def views_of(found, side):
    return [(moment.line, moment.view) for moment in found.decided[side].moments]


def same(one, another):
    return all(map(np.array_equal, vars(one).values(), vars(another).values()))


@pytest.mark.parametrize("domain", GENERATIONS)
def test_nothing_that_the_player_cannot_know_is_seen(battles, known, domain):
    """Another team of the opponent's, another future, other effects of types: the same view."""
    battle = some_battle(battles, known, domain)
    first, second = SIDES
    found = views_of(read(battle.lines, known, battle.teams), first)
    others = {first: battle.teams[first], second: {
        name: dataclasses.replace(own, moves=("splash",), item="choiceband", hidden="Fire")
        for name, own in battle.teams[second].items()
    }}  # fmt: skip
    for mine, theirs in zip(found, views_of(read(battle.lines, known, others), first), strict=True):
        assert same(mine[1], theirs[1])
    half = len(battle.lines) // 2
    cut = views_of(read(battle.lines[:half], known, battle.teams), first)
    assert len(cut) > 3
    for mine, theirs in zip(found, cut, strict=False):
        assert same(mine[1], theirs[1])
    blank = {number: dataclasses.replace(dex, chart={}) for number, dex in known.items()}
    changed = read(battle.lines, blank, battle.teams).decided[first].moments
    for mine, theirs in zip(found, changed, strict=True):
        assert same(mine[1], theirs.view)


def test_which_type_hurts_which_is_what_the_teacher_knows(battles, known):
    battle = some_battle(battles, known)
    blank = {number: dataclasses.replace(dex, chart={}) for number, dex in known.items()}
    told, untold = (
        [moment.teacher for own in read(battle.lines, tables, battle.teams).decided.values() for moment in own.moments]
        for tables in (known, blank)
    )
    assert told != untold


def test_an_illegal_option_is_refused(battles, known):
    game = pokemon.play(GIVEN, lambda: battles, lambda: known).game("generation-1", 0)
    assert isinstance(game, Battle)
    before = game.text()
    wrong = int(np.flatnonzero(~game.first.legal)[0]) if (~game.first.legal).any() else None
    while wrong is None:
        game.act(game.teacher())
        wrong = int(np.flatnonzero(~game.first.legal)[0]) if (~game.first.legal).any() else None
        before = game.text()
    with pytest.raises(ValueError, match=f"option {wrong} is not legal now"):
        game.act(wrong)
    assert game.text() == before


def test_a_battle_that_is_played(battles, known):
    game = pokemon.play(GIVEN, lambda: battles, lambda: known).game("generation-2", 0)
    rewards = []
    while not game.over:
        assert game.view().legal.sum() > 1
        assert game.view().legal[game.teacher()]
        assert game.teacher() == teacher(game.first, None)
        rewards.append(game.act(as_teacher(game, None)))
    assert sum(rewards) == game.outcome() in (0.0, 1.0)
    assert rewards[:-1] == [0.0] * (len(rewards) - 1)


def test_pages_for_people(battles, known):
    pages = pokemon.page(GIVEN, lambda: battles, lambda: known)
    assert set(pages) == set(GENERATIONS)
    for text in pages.values():
        lines = text.splitlines()
        assert lines[2] == "turn 1"
        assert any(" uses " in line for line in lines)
        assert any(" comes (" in line for line in lines)


def test_bots_draw_nothing(battles, known):
    battle = Fought(known[3], battles, pokemon.seed_from("pokemon battle", "generation-3", 0))
    for first in battle.asked.values():
        for bot in (teacher, strongest):
            assert len({bot(first, np.random.default_rng(seed)) for seed in range(3)}) == 1
        assert strongest(first, None) < MOVES


def test_without_node(monkeypatch, own_cache, tmp_path, said):
    monkeypatch.setenv("PATH", str(tmp_path))
    status, _, err = said("data", "pokemon-generations")
    assert status == 1
    assert "battles are simulated by Node.js" in err
    assert "install Node.js 18 or newer" in err
    assert not list((tmp_path / "cache").glob("*.npz"))
    assert not list((tmp_path / "cache").glob("*.partial"))


@pytest.fixture
def program(monkeypatch, tmp_path):
    """Makes a script the only program that is found, as ``node``."""

    def make(text):
        path = tmp_path / "bin" / "node"
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(path.parent))

    return make


def test_an_old_node(program):
    program("echo v12.1.0")
    with pytest.raises(FetchError, match=r"need Node.js 18 or newer; .* says it is v12\.1\.0"):
        Simulator()


def test_a_simulator_that_ends_in_the_middle(monkeypatch, program):
    program('[ "$1" = --version ] && echo v20.0.0 || { read line; echo out of memory >&2; }')
    monkeypatch.setattr(pokemon_simulator, "PACKAGES", ())
    with Simulator() as simulator, pytest.raises(RuntimeError, match=r"ended in the middle .*out of memory"):
        simulator.start(1, 0)


def test_a_package_that_is_no_archive(tmp_path):
    path = tmp_path / "x.tgz"
    path.write_bytes(b"no archive")
    with pytest.raises(FetchError, match="cannot be unpacked"):
        pokemon_simulator._unpack(path, tmp_path / "out", PACKAGES[0])


@needs_node
@pytest.mark.slow
def test_tables_that_are_damaged_are_made_again(tmp_path, monkeypatch):
    packages = [kept(package) for package in PACKAGES]
    monkeypatch.setenv(fetch.VARIABLE, str(packages[0].parent))
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    known = kept_dexes()
    (path,) = (tmp_path / "packages").glob("pokemon-dex-*.json")
    path.write_bytes(path.read_bytes()[:1000])
    assert kept_dexes() == known


@needs_node
@pytest.mark.slow
def test_the_recording_can_be_made_again(played):
    data = pokemon.build(GIVEN, LOGGED).data
    assert data.digest() == played[0].digest()


@needs_node
@pytest.mark.slow
@pytest.mark.parametrize("domain", GENERATIONS)
def test_more_battles_against_the_simulators_requests(domain):
    """What nobody can see may differ: an ability that holds a player, and a choice that Encore changes."""
    dexes, counts = kept_dexes(), dict.fromkeys(("moments", "masks", "views", "choices", "states"), 0)
    with Simulator() as simulator:
        for seed in range(8):
            rng = np.random.default_rng(seed)
            bots = {side: BOTS[rng.choice(("teacher", "strongest", "random"))] for side in SIDES}
            battle, asks = watched(dexes[GENERATIONS[domain]], simulator, seed, bots, rng)
            for what, count in against_requests(battle, asks, dexes).items():
                counts[what] += count
    assert counts["moments"] > 200
    for what in ("masks", "views", "choices", "states"):
        assert counts[what] > 0.98 * counts["moments"], counts


@needs_node
@pytest.mark.slow
def test_the_real_set():
    data = DATASETS["pokemon-generations"]
    assert data.factory.build().data.digest() == data.digest


@pytest.mark.slow
@pytest.mark.skipif(
    not DATASETS["pokemon-generations"].factory.path.is_file(),
    reason="the recording's two battles of a generation are too few to be parted, and those of all are not here: "
    "data pokemon-generations prepares them",
)
def test_a_generation_that_is_held_out_is_harder():
    """The first, which has neither items nor abilities; the fourth is hardly harder after so few gradients."""
    inside, outside = inside_and_outside(
        "pokemon-generations", ("generation-1", "generation-4"), lr=3e-3, rollouts=20, depth=1
    )
    assert outside["generation-1"] < inside["generation-1"] - 0.03
