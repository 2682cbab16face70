"""What a sweep shows in the terminal while it is at work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from benchmarks.sweeps.heartbeat import Heartbeat
from benchmarks.sweeps.plan import duration, seconds_left
from benchmarks.sweeps.snapshot import Snapshot, Watch
from benchmarks.sweeps.store import Store

_EVERY = 1.0
"""Seconds between two questions for what is costly to find out."""


@contextmanager
def live(console: Console, store: Store, sweep_id: int) -> Iterator[Watch]:
    """Shows runs done, running and failed, the time left, and the best so far; gives the function to call.

    Where there is no terminal it says lines: see `benchmarks.sweeps.heartbeat`.
    """
    if not console.is_terminal:

        def left(stage: int) -> str:
            seconds = seconds_left(store.ahead(stage), store.speeds(), 1)
            return "" if seconds is None else f"about {duration(seconds)} of one worker left"

        def say(text: str) -> None:
            console.print(text, markup=False, highlight=False, soft_wrap=True)

        heartbeats: dict[int, Heartbeat] = {}

        def tell(now: Snapshot) -> None:
            stage = now.sweep_id or sweep_id
            if stage not in heartbeats:
                heartbeats[stage] = Heartbeat(say, lambda: left(stage))
            heartbeats[stage](now)

        yield tell
        return
    columns = (
        TextColumn("runs"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    bar = Progress(*columns, console=console)
    task = bar.add_task("runs", total=None, left="")
    looked = float("-inf")
    best: list[RenderableType] = []

    with Live(bar, console=console, refresh_per_second=4) as screen:

        def watch(now: Snapshot) -> None:
            nonlocal looked, best
            end = now.done == now.total
            if time.monotonic() - looked > _EVERY or end:
                looked = time.monotonic()
                found = store.progress(now.sweep_id or sweep_id)
                left = seconds_left(found.rows_ahead(), found.speeds, max(now.workers, 1))
                bar.update(task, left="" if left is None or end else f"about {duration(left)} left")
                best = [
                    Text(
                        f"best so far on {one.dataset}: {one.algorithm}, "
                        f"validation {one.validation:.3f} (held out {one.held_out})"
                    )
                    for one in found.best
                ]
            bar.update(task, completed=now.done, total=now.total)
            screen.update(Group(bar, _line(now), *best))

        yield watch


def _line(now: Snapshot) -> Text:
    counts = now.counts
    line = f"{counts['finished']} finished, {counts['running']} running, {counts['pending']} waiting, "
    line += f"{counts['diverged']} diverged, " if counts["diverged"] else ""
    line += f"[red]{counts['failed']} failed[/red]" if counts["failed"] else "0 failed"
    if now.lost:
        line += f"; {now.lost} attempts lost and done again, the last one: {escape(now.note)}"
    elif now.note:
        line += f"; {escape(now.note)}"
    return Text.from_markup(line)
