"""Does ``show``."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.base.called import called
from benchmarks.commands import say
from benchmarks.sweeps.glance import Found, Glance
from benchmarks.sweeps.left import duration


def show_command(key: str, address: str, output: Path, store: str | None) -> int:
    """See `benchmarks.commands.words.status`."""
    console = say.console()
    with Glance(address) as opened:
        run = opened.run(key)
    say.line(console, f"run {run.key}: {run.status}", style="bold")
    config = run.config
    for name, value in config.items():
        say.line(console, f"  {name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    say.line(console, f"  code: {run.code}")
    _show_attempts(console, run)
    _show_traceback(console, run)
    _show_again(console, run, output, store)
    return 0


def _show_attempts(console: Console, run: Found) -> None:
    if not run.attempts:
        say.line(console, "No attempt yet.")
        return
    say.line(console, "attempts:", style="bold")
    for attempt in run.attempts:
        parts = [attempt["status"]]
        if attempt["started"] is not None:
            parts.append(datetime.fromtimestamp(attempt["started"]).astimezone().isoformat(" ", "seconds"))
        if attempt["wall_seconds"] is not None:
            parts.append(duration(attempt["wall_seconds"]))
        if attempt["worker"]:
            parts.append(f"by {attempt['worker']} on {attempt['host']}")
        if attempt["validation"] is not None:
            parts.append(f"validation {attempt['validation']:.3f}")
        say.line(console, f"  {attempt['number']}: {', '.join(parts)}")
        if attempt["error"]:
            say.line(console, f"     {attempt['error']}")


def _show_traceback(console: Console, run: Found) -> None:
    """Of the last attempt that has one, as Python printed it."""
    texts = [attempt["traceback"] for attempt in run.attempts if attempt["traceback"]]
    if texts:
        say.line(console, "traceback:", style="bold")
        say.raw(console, texts[-1].rstrip())


def _show_again(console: Console, run: Found, output: Path, store: str | None) -> None:
    if run.status == "finished":
        return
    if run.config["dataset"].startswith("wilds:"):
        where: list[Any] = ["wilds", run.config["dataset"].partition(":")[2], "--algorithm", run.config["algorithm"]]
        say.line(console, f"Once more: {called(*where, '--retry-failed')}, with the options it had.")
        return
    place = ["--store", store] if store is not None else ["--output", str(output)]
    say.line(console, f"Once more: {called('again', run.key, *place)}")
