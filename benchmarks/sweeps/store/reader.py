"""What can be asked of a store; nothing here writes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import exists, func, literal_column, select
from typing_extensions import Self

from benchmarks.base.records import Record
from benchmarks.runs.environment import fingerprint
from benchmarks.sweeps.selected import Sweep
from benchmarks.sweeps.store import rows, tally
from benchmarks.sweeps.store.database import Database
from benchmarks.sweeps.store.housekeeping import CHUNK
from benchmarks.sweeps.store.schema import attempts, members, runs, sweeps, workers
from benchmarks.sweeps.store.states import STATUSES


@dataclass(frozen=True)
class Running:
    """An attempt in progress, as a watcher sees it."""

    attempt_id: int
    run_id: int
    beats: int
    worker_id: int
    worker: str
    host: str
    pid: int
    place: str | None
    born: float | None


class Reader:
    """The rows behind an address (see `benchmarks.sweeps.store.database.Database`), to be read."""

    def __init__(self, address: str | Path) -> None:
        self.database = Database(address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self.database.close()

    def known(self, sweep: Sweep) -> dict[str, int]:
        """How many runs of a sweep, entered or not, the store has with each status, for the present code."""
        found: dict[str, int] = dict.fromkeys(STATUSES, 0)
        codes: dict[tuple[str, str, str], str] = {}
        rest = iter(sweep.written())
        while chunk := list(itertools.islice(rest, CHUNK)):
            with self.database.read() as connection:
                query = select(runs.c.key, runs.c.code, runs.c.status).where(runs.c.key.in_([run.key for run in chunk]))
                states = {(row.key, row.code): row.status for row in connection.execute(query)}
            for run in chunk if states else ():
                names = run.dataset, run.algorithm, run.model
                if names not in codes:
                    codes[names] = fingerprint(*names)
                status = states.get((run.key, codes[names]))
                if status is not None:
                    found[status] += 1
        return found

    def counts(self, sweep_id: int) -> dict[str, int]:
        """How many runs of the sweep have each status."""
        with self.database.read() as connection:
            return tally.counts(connection, sweep_id)

    def running(self, sweep_id: int) -> list[Running]:
        """The attempts in progress."""
        columns = (
            *(attempts.c.id, attempts.c.run_id, attempts.c.beats, workers.c.id.label("worker_id")),
            *(workers.c.name, workers.c.host, workers.c.pid, workers.c.place, workers.c.born),
        )
        query = (
            select(*columns)
            .select_from(attempts.join(workers, workers.c.id == attempts.c.worker_id))
            .where(attempts.c.status == literal_column("'running'"))
            # Asked of each attempt that runs: a join would make SQLite go through all members.
            .where(exists().where(members.c.run_id == attempts.c.run_id, members.c.sweep_id == sweep_id))
        )
        with self.database.read() as connection:
            return [Running(*row) for row in connection.execute(query)]

    def speeds(self) -> dict[tuple[str, str], float]:
        """Seconds of a gradient evaluation, by data set and algorithm, over all finished runs."""
        query = (
            select(runs.c.dataset, runs.c.algorithm, func.sum(attempts.c.wall_seconds), func.sum(runs.c.evaluations))
            .join(attempts, attempts.c.run_id == runs.c.id)
            .where(attempts.c.status == "finished", attempts.c.wall_seconds.is_not(None), runs.c.evaluations > 0)
            .group_by(runs.c.dataset, runs.c.algorithm)
        )
        with self.database.read() as connection:
            return {(row[0], row[1]): float(row[2]) / int(row[3]) for row in connection.execute(query)}

    def largest_resident(self) -> int:
        """Bytes of the largest worker so far; 0 if no run has ended."""
        with self.database.read() as connection:
            return int(connection.execute(select(func.max(attempts.c.resident_bytes))).scalar() or 0)

    def records(self, sweep_id: int | None = None) -> list[Record]:
        """The records of the runs that have ended, of one sweep in its order or of all (`benchmarks.base.records`)."""
        return list(self.each_record(sweep_id))

    def each_record(self, sweep_id: int | None = None) -> Iterator[Record]:
        """The same one by one, of any number; others may write meanwhile."""
        chosen, place, last = select(runs), runs.c.id, select(func.max(runs.c.id))
        if sweep_id is not None:
            chosen = chosen.join(members, members.c.run_id == runs.c.id).where(members.c.sweep_id == sweep_id)
            place, last = members.c.position, select(func.max(members.c.position)).where(members.c.sweep_id == sweep_id)
        with self.database.read() as connection:
            end = connection.execute(last).scalar()
        for first in range(0, -1 if end is None else end + 1, CHUNK):
            chunk = chosen.where(place >= first, place < first + CHUNK).order_by(place)
            with self.database.read() as connection:
                found = rows.records(connection, chunk)
            yield from found

    def sweeps(self) -> list[dict[str, Any]]:
        """The sweeps, oldest first: ``id``, ``config``, ``created``."""
        with self.database.read() as connection:
            found = connection.execute(select(sweeps).order_by(sweeps.c.id))
            return [{"id": row.id, "config": row.config, "created": row.created} for row in found]

    def workers(self, sweep_id: int) -> list[dict[str, Any]]:
        """The workers of a sweep: name, launcher, host, started, ended, busy_seconds, runs, ending."""
        with self.database.read() as connection:
            found = connection.execute(select(workers).where(workers.c.sweep_id == sweep_id).order_by(workers.c.id))
            return [dict(row._mapping) for row in found]
