"""How long a store of a million runs takes for what is asked of it.

    python -m benchmarks.studies.performance.stores                                   # SQLite in a temporary folder
    python -m benchmarks.studies.performance.stores --store postgresql://me@server/db # an EMPTY database

No run is done. A sweep of so many runs is planned and entered; workers, which are processes forked from this one, claim
runs and store outcomes with five checkpoints, made up, after a fifth of a second: few real sweeps ask as much of their
store. What is printed is the wall time, and the processor time of this process where it does the work (the rest
is the server's, or waiting for others on the machine); of single calls the median and the 95 % quantile. Memory is the
growth of the largest resident size of this process, beyond what importing the laboratory takes.
"""

from __future__ import annotations

import itertools
import json
import math
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cyclopts
from rich.console import Console

from benchmarks.algorithms import ALGORITHMS
from benchmarks.base.resources import peak_resident
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.plan import plan
from benchmarks.sweeps.settings import Overrides
from benchmarks.sweeps.store import Store
from benchmarks.sweeps.store.importing import Imported, bring_in
from benchmarks.sweeps.store.store import Claim
from benchmarks.sweeps.store.transfer import read_lines, write_lines

ALIKE = tuple(name for name in ALGORITHMS if "lr" in ALGORITHMS[name].space)[:10]
RUN = 0.2
"""Seconds that a run takes for which nothing is done."""

CALLS = 200
"""Of each kind that are timed."""


def sweep_of(runs: int, first_seed: int = 0) -> SweepConfig:
    """A sweep of about so many runs: ten algorithms, three held-out domains, ten seeds, as many points as it takes."""
    seeds = tuple(range(first_seed, first_seed + 10))
    points = max(1, round(runs / (10 * 3 * len(ALIKE))))
    return SweepConfig(datasets={"coloured-digits": Overrides()}, algorithms=ALIKE, seeds=seeds, points=points)


def outcome(key: str, config: dict[str, Any]) -> dict[str, Any]:
    """What a run comes to, made up from its name."""
    score = int(key[:6], 16) / 16**6
    curve = [score] * 5
    chosen = {"step": 5, "validation": score, "held_out": score}
    return {
        "key": key,
        "config": config,
        "status": "finished",
        "diagnostics": {},
        "measures": {},
        "curves": {"step": [1, 2, 3, 4, 5], "loss": curve, "validation": curve, "held_out": curve},
        "domain_curves": {"10%": curve, "20%": curve, "90%": curve},
        "selections": {"training-domain": chosen, "last": chosen, "oracle": {**chosen, "oracle": True}},
        "timings": {"wall_seconds": 1.0, "cpu_seconds": 1.0, "started": 0.0, "ended": 1.0},
        "peak_memory": {"resident_bytes": 1, "cuda_bytes": None},
    }


def records(sweep: SweepConfig, number: int) -> Iterator[Any]:
    """So many records of a sweep, as another store would export them."""
    attempts = [{"number": 1, "status": "finished", "started": 0.0, "ended": 1.0}]
    for run in itertools.islice(sweep.written(), number):
        found = outcome(run.key, json.loads(run.config))
        yield {**found, "evaluations": run.evaluations, "environment": {"code": "elsewhere"}, "attempts": attempts}


@dataclass
class Timed:
    """One line of the table."""

    what: str
    wall: float
    cpu: float | None = None
    note: str = ""


def timed(what: str, action: Callable[[], Any], note: Callable[[Any], str] = lambda _: "") -> tuple[Any, Timed]:
    """What an action gives, and what it took."""
    wall, cpu, memory = time.perf_counter(), time.process_time(), resident()
    found = action()
    line = Timed(what, time.perf_counter() - wall, time.process_time() - cpu)
    line.note = note(found) or f"{resident() - memory:.0f} MB more"
    return found, line


def resident() -> float:
    """The largest resident size so far, in MB."""
    return peak_resident() / 2**20


def calls(what: str, action: Callable[[], Any], number: int = CALLS) -> Timed:
    """The median of an action that is done again and again."""
    action()
    cpu = time.process_time()
    line = of_times(what, [_seconds(action) for _ in range(number)])
    line.cpu = (time.process_time() - cpu) / number
    return line


def of_times(what: str, times: list[float]) -> Timed:
    """The median of times, and how far they go; on a busy machine there may be one, or none."""
    if not times:
        return Timed(what, math.nan, note="there was none")
    worst = statistics.quantiles(times, n=20)[-1] if len(times) > 1 else times[0]
    return Timed(what, statistics.median(times), note=f"95 %: {1e3 * worst:.1f} ms, of {len(times)}")


def _seconds(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def work(address: str, sweep_id: int, runs: int | None, stop: Any, told: Any) -> None:
    """A worker that does nothing but ask the store, until it has had so many runs or is told to stop."""
    os.nice(5)
    claims: list[float] = []
    ends: list[float] = []
    with Store(address) as store:
        worker = store.new_worker("measured", sweep_id)
        while not stop.is_set() and (runs is None or len(ends) < runs):
            began = time.perf_counter()
            claim = store.claim(sweep_id, worker)
            claims.append(time.perf_counter() - began)
            if claim is None:
                break
            time.sleep(RUN)
            began = time.perf_counter()
            store.finish(claim, outcome(claim.config.key(), {}), {"code": claim.code})
            ends.append(time.perf_counter() - began)
    told.put((claims, ends))


def at_work(address: str, sweep_id: int, number: int, meanwhile: Callable[[], Any], runs: int | None = None) -> Any:
    """Lets workers go on while something is done; returns that, and the times of their claims and ends."""
    context = multiprocessing.get_context("fork")
    stop, told = context.Event(), context.Queue()
    workers = [
        context.Process(target=work, args=(address, sweep_id, runs, stop, told), daemon=True) for _ in range(number)
    ]
    for worker in workers:
        worker.start()
    found = meanwhile()
    if runs is None:
        stop.set()
    times = [told.get() for _ in workers]
    for worker in workers:
        worker.join()
    return found, [each for claims, _ in times for each in claims], [each for _, ends in times for each in ends]


class Lines(list[Timed]):
    """Prints each line as it comes, in a table of Markdown."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._print("| what | wall | CPU here | |")
        self._print("| --- | --- | --- | --- |")

    def append(self, line: Timed) -> None:
        super().append(line)
        cpu = "" if line.cpu is None else _readable(line.cpu)
        self._print(f"| {line.what} | {_readable(line.wall)} | {cpu} | {line.note} |")

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, highlight=False, markup=False)


def measure(address: str, runs: int, imports: int, workers: int, folder: Path, lines: Lines) -> None:
    """All lines."""
    sweep = sweep_of(runs)
    size = sweep.size()
    _, line = timed(f"plan {size:,} runs", lambda: plan(sweep))
    lines.append(line)
    with Store(address) as store:
        sweep_id, line = timed(f"enter {size:,} runs", lambda: store.enter(sweep))
        lines.append(line)
        _, line = timed("enter them again (nothing to do)", lambda: store.enter(sweep))
        lines.append(line)
        worker = store.new_worker("measured", sweep_id)
        claims: list[Claim] = []

        def claim() -> None:
            found = store.claim(sweep_id, worker)
            if found is None:
                raise RuntimeError("there is nothing left to claim; ask for more --runs")
            claims.append(found)

        lines.append(calls("claim", claim))
        rest = iter(list(claims))
        lines.append(calls("beat", lambda: store.beat(claims[0].attempt_id)))

        def finish() -> None:
            one = next(rest)
            store.finish(one, outcome(one.config.key(), {}), {"code": one.code})

        lines.append(calls("store a result", finish, len(claims) - 1))
        lines.append(calls("look how far it is", lambda: store.progress(sweep_id), 50))
        lines.append(calls("look who is at work", lambda: store.running(sweep_id), 50))
        path = folder / "records.jsonl"
        write_lines(records(sweep_of(3 * imports, first_seed=100), imports), path)

        def meanwhile() -> Imported:
            return bring_in(store, read_lines(path))

        store.database.close()  # no connection goes through a fork
        (_, line), claimed, ended = at_work(
            address,
            sweep_id,
            8,
            lambda: timed(
                f"import {imports:,} records while eight workers go on",
                meanwhile,
                lambda done: f"{done.new:,} were new",
            ),
        )
        line.note += f"; the workers did {len(ended):,} runs"
        lines.append(line)
        lines.append(of_times("  a claim meanwhile", claimed))
        lines.append(of_times("  a result meanwhile", ended))
        if workers:
            each = 10
            store.database.close()
            began = time.perf_counter()
            _, claimed, ended = at_work(address, sweep_id, workers, lambda: None, each)
            took = time.perf_counter() - began
            note = f"{len(ended) / took:.0f} runs/s"
            lines.append(Timed(f"{workers} workers, {each} runs each", took, note=note))
            lines.append(of_times("  a claim meanwhile", claimed))
            lines.append(of_times("  a result meanwhile", ended))
        lines.append(calls("look how far it is, at the end", lambda: store.progress(sweep_id), 20))


def _readable(seconds: float) -> str:
    if math.isnan(seconds):
        return "-"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1e3 * seconds:.1f} ms"


def main(
    *,
    store: str | None = None,
    runs: int = 1_000_000,
    imports: int = 100_000,
    workers: int = 0,
    folder: Path | None = None,
) -> None:
    """Measure a store.

    Parameters
    ----------
    store:
        Address of an empty database; by default a file in a temporary folder.
    runs:
        Of the sweep.
    imports:
        Records that are brought in.
    workers:
        Light processes that are at work together at the end; 0 for none.
    folder:
        For the temporary files.
    """
    console = Console()
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        where = store or str(Path(temporary) / "store.sqlite")
        if store is not None:
            with Store(where) as opened:
                if opened.sweeps():
                    raise SystemExit(f"{opened.database.shown} is not empty: name a database for measuring alone")
        engine = "SQLite" if store is None else "the server"
        console.print(f"{engine}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before")
        measure(where, runs, imports, workers, Path(temporary), Lines(console))
        console.print(f"load {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    cyclopts.run(main)
