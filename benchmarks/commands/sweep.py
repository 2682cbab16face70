"""Does ``plan`` and ``sweep``."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.base.called import called
from benchmarks.base.errors import ConfigError
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
from benchmarks.sweeps.coordinator import SweepError, do, summarize
from benchmarks.sweeps.glance import Cause, Glance
from benchmarks.sweeps.plan import duration, number_of_workers, plan
from benchmarks.sweeps.progress import live
from benchmarks.sweeps.search import Round
from benchmarks.sweeps.stages import costs, most_refits
from benchmarks.sweeps.store import Store, StoreError
from benchmarks.sweeps.store.backup import require_no_backup
from benchmarks.sweeps.timing import Timed, time_steps

__all__ = ["Ended", "carried_out", "ended", "plan_command", "sweep_command"]

LOOKED_THROUGH = 20_000
"""Runs of a sweep up to which its end says whether anything was learnt; the report says it of any number."""


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
        diverged = f", {counts['diverged']} diverged" if counts["diverged"] else ""
        text = f"The store has {counts['finished']} of them finished and {counts['failed']} failed{diverged}."
        say.line(console, text)
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
    for text in _rounds(sweep):
        say.line(console, text)
    for cost in costs(sweep) if sweep.crossed else ():
        say.line(console, f"Selection {cost.sentence}.")
    if most := most_refits(sweep).sentence:
        say.line(console, f"Refit: {most}.")


def _rounds(sweep: SweepConfig) -> Iterator[str]:
    """What a search in rounds is about to do, data set by data set."""
    if not sweep.search.in_rounds:
        return
    for dataset in sweep.datasets:
        found = sweep.rounds(dataset)
        full, cost = sweep.of_dataset(dataset).rollouts, sum(each.rollouts for each in found)
        lengths = " -> ".join("/".join(f"{n}x{length}" for n, length in _steps(each)) for each in found)
        yield (
            f"Search on {dataset}: {found[-1].points.stop} points in {len(found)} rounds for the roll-outs of "
            f"{cost / full:.3g} runs of full length, points x roll-outs: {lengths}. Later rounds follow from results."
        )


def _steps(each: Round) -> list[tuple[int, int]]:
    return list(zip(each.numbers, each.lengths, strict=True))


def sweep_command(file: Path | None, output: Path, store: str | None, retry_failed: bool, chosen: Chosen | None) -> int:
    """See `benchmarks.commands.words.sweep`."""

    def carry_out(console: Console) -> Ended:
        sweep = sweep_from(file, chosen)
        with Store(address(store, output)) as opened:
            tell_ahead(console, sweep, refuse=True)
            require_no_backup(opened, output)
            number = opened.enter(sweep)
            with live(console, opened, number) as watch:
                numbers = do(sweep, opened, output, watch=watch, redo=("failed",) if retry_failed else ())
            busy = summarize(opened, number, sweep)["busy_share"]
            if busy is not None:
                say.line(console, f"Workers were in runs for {busy:.0%} of their time.")
            return ended(opened, numbers)

    return carried_out(carry_out, output)


@dataclass(frozen=True)
class Ended:
    """What is told at the end of a sweep.

    Attributes:
        counts: Its runs by status, those of later stages too.
        causes: Of those that failed or diverged.
        warnings: What the results say of themselves.
    """

    counts: Mapping[str, int]
    causes: list[Cause]
    warnings: list[str]


def ended(store: Store, numbers: Sequence[int]) -> Ended:
    """Looks at a sweep of a store, and at its later stages, whose runs have ended."""
    counts: Counter[str] = Counter()
    for number in numbers:
        counts.update(store.counts(number))
    warnings: Sequence[str] = ()
    if counts.total() <= LOOKED_THROUGH:
        records = [completed(dict(record)) for number in numbers for record in store.records(number)]
        warnings = warnings_of(Selection.of(records))
    with Glance(store.database.address) as glance:
        causes = [cause for number in numbers for cause in glance.causes(number)]
    return Ended(counts, causes, list(warnings))


def carried_out(carry_out: Callable[[Console], Ended], output: Path) -> int:
    """Lets runs be done, and tells how it ended; the exit status of ``sweep``."""
    console = say.console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    try:
        found = carry_out(console)
    except (ConfigError, StoreError, SweepError, ImportError, RuntimeError) as error:
        return say.refuse(str(error))
    except KeyboardInterrupt:
        again = called(*sys.argv[1:])
        say.line(say.console(stderr=True), f"\nStopped; every run that ended is stored. To go on: {again}")
        return 130
    runs, failed, diverged = sum(found.counts.values()), found.counts["failed"], found.counts["diverged"]
    told = f"{runs} runs, {failed} of them failed" + (f", {diverged} diverged" if diverged else "")
    say.line(console, f"{told}. Records: {output / LINES}")
    tell_causes(console, found.causes)
    for text in found.warnings:
        say.line(console, text, style="bold red")
    if found.counts["finished"]:
        say.line(console, f"Tables and pictures: {called('report', str(output))}")
    return 1 if failed else 0
