"""``status --watch``: what it shows while runs go on, and when it ends. What it waits for is done while it waits."""

import io

import pytest
from rich.console import Console

from benchmarks.commands.following import follow
from benchmarks.sweeps.coordinator import perform
from benchmarks.sweeps.store import Store
from tests.benchmarks.commands.terminal import in_terminal
from tests.benchmarks.toy_sweeps import toy_sweep


def console(terminal):
    return Console(file=io.StringIO(), width=120, force_terminal=terminal, color_system=None)


@pytest.fixture
def entered(tmp_path):
    """A store in which a sweep waits, and what does its runs."""
    sweep = toy_sweep("toy-sgd", "toy-memory", refit=["toy-sgd"])
    with Store(tmp_path / "store.sqlite") as store:
        store.enter(sweep)

        def go_on(_):
            perform(sweep, store, tmp_path)

        yield str(tmp_path / "store.sqlite"), go_on


def test_in_a_pipe_there_is_a_line_where_something_has_happened(entered):
    address, go_on = entered
    there, looks = console(terminal=False), []

    def wait(seconds):
        looks.append(seconds)
        go_on(seconds)

    follow(address, there, 7, sleep=wait)
    lines = [line[9:] for line in there.file.getvalue().splitlines()]
    assert lines == [
        "sweep 1 (toy): 0 of 6 runs have ended, 6 waiting",
        "sweep 1 (toy): 6 of 6 runs have ended, 3 failed",
        "sweep 2 (toy; refit): 3 of 3 runs have ended",
    ]
    assert looks == [7, 7]  # the second one to see that no stage follows


def test_in_a_terminal_a_table_renews_itself_and_goes_away(entered):
    address, go_on = entered
    there = console(terminal=True)
    follow(address, there, 1, sleep=go_on)
    text = there.file.getvalue()
    tables = [part for part in text.split("data sets") if "toy" in part]
    assert len(tables) >= 3  # three looks, and the last one once more when the screen is given back
    assert "toy; refit" not in tables[0]
    assert "toy; refit" in tables[-1]
    assert "\x1b[1A\x1b[2K" in tables[-1] + text[-200:]  # its lines are taken back


def test_a_store_in_which_nothing_waits_is_shown_once(said, entered):
    address, go_on = entered
    go_on(0)
    folder = address.removesuffix("/store.sqlite")
    status, out, _ = said("status", folder, "--watch", "1")
    assert status == 0
    assert "3 runs failed, by cause:" in out
    assert said("status", folder)[1].strip() in out
    status, _, err = said("status", folder, "--watch", "0")
    assert status == 2
    assert "--watch" in err


@pytest.mark.slow
def test_in_a_real_terminal(entered):
    address, go_on = entered
    go_on(0)
    status, lines = in_terminal("status", address.removesuffix("/store.sqlite"), "--watch", "1", columns=80)
    assert status == 0
    assert any("data sets" in line for line in lines)
    assert any("3 runs failed" in line for line in lines)
