"""Tools that are called: the checker of the leaderboard, what the player cannot know, and broken wheels."""

import copy
import importlib
import sys

import numpy as np
import pytest
import torch

from benchmarks.datasets import DATASETS, cache, fetch
from benchmarks.datasets.decisions import tool_calls, tool_wheel
from benchmarks.datasets.decisions.games import as_teacher, at_random, log
from benchmarks.datasets.decisions.packages import kept
from benchmarks.datasets.decisions.tool_calls import FAMILIES, LOGS, Conversation, corrupted, segments
from benchmarks.datasets.decisions.tool_wheel import Call, answered, execute, same_state
from benchmarks.datasets.fetch import FetchError, Package
from tests.benchmarks.datasets.decisions.gaps import inside_and_outside
from tests.benchmarks.datasets.decisions.record import at_hand, load
from tests.benchmarks.packages import integrity


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Some conversations and their tools, as a wheel."""
    path = tmp_path_factory.mktemp("wheel") / tool_wheel.WHEEL.file_name
    path.write_bytes(load("tools.whl"))
    return path


@pytest.fixture(scope="module")
def tools(wheel):
    return tool_wheel.read(wheel)


@pytest.fixture(scope="module")
def games(tools):
    return tool_calls.play({"log": "mixed"}, lambda: tools)


def test_the_ground_truth_passes_and_nothing_else_is_known_of_the_wheel(tools):
    assert len(tools.tasks) == 20
    assert not [name for name in sys.modules if name.startswith("bfcl_eval")]
    for segment in segments(tools):
        game = Conversation(tools, segment, np.random.default_rng(0))
        steps = log(game, as_teacher, np.random.default_rng(0))
        assert game.outcome() == 1.0
        assert len(steps) == sum(len(segment.task.truth[turn]) + 1 for turn in segment.turns)
        assert sum(step.reward for step in steps) == len(segment.turns)


def test_a_turn_without_its_last_call_is_wrong(tools):
    wrong = 0
    chosen = [segment for segment in segments(tools) if segment.task.truth[segment.turns.start]]
    for segment in chosen:
        game = Conversation(tools, segment, np.random.default_rng(0))
        while len(game.pending) > 1:
            game.act(game.teacher())
        wrong += game.act(game.stop) == 0.0
    assert wrong >= len(chosen) - 1


def test_the_two_checks_of_a_turn(tools):
    assert same_state({}, {})
    assert answered(["a", "b", "a"], ["a", "a"])
    assert not answered(["a", "b"], ["a", "a"])
    task = next(task for task in tools.tasks if "TwitterAPI" in task.classes)
    one, other = tools.begin(task), tools.begin(task)
    assert same_state(one, other)
    execute(one, tools.owner, Call.of("authenticate_twitter(username='x', password='y')"))
    one["TwitterAPI"].username = "another"
    assert not same_state(one, other)


@pytest.mark.parametrize("domain", FAMILIES)
def test_the_teacher_is_far_above_random(games, domain):
    values = {"teacher": [], "random": []}
    for seed in range(6):
        for name, policy in (("teacher", as_teacher), ("random", at_random)):
            game = games.game(domain, seed)
            log(game, policy, np.random.default_rng(seed))
            values[name].append(np.mean(game.valid))
    assert np.mean(values["teacher"]) == 1.0
    assert np.mean(values["random"]) < 0.6


def test_nothing_that_the_player_cannot_know_is_seen(tools):
    """Other calls that are still to be made, and other states of the reference: the same view, another teacher."""
    differs = 0
    for segment in segments(tools):
        game = Conversation(tools, segment, np.random.default_rng(0))
        rng = np.random.default_rng(1)
        while not game.over:
            other = copy.copy(game)
            other.pending = list(reversed(game.pending))[:1]
            other.truth = {}
            other.valid = [not right for right in game.valid]
            for mine, theirs in zip(vars(game.view()).values(), vars(other.view()).values(), strict=True):
                assert np.array_equal(mine, theirs)
            differs += game.teacher() != other.teacher()
            game.act(corrupted(0.5)(game, rng))
    assert differs > 3


def test_the_same_data_twice(tools):
    built = [tool_calls.build({"log": "mixed"}, lambda: tools).data for _ in range(2)]
    assert built[0].digest() == built[1].digest()
    assert built[0].names == FAMILIES
    poor = tool_calls.build({"log": "poor"}, lambda: tools).data
    agreed = []
    for data in (built[0], poor):
        labels = torch.cat([domain.labels.flatten(0, 1) for domain in data.domains])
        labels = labels[labels[:, 0] >= 0]
        agreed.append(float((labels[:, 0] == labels[:, 1]).double().mean()))
        assert set(labels[:, 2].tolist()) == {0.0, 1.0}  # the return of a step is that of its turn
    assert agreed[0] > agreed[1] > 0.4
    assert len(LOGS["mixed"]) == 3


def test_calls_are_read_and_not_evaluated():
    call = Call.of("f('a', b=[1, {'c': None}])")
    assert (call.name, call.positional, call.named) == ("f", ("a",), {"b": [1, {"c": None}]})
    for text in ("f(g())", "__import__('os').system('x')", "3", "f(**{})"):
        with pytest.raises((ValueError, TypeError)):
            Call.of(text)


def test_an_error_of_a_tool_is_an_answer(tools):
    task = next(task for task in tools.tasks if "GorillaFileSystem" in task.classes)
    own = tools.begin(task)
    assert execute(own, tools.owner, Call("cd", (), {}, "cd()")).startswith("Error during execution")
    assert tool_wheel.is_error(execute(own, tools.owner, Call.of("cd(folder='nowhere')")))
    assert not tool_wheel.is_error(execute(own, tools.owner, Call.of("pwd()")))


def test_broken_wheels(tmp_path):
    path = tmp_path / "x.whl"
    path.write_bytes(b"no archive")
    with pytest.raises(FetchError, match="holds no readable tools"):
        tool_wheel.read(path)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("bfcl_eval")


def test_a_package_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    source = tmp_path / "source"
    source.mkdir()
    monkeypatch.setenv(fetch.VARIABLE, str(source))
    path = source / "some_thing-1.0-py3-none-any.whl"
    path.write_bytes(b"whole")
    package = Package("wheel", "some-thing", "1.0", integrity(path, "sha256"))
    first = kept(package)
    assert first.read_bytes() == b"whole"
    path.unlink()
    assert kept(package) == first
    first.write_bytes(b"half")
    path.write_bytes(b"whole")
    assert kept(package).read_bytes() == b"whole"
    path.write_bytes(b"another")
    first.unlink()
    with pytest.raises(FetchError, match="broken or another one"):
        kept(package)
    assert not first.exists()


def test_a_page_for_people(tools):
    pages = tool_calls.page({"log": "mixed"}, lambda: tools)
    assert set(pages) == set(FAMILIES)
    assert all(text.startswith("user: ") and "stop: right" in text for text in pages.values())


def judged(tools, task, turns):
    """The verdict on the calls of each turn, by the two checks."""
    mine, truth, given = tools.begin(task), tools.begin(task), []
    for calls, wanted in zip(turns, task.truth, strict=True):
        given += [execute(mine, tools.owner, call) for call in calls]
        results = [execute(truth, tools.owner, call) for call in wanted]
        if wanted and not (calls and same_state(mine, truth) and answered(given, results)):
            return False
    return True


@pytest.mark.slow
@pytest.mark.skipif(not at_hand(tool_wheel.WHEEL), reason="needs the wheel of bfcl-eval; data tool-calls fetches it")
def test_the_real_wheel():
    """Conversations, whole and with a call left out or made twice: the verdicts of the wheel's own checker."""
    data, path = DATASETS["tool-calls"], kept(tool_wheel.WHEEL)
    assert data.factory.build().data.digest() == data.digest
    tools = tool_wheel.read(path)
    rng, number, wrong = np.random.default_rng(0), 0, 0
    with tool_wheel._importable(path):
        checker = importlib.import_module("bfcl_eval.eval_checker.multi_turn_eval.multi_turn_checker")
        for task in tools.tasks:
            calls = [call for turn in task.truth for call in turn]
            if not calls or any(tools.family(call.name) is None for call in calls):
                continue
            dropped, doubled = calls[rng.integers(len(calls))], calls[rng.integers(len(calls))]
            for kind, turns in {
                "whole": task.truth,
                "dropped": [[call for call in turn if call is not dropped] for turn in task.truth],
                "doubled": [[one for call in turn for one in [call] * (1 + (call is doubled))] for turn in task.truth],
            }.items():
                number += 1
                entry = {"initial_config": task.config, "involved_classes": list(task.classes)}
                verdict = checker.multi_turn_checker(
                    [[[call.text for call in turn]] if turn else [] for turn in turns],
                    [[call.text for call in turn] for turn in task.truth],
                    {**entry, "id": f"{task.name}_{kind}"},
                    "multi_turn_base",
                    "x",
                )["valid"]
                assert verdict == judged(tools, task, turns), (task.name, kind)
                assert verdict or kind != "whole"
                wrong += not verdict
    assert number > 500
    assert wrong > 150


@pytest.mark.slow
@pytest.mark.skipif(not at_hand(tool_wheel.WHEEL), reason="needs the wheel of bfcl-eval; data tool-calls fetches it")
def test_a_family_that_is_held_out_is_harder():
    inside, outside = inside_and_outside("tool-calls", ("files", "travel"), depth=1)
    for name, value in outside.items():
        assert value < inside[name] - 0.03
