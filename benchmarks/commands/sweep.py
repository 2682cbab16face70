"""``plan``, ``sweep`` and ``status``."""

from __future__ import annotations

import shlex
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.base.records import Record
from benchmarks.commands.ahead import tell_ahead
from benchmarks.commands.options import Chosen, address, sweep_from
from benchmarks.reports.constant import warnings_of
from benchmarks.reports.selection import Selection
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.coordinator import SweepError, perform, summarize
from benchmarks.sweeps.files import ConfigError
from benchmarks.sweeps.plan import duration, number_of_workers, plan, seconds_left
from benchmarks.sweeps.progress import live
from benchmarks.sweeps.stages import costs, most_refits
from benchmarks.sweeps.store import Store, StoreError
from benchmarks.sweeps.timing import Timed, time_steps

__all__ = ["plan_command", "status_command", "sweep_command"]


def plan_command(
    file: Path | None = None,
    *,
    output: Path = Path("runs/sweep"),
    store: str | None = None,
    timing: bool = True,
    chosen: Chosen | None = None,
) -> int:
    """Show the runs of a sweep, what they cost and what would not work; no run is done.

    The cost is in gradient evaluations: one forward and backward pass over one mini-batch. Time is that of the runs
    that the store holds already, else a few steps of each kind are timed here. The exit status is 1 if some runs
    cannot be done, 2 if there is no such sweep.

    Parameters
    ----------
    file:
        Sweep file, YAML or TOML. Without one, the options say it all.
    output:
        Folder of the sweep; its store is looked at for earlier runs.
    store:
        Address of the store, if it is not the file store.sqlite in the output folder.
    timing:
        Time a few steps of every algorithm on every data set that is at hand.
    """
    console, errors = Console(), Console(stderr=True)
    try:
        sweep = sweep_from(file, chosen)
        speeds: dict[tuple[str, str], float] = {}
        counts = None
        if store is not None or (output / "store.sqlite").exists():
            with Store(address(store, output)) as opened:
                speeds, counts = opened.speeds(), opened.known(sweep)
    except (ConfigError, StoreError) as error:
        errors.print(f"[red]{escape(str(error))}[/red]", soft_wrap=True)
        return 2
    fatal = tell_ahead(console, sweep)
    timed = time_steps(sweep, speeds) if timing else Timed()
    _show_plan(console, sweep, {**timed.speeds, **speeds}, timed=bool(timed.speeds))
    if counts is not None:
        console.print(f"The store has {counts['finished']} of them finished and {counts['failed']} failed.")
    for (dataset, algorithm), why in timed.failed.items():
        console.print(f"CANNOT BEGIN: {algorithm} on {dataset}: {why}", markup=False, soft_wrap=True, style="bold red")
    return 1 if fatal or timed.failed else 0


def _show_plan(console: Console, sweep: SweepConfig, speeds: dict[tuple[str, str], float], timed: bool) -> None:
    shares = plan(sweep, speeds)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("data set", "algorithm", "held-out sets", "runs", "gradient evaluations", "updates", "time"):
        table.add_column(name, justify="left" if name in ("data set", "algorithm") else "right", overflow="fold")
    for share in shares:
        table.add_row(
            *(escape(share.dataset), escape(share.algorithm), str(share.held_out), str(share.runs)),
            *(f"{share.evaluations:,}", f"{share.updates:,}"),
            "?" if share.seconds is None else duration(share.seconds),
        )
    console.print(table)
    runs, evaluations = sum(share.runs for share in shares), sum(share.evaluations for share in shares)
    times = [share.seconds for share in shares if share.seconds is not None]
    if len(times) == len(shares):
        workers = number_of_workers(sweep)
        text = f"about {duration(sum(times))} of one worker"
        text += f", {duration(sum(times) / workers)} with {workers}." if workers > 1 else "."
        text += " Timed by a few steps of each kind on this machine." if timed else ""
    else:
        text = "time not known before the first runs."
    console.print(f"{runs} runs, {evaluations:,} gradient evaluations, {text}", soft_wrap=True)
    for cost in costs(sweep) if sweep.crossed else ():
        console.print(f"Selection {cost.sentence}.", soft_wrap=True, highlight=False)
    if most := most_refits(sweep).sentence:
        console.print(f"Refit: {most}.", soft_wrap=True, highlight=False)


def sweep_command(
    file: Path | None = None,
    *,
    output: Path = Path("runs/sweep"),
    store: str | None = None,
    retry_failed: bool = False,
    chosen: Chosen | None = None,
) -> int:
    """Do the runs of a sweep that are not done yet.

    Whatever stops it, the same command goes on. Several may work on one store at a time, on several machines too.
    The exit status is 0 if all runs finished, 1 if some failed, 2 if the sweep could not be done, 130 after Ctrl-C.

    Parameters
    ----------
    file:
        Sweep file, YAML or TOML. Without one, the options say it all.
    output:
        Folder for the store, prepared data, logs and records.jsonl.
    store:
        Address of the store instead of the file in the output folder, e.g. postgresql://user@host/name.
    retry_failed:
        Do the failed runs again, too.
    """
    console, errors = Console(), Console(stderr=True)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        sweep = sweep_from(file, chosen)
        with Store(address(store, output)) as opened:
            number = opened.enter(sweep)
            tell_ahead(console, sweep)
            with live(console, opened, number) as watch:
                records = perform(sweep, opened, output, watch, retry_failed)
            summary = summarize(opened, number, sweep)
    except (ConfigError, StoreError, SweepError, ImportError, RuntimeError) as error:
        errors.print(f"[red]{escape(str(error))}[/red]", soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        again = "python -m benchmarks " + shlex.join(sys.argv[1:])
        errors.print(f"\nStopped; every run that ended is stored. To go on: {again}", soft_wrap=True, markup=False)
        return 130
    failed = [record for record in records if record["status"] == "failed"]
    console.print(
        f"{len(records)} runs, {len(failed)} of them failed. Records: {output / 'records.jsonl'}", soft_wrap=True
    )
    if summary["busy_share"] is not None:
        console.print(f"Workers were in runs for {summary['busy_share']:.0%} of their time.")
    _failures(console, records)
    for text in warnings_of(Selection.of([dict(record) for record in records])):
        console.print(text, markup=False, highlight=False, soft_wrap=True, style="bold red")
    if len(failed) < len(records):
        where = shlex.quote(store or str(output))
        console.print(f"Tables and pictures: python -m benchmarks report {where}", markup=False, soft_wrap=True)
    return 1 if failed else 0


def _interrupt(_signum: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _failures(console: Console, records: Sequence[Record]) -> None:
    kinds = Counter(record["failure"] for record in records if record["status"] == "failed")
    for kind, number in kinds.most_common():
        first = next(record for record in records if record.get("failure") == kind)
        config = first["config"]
        what = f"{config['dataset']}, {config['algorithm']}, held out {config['held_out']}, seed {config['seed']}"
        console.print(f"  {number} {kind}, the first: {what}, point {config['point']}: {first['error']}", markup=False)
    if kinds:
        console.print("The same command with --retry-failed does them again.")


def status_command(output: Path = Path("runs/sweep"), *, store: str | None = None) -> int:
    """Show how far the sweeps of a store are.

    Parameters
    ----------
    output:
        Folder of the sweep.
    store:
        Address of the store, if it is not the file store.sqlite in the output folder.
    """
    console, errors = Console(), Console(stderr=True)
    if store is None and not (output / "store.sqlite").exists():
        errors.print(f"there is no store in {output}", markup=False, soft_wrap=True)
        return 2
    try:
        with Store(address(store, output)) as opened:
            _show_status(console, opened)
    except StoreError as error:
        errors.print(str(error), markup=False, soft_wrap=True)
        return 2
    return 0


def _show_status(console: Console, store: Store) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("sweep", "data sets", "finished", "failed", "running", "waiting", "time left of one worker"):
        table.add_column(name, justify="left" if name == "data sets" else "right")
    speeds = store.speeds()
    for sweep in store.sweeps():
        counts = store.counts(sweep["id"])
        left = seconds_left(store.ahead(sweep["id"]), speeds, 1)
        table.add_row(
            *(str(sweep["id"]), escape(", ".join(sweep["config"]["datasets"]))),
            *(str(counts[status]) for status in ("finished", "failed", "running", "pending")),
            "?" if left is None else duration(left),
        )
    console.print(table)
    for record in store.records():
        if record["status"] == "failed":
            console.print(f"failed: {record['config']} {record['error']}", markup=False, soft_wrap=True)
