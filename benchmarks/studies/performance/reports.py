"""What a report of many runs costs: ``python -m benchmarks.studies.performance.reports [RUNS ...]``, by default 20520.

The runs are the committed ones of the digits (57 algorithms on two data sets, eight points each), and once more with
other points as often as it takes, in a store. A fresh process makes the report. The table has its processor time, its
time by the clock and its largest resident set, imports included, and the size of the page.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.runs.environment import ROOT
from benchmarks.sweeps.store import Store
from benchmarks.sweeps.store.rows import to_json
from benchmarks.sweeps.store.schema import attempts, checkpoints, environments, runs, workers
from benchmarks.sweeps.store.transfer import read_lines

RECORDS = ROOT / "benchmarks/studies/results/digits.jsonl.xz"
POINTS = 8
HOLE = to_json({"point": -1})[1:-1]
"""In the text of a configuration, where a point goes."""

Rows = list[tuple[Any, ...]]

_PLACE = ("dataset", "algorithm", "held_out", "seed", "point")
_RUN = ("id", "key", "code", "config", *_PLACE, "evaluations", "status")
_TRY = (
    *("id", "run_id", "number", "worker_id", "status", "beats", "started", "ended", "wall_seconds", "cpu_seconds"),
    *("resident_bytes", "environment_id", "validation", "selections", "diagnostics"),
)
_POINT = ("attempt_id", "number", "step", "loss", "validation", "held_out", "domains", "measures")


def fill(store: Store, total: int) -> None:
    """Enters so many finished runs of two workers, block by block."""
    with store.database.write() as connection:
        connection.execute(environments.insert().values(id="e", content={"machine": "none"}))
        for number in (1, 2):
            named = {"id": number, "name": f"w{number}", "launcher": "local", "host": "h", "pid": number}
            connection.execute(workers.insert().values(**named, started=0.0, busy_seconds=0.0, runs=0))
        for found in _blocks(total):
            for table, names, rows in zip((runs, attempts, checkpoints), (_RUN, _TRY, _POINT), found, strict=True):
                marks = ", ".join("?" * len(names))
                connection.exec_driver_sql(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})", rows)


def _blocks(total: int) -> Iterator[tuple[Rows, Rows, Rows]]:
    known = [_prepared(record) for record in read_lines(RECORDS)]
    number = 0
    for block in itertools.count():
        found: tuple[Rows, Rows, Rows] = ([], [], [])
        for config, place, evaluations, result, points in known[: total - number]:
            number += 1
            point = place[-1] + POINTS * block
            own = config.replace(HOLE, to_json({"point": point})[1:-1])
            found[0].append((number, f"{number:016x}", "code", own, *place[:-1], point, evaluations, "finished"))
            started = 1e9 + number
            found[1].append(
                (number, number, 1, 1 + number % 2, "finished", 1, started, started + 1, 1.0, 1.0, 2**29, "e", *result)
            )
            found[2].extend((number, *values) for values in points)
        yield found
        if number >= total:
            return


def _prepared(record: Any) -> tuple[str, tuple[Any, ...], int, tuple[Any, ...], Rows]:
    config, curves = record["config"], record["curves"]
    place = tuple(config[name] for name in _PLACE)
    result = (record["selection"]["validation"], to_json(record["selections"]), to_json(record["diagnostics"]))
    steps = range(len(curves["step"]))
    domains = [to_json({name: values[i] for name, values in record["domain_curves"].items()}) for i in steps]
    points = [
        (i, *(curves[name][i] for name in ("step", "loss", "validation", "held_out")), domains[i], "{}") for i in steps
    ]
    return to_json({**config, "point": -1}), place, record["evaluations"], result, points


def measured(source: str, folder: Path) -> tuple[float, float, float, int]:
    """Processor seconds, seconds, MiB of memory and bytes of the page of a report by a fresh process.

    Raises:
        RuntimeError: if it fails.
    """
    command = [sys.executable, "-m", "benchmarks", "report", source, "--output", str(folder)]
    begin = time.perf_counter()
    process = os.posix_spawn(
        sys.executable, command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    )
    _, status, used = os.wait4(process, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    seconds = time.perf_counter() - begin
    return used.ru_utime + used.ru_stime, seconds, used.ru_maxrss / 1024, (folder / "report.html").stat().st_size


def main(words: Sequence[str]) -> None:
    """Prints the table."""
    print("| runs | processor time | by the clock | memory | page |\n| --- | --- | --- | --- | --- |")
    for total in map(int, words or ("20520",)):
        with tempfile.TemporaryDirectory() as folder:
            address = Path(folder) / "store.sqlite"
            with Store(address) as store:
                fill(store, total)
            used, seconds, memory, page = measured(str(address), Path(folder) / "report")
        print(f"| {total:,} | {used:.1f} s | {seconds:.1f} s | {memory:,.0f} MiB | {page / 1e6:.2f} MB |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
