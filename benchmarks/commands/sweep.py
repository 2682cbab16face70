"""Does ``plan`` and ``sweep``."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.base.called import called
from benchmarks.base.errors import ConfigError
from benchmarks.base.records import Record
from benchmarks.commands import say
from benchmarks.commands.ahead import tell_ahead
from benchmarks.commands.chosen import Chosen
from benchmarks.commands.options import sweep_from
from benchmarks.commands.places import LINES, STORE, address
from benchmarks.commands.status import tell_causes
from benchmarks.reports.constant import warnings_of
from benchmarks.reports.load import completed
from benchmarks.reports.selection import Selection
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.coordinator import SweepError, perform, summarize
from benchmarks.sweeps.glance import causes_of
from benchmarks.sweeps.plan import duration, number_of_workers, plan
from benchmarks.sweeps.progress import live
from benchmarks.sweeps.store import Store, StoreError
from benchmarks.sweeps.timing import Timed, time_steps

__all__ = ["carried_out", "plan_command", "sweep_command"]


def plan_command(file: Path | None, output: Path, store: str | None, timing: bool, chosen: Chosen | None) -> int:
    """See `benchmarks.commands.words.sweep`."""
    console = say.console()
    try:
        sweep = sweep_from(file, chosen)
        speeds: dict[tuple[str, str], float] = {}
        counts = None
        if store is not None or (output / STORE).exists():
            with Store(address(store, output)) as opened:
                speeds, counts = opened.speeds(), opened.known(sweep)
    except StoreError as error:
        return say.refuse(str(error))
    fatal = tell_ahead(console, sweep)
    timed = time_steps(sweep, speeds) if timing else Timed()
    _show_plan(console, sweep, {**timed.speeds, **speeds}, timed=bool(timed.speeds))
    if counts is not None:
        say.line(console, f"The store has {counts['finished']} of them finished and {counts['failed']} failed.")
    for (dataset, algorithm), why in timed.failed.items():
        say.line(console, f"CANNOT BEGIN: {algorithm} on {dataset}: {why}", style="bold red")
    return 1 if fatal or timed.failed else 0


def _show_plan(console: Console, sweep: SweepConfig, speeds: dict[tuple[str, str], float], timed: bool) -> None:
    shares = plan(sweep, speeds)
    rows = [
        (
            *(share.dataset, share.algorithm, str(share.held_out), str(share.runs)),
            *(f"{share.evaluations:,}", f"{share.updates:,}"),
            "?" if share.seconds is None else duration(share.seconds),
        )
        for share in shares
    ]
    say.rows(
        console,
        ("data set", "algorithm", "held-out sets", "runs", "gradient evaluations", "updates", "time"),
        rows,
    )
    runs, evaluations = sum(share.runs for share in shares), sum(share.evaluations for share in shares)
    times = [share.seconds for share in shares if share.seconds is not None]
    if len(times) == len(shares):
        workers = number_of_workers(sweep)
        text = f"about {duration(sum(times))} of one worker"
        text += f", {duration(sum(times) / workers)} with {workers}." if workers > 1 else "."
        text += " Timed by a few steps of each kind on this machine." if timed else ""
    else:
        text = "time not known before the first runs."
    say.line(console, f"{runs} runs, {evaluations:,} gradient evaluations, {text}")


def sweep_command(file: Path | None, output: Path, store: str | None, retry_failed: bool, chosen: Chosen | None) -> int:
    """See `benchmarks.commands.words.sweep`."""

    def do(console: Console) -> list[Record]:
        sweep = sweep_from(file, chosen)
        with Store(address(store, output)) as opened:
            tell_ahead(console, sweep, refuse=True)
            number = opened.enter(sweep)
            with live(console, opened, number) as watch:
                records = perform(sweep, opened, output, watch, retry_failed)
            busy = summarize(opened, number, sweep)["busy_share"]
        if busy is not None:
            say.line(console, f"Workers were in runs for {busy:.0%} of their time.")
        return records

    return carried_out(do, output)


def carried_out(do: Callable[[Console], Sequence[Record]], output: Path) -> int:
    """Lets runs be done, and tells how it ended; the exit status of ``sweep``."""
    console = say.console()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        records = do(console)
    except (ConfigError, StoreError, SweepError, ImportError, RuntimeError) as error:
        return say.refuse(str(error))
    except KeyboardInterrupt:
        again = called(*sys.argv[1:])
        say.line(say.console(stderr=True), f"\nStopped; every run that ended is stored. To go on: {again}")
        return 130
    failed = [record for record in records if record["status"] == "failed"]
    say.line(console, f"{len(records)} runs, {len(failed)} of them failed. Records: {output / LINES}")
    tell_causes(
        console,
        causes_of(
            (each["key"], each["config"]["dataset"], each["config"]["algorithm"], each["failure"], each["error"])
            for each in failed
        ),
    )
    for text in warnings_of(Selection.of([completed(dict(record)) for record in records])):
        console.print(text, markup=False, highlight=False, soft_wrap=True, style="bold red")
    if len(failed) < len(records):
        say.line(console, f"Tables and pictures: {called('report', str(output))}")
    return 1 if failed else 0


def _interrupt(_signum: int, _frame: object) -> None:
    raise KeyboardInterrupt
