"""Logs of battles: read by hand, and folders of them."""

import contextlib
import json

import numpy as np
import pytest

from benchmarks.datasets import DATASETS, cache
from benchmarks.datasets.decisions import by_path, pokemon, pokemon_folder
from benchmarks.datasets.decisions.pokemon_battle import told
from benchmarks.datasets.decisions.pokemon_dex import GENERATIONS, PSEUDO, identifier
from benchmarks.datasets.decisions.pokemon_lines import take
from benchmarks.datasets.decisions.pokemon_logs import read, shown
from benchmarks.datasets.decisions.pokemon_player import MOVES, Own, rebuilt
from benchmarks.datasets.decisions.pokemon_scene import BrokenLogError, Scene, condition, details, named
from benchmarks.datasets.decisions.steps import RETURN
from tests.benchmarks.datasets.decisions.battles import GIVEN, LOGGED, recorded
from tests.benchmarks.datasets.decisions.record import load

BEGIN = """
|player|p1|Ann|
|player|p2|Bob|
|gametype|singles
|gen|2
|teamsize|p1|2
|teamsize|p2|2
|start
|switch|p1a: Rocky|Onix, L50|100/100
|switch|p2a: Milotank|Miltank, L50, F|100/100
|turn|1
""".strip().splitlines()


@pytest.fixture(scope="module")
def known():
    return recorded(load("pokemon.json"))[1]


def scene_of(lines):
    scene = Scene()
    for line in lines:
        take(scene, line)
    return scene


def test_words_of_the_log():
    assert named("p1a: Mr. Mime: the 2nd") == ("p1", "Mr. Mime: the 2nd")
    assert details("Nidoran-M, L81, M, shiny") == ("nidoranm", 81)
    assert details("Mewtwo") == ("mewtwo", 100)
    assert condition("78/100 par") == (0.78, "par")
    assert condition("0 fnt") == (0.0, "")
    assert condition("24/48") == (0.5, "")
    assert identifier("Hidden Power Fire 70") == "hiddenpower"


def test_a_scene_by_hand():
    scene = scene_of([
        *BEGIN,
        "|move|p2a: Milotank|Body Slam|p1a: Rocky",
        "|-damage|p1a: Rocky|64/100",
        "|-status|p1a: Rocky|par",
        "|move|p1a: Rocky|Curse|p1a: Rocky",
        "|-unboost|p1a: Rocky|spe|1",
        "|-boost|p1a: Rocky|atk|1",
        "|-sidestart|p1: Ann|Spikes",
        "|-weather|RainDance",
        "|turn|2",
    ])  # fmt: skip
    mine, theirs = scene.sides["p1"], scene.sides["p2"]
    assert (scene.generation, scene.turn, scene.weather) == (2, 2, "raindance")
    assert (mine.mon.hp, mine.mon.status, mine.active.boosts) == (0.64, "par", {"spe": -1, "atk": 1})
    assert mine.conditions == {"spikes": 1}
    assert (theirs.mon.moves, theirs.left, theirs.mon.level) == ({"bodyslam": 1}, 2, 50)
    take(scene, "|switch|p1a: Other|Gyarados, L50|100/100")
    assert mine.active.boosts == {}
    assert mine.mons["Rocky"].status == "par"
    take(scene, "|faint|p2a: Milotank")
    take(scene, "|win|Bob")
    assert (theirs.left, scene.over, scene.winner) == (1, True, "p2")


def test_choices_by_hand(known):
    """A move, a switch, one that could not move, one that goes on with what it began, and both out at once."""
    lines = [
        *BEGIN,
        "|switch|p1a: Fish|Gyarados, L50|100/100",
        "|move|p2a: Milotank|Rollout|p1a: Fish",
        "|-damage|p1a: Fish|90/100",
        "|turn|2",
        "|move|p2a: Milotank|Rollout|p1a: Fish|[from]lockedmove",
        "|-damage|p1a: Fish|60/100",
        "|cant|p1a: Fish|par",
        "|turn|3",
        "|move|p1a: Fish|Surf|p2a: Milotank",
        "|faint|p2a: Milotank",
        "|faint|p1a: Fish",
        "|",
        "|switch|p2a: Duck|Psyduck, L50|100/100",
        "|switch|p1a: Rocky|Onix, L50|100/100",
        "|turn|4",
        "|move|p2a: Duck|Surf|p1a: Rocky",
        "|faint|p1a: Rocky",
        "|win|Bob",
    ]
    teams = {
        "p1": {
            "Rocky": Own("Rocky", "onix", 50, ("curse", "rockslide")),
            "Fish": Own("Fish", "gyarados", 50, ("surf", "thunder")),
            "Third": Own("Third", "snorlax", 50, ("rest",)),
        },
        "p2": {
            "Milotank": Own("Milotank", "miltank", 50, ("milkdrink", "rollout")),
            "Duck": Own("Duck", "psyduck", 50, ("surf",)),
            "Fourth": Own("Fourth", "zapdos", 50, ("thunder",)),
        },
    }
    found = read(lines, known, teams)
    said = {
        side: [moment.first.said(choice) for moment, choice in zip(own.moments, own.choices, strict=True)]
        for side, own in found.decided.items()
    }
    assert said == {
        "p1": ["switch to Fish", "surf", "switch to Rocky"],
        "p2": ["rollout", "switch to Duck", "surf"],
    }
    assert (found.winner, found.finished, found.generation) == ("p2", True, 2)
    assert [step.reward for step in found.decided["p2"].steps(True)] == [0.0, 0.0, 1.0]
    out = {side: next(m for m in own.moments if m.first.forced) for side, own in found.decided.items()}
    assert out["p1"].line == out["p2"].line  # both chose before one of them was seen
    # What nobody was told follows from the whole log.
    team = shown(lines)["p1"]
    assert {name: own.moves for name, own in team.items()} == {"Rocky": (), "Fish": ("surf",)}


@pytest.mark.parametrize(
    ("lines", "legal"),
    [
        (["|-start|p1a: Rocky|Encore", "|turn|3"], {"rockslide"}),
        (["|-start|p1a: Rocky|Disable|Rock Slide", "|turn|3"], {"curse"}),
        (["|-start|p1a: Rocky|move: Taunt", "|turn|3"], {"rockslide"}),
        (["|-activate|p1a: Rocky|trapped", "|turn|3"], {"curse", "rockslide"}),
        (["|-item|p1a: Rocky|Choice Band|[from] move: Trick", "|turn|3"], {"rockslide", "switch"}),
        (["|turn|3"], {"curse", "rockslide", "switch"}),
        (["|move|p1a: Rocky|Rock Slide|p2a: Milotank"] * 15, {"curse", "switch"}),
        (["|faint|p1a: Rocky"], {"switch"}),
    ],
)
def test_what_may_be_chosen(known, lines, legal):
    scene = scene_of([*BEGIN, "|move|p1a: Rocky|Rock Slide|p2a: Milotank", "|turn|2", *lines])
    team = {
        "Rocky": Own("Rocky", "onix", 50, ("curse", "rockslide")),
        "Other": Own("Other", "gyarados", 50, ("surf",)),
    }
    dex = known[3]
    first = rebuilt(dex, scene, "p1", team, forced=scene.sides["p1"].mon.fainted)
    found = {first.said(place) if place < MOVES else "switch" for place in np.flatnonzero(first.legal)}
    trapped = any("trapped" in line for line in lines)
    expected = legal | ({"switch"} if not trapped else set())
    assert found == expected


def test_who_sleeps_in_the_first_generation_fights_or_leaves(known):
    lines = [line.replace("|gen|2", "|gen|1") for line in BEGIN]
    scene = scene_of([*lines, "|-status|p1a: Rocky|slp", "|turn|2"])
    team = {"Rocky": Own("Rocky", "onix", 50, ("rockslide",)), "Other": Own("Other", "gyarados", 50, ("surf",))}
    assert rebuilt(known[1], scene, "p1", team, forced=False).moves == (("fight", True),)
    assert "fight" in PSEUDO


def test_broken_lines():
    for line, message in (
        ("|-damage|p1a: Nobody|50/100", "was never sent out"),
        ("|switch|p3a: X|Onix|100/100", "names no Pokémon of p1 or p2"),
        ("|switch|p1a: X", "cannot be read: IndexError"),
        ("|-damage|p1a: Rocky|500/100", "is no share of hit points"),
        ("|-damage|p1a: Rocky|x/100", "cannot be read: ValueError"),
        ("|-boost|p1a: Rocky|atk|much", "cannot be read: ValueError"),
        ("|turn|first", "cannot be read: ValueError"),
        ("|win|Carl", "'Carl' has won, and players are Ann, Bob"),
    ):
        with pytest.raises(BrokenLogError, match=message):
            scene_of([*BEGIN, line])


def test_logs_of_other_battles(known):
    for old, new, message in (
        ("|gen|2", "|gen|9", "line 4: it is of generation 9; known are 1, 2, 3, 4"),
        ("|gametype|singles", "|gametype|doubles", "line 3: it is a battle of doubles, and only singles"),
        ("|gen|2", "|rated|", "line 10: a turn begins before the log says its generation"),
    ):
        with pytest.raises(BrokenLogError, match=message):
            read([new if line == old else line for line in BEGIN], known)


@pytest.fixture
def folder(tmp_path, monkeypatch, known):
    """Recorded battles as files; the tables of the game are those of the recording."""
    monkeypatch.setattr(pokemon_folder, "kept_dexes", lambda: known)
    simulator, _ = recorded(load("pokemon.json"))
    path = tmp_path / "logs"
    for domain, generation in GENERATIONS.items():
        for number in range(LOGGED):
            battle = pokemon.battle(known[generation], simulator, domain, number, GIVEN)
            text = "\n".join(battle.lines)
            name = f"{domain}-{number}"
            path.mkdir(exist_ok=True)
            if generation == 1:
                (path / f"{name}.json").write_text(json.dumps({"id": name, "log": text}), encoding="utf-8")
            elif generation == 2:
                page = f'<p><script type="text/plain" class="battle-log-data">{text.replace("</", "<" + chr(92) + "/")}'
                (path / f"{name}.html").write_text(f"{page}</script></p>", encoding="utf-8")
            else:
                (path / f"{name}.log").write_text(text, encoding="utf-8")
    return path


def test_a_folder_of_logs(folder, known):
    """The same steps as from the simulator, where nobody tells the teams."""
    data = DATASETS[f"decisions:{folder}"]
    assert data.domains == tuple(GENERATIONS)
    assert "8 logged battles: moves and switches of both players" in data.description
    assert data.shown().keys() == GENERATIONS.keys()
    assert all("turn 1" in page.lower() for page in data.shown().values())
    simulator, _ = recorded(load("pokemon.json"))
    built = pokemon.build(
        GIVEN | {"team": "shown"}, LOGGED, lambda: contextlib.nullcontext(simulator), lambda: known
    ).data
    for one, another in zip(data.factory().domains, built.domains, strict=True):
        assert one.inputs.equal(another.inputs)
        assert one.labels.equal(another.labels)
    shorter = DATASETS[f"decisions:{folder}?window=8&units=different&loss=filtered"]
    assert shorter.factory().input_shape[0] == 8
    assert shorter.factory().domains[1].labels[..., RETURN].max() == 10.0
    assert shorter.factory.identity != data.factory.identity


def test_a_battle_without_an_end_is_counted(folder):
    path = folder / "generation-3-0.log"
    path.write_text("\n".join(path.read_text(encoding="utf-8").splitlines()[:-1]), encoding="utf-8")
    assert "(1 without an end are left out)" in by_path.entry(str(folder)).description


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.log", "hello", "no line begins with"),
        ("x.json", "{", "it is no JSON"),
        ("x.json", '{"log": 3}', "it is no replay"),
        ("x.json", "[" * 100_000, "it is no JSON"),
        ("x.html", "<p>", "it is no saved battle"),
        ("x.log", "\n".join(BEGIN).replace("|gen|2", "|gen|7"), "of generation 7; known are 1, 2, 3, 4"),
        ("x.log", "\n".join([*BEGIN, "|-damage|p1a: Rocky|lots"]), "line 11: the line .* cannot be read"),
        ("x.log", "\n".join(BEGIN).encode() + b"\xff", "x.log: .*utf-8"),
    ],
)
def test_broken_files_are_named(folder, name, content, message):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message) as raised:
        by_path.entry(str(folder))
    assert f"{folder / name}: " in str(raised.value)
    assert "mend the file, or take it out of the folder" in str(raised.value)


def test_a_battle_that_is_there_twice(folder):
    first = next(path for path in sorted(folder.glob("*")) if path.suffix == ".log")
    text = first.read_text(encoding="utf-8").replace("\n", "\r\n") + "\r\n"
    (folder / "x.json").write_text(json.dumps({"log": text}), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"x\.json holds the same battle as {first.name}"):
        by_path.entry(str(folder))


def test_a_short_line_is_told_as_far_as_it_goes():
    assert told(["|turn|1", "|cant|p1a: Rocky", "|win|Ann", "", "x"]).splitlines()[:2] == [
        "turn 1",
        "  p1a: Rocky cannot move ()",
    ]


def test_what_players_say_is_no_line_of_the_log(folder):
    """Signs that part lines elsewhere."""
    path = next(path for path in sorted(folder.glob("*")) if path.suffix == ".log")
    before = by_path.entry(str(folder)).factory()
    said = "|c|Ann|so\u2028|win|nobody\x0b|gen|9\x85|tie"
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{said}\n", encoding="utf-8")
    assert by_path.entry(str(folder)).factory().digest() == before.digest()


def test_folders_that_are_none(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"a folder without what is read from one: .* Pokémon Showdown \(\.log, \.txt"):
        by_path.entry(str(tmp_path / "empty"))
    with pytest.raises(ValueError, match=r"a folder without a log of a battle; its files must end in \.log, \.txt"):
        pokemon_folder.read(tmp_path / "empty", 32, 1.0)
    for path in folder.glob("*"):
        if "generation-4" not in path.name:
            path.unlink()
    with pytest.raises(ValueError, match=r"has the domains \['generation-4'\]; there must be at least two"):
        by_path.entry(str(folder))


def test_a_folder_where_the_tables_cannot_be_had(tmp_path, monkeypatch):
    (tmp_path / "x.log").write_text("\n".join(BEGIN), encoding="utf-8")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"tables of the game are needed, and battles are simulated by Node\.js"):
        by_path.entry(str(tmp_path))
    assert not list((tmp_path / "cache").rglob("*.json"))
