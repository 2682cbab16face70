"""Follows the sweeps of a store until all of their runs have ended: ``status --watch``."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from datetime import datetime

from rich.console import Console
from rich.live import Live
from rich.text import Text

from benchmarks.commands import say
from benchmarks.commands.states import is_open, line_of, show_sweeps
from benchmarks.sweeps.glance import Glance, SweepState
from benchmarks.sweeps.left import Speeds

QUIET = 2
"""Looks at a store in which nothing is under way, before it counts as done: the next stage of a sweep may be about to
begin."""


def follow(address: str, console: Console, seconds: int, sleep: Callable[[float], object] = time.sleep) -> None:
    """Shows how far the sweeps are until nothing is under way; what stands in the end is not left on the screen.

    In a terminal a table renews itself; elsewhere there is a line for each sweep whose runs have gone on.

    Args:
        address: Of the store.
        console: Where to show it.
        seconds: Between two looks.
        sleep: Waits.
    """
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as screen:
            _until_done(address, lambda *found: screen.update(_table(console, *found), refresh=True), seconds, sleep)
    else:
        said: dict[int, str] = {}
        _until_done(address, lambda *found: _say_new(console, said, *found), seconds, sleep)


Show = Callable[[list[SweepState], Speeds], None]


def _until_done(address: str, show: Show, seconds: int, sleep: Callable[[float], object]) -> None:
    quiet = 0
    while True:
        with Glance(address) as store:  # anew: a server would see an open transaction
            sweeps, speeds = store.sweeps(), store.speeds()
        show(sweeps, speeds)
        quiet = 0 if any(map(is_open, sweeps)) else quiet + 1
        if quiet >= QUIET:
            return
        sleep(seconds)


def _table(console: Console, sweeps: list[SweepState], speeds: Speeds) -> Text:
    """On a console of its own: what is printed on the one that is live comes with what is live."""
    page = Console(file=io.StringIO(), width=console.width, force_terminal=True)
    with page.capture() as captured:
        show_sweeps(page, sweeps, speeds)
    return Text.from_ansi(captured.get())


def _say_new(console: Console, said: dict[int, str], sweeps: list[SweepState], speeds: Speeds) -> None:
    for sweep in sweeps:
        counts = str(sorted(sweep.counts().items()))
        if said.get(sweep.number) != counts:
            said[sweep.number] = counts
            say.line(console, f"{datetime.now():%H:%M:%S} {line_of(sweep, speeds)}")
