"""What can be done with a store: enter a sweep, claim a run, store its result, give up on a lost attempt.

Every method is one transaction, but for those that go through a whole sweep, which are many short ones. A claim is an
attempt with the status ``running``; its worker lets it *beat*. Whoever watches and sees the process dead, or no beat
for the length of a lease, declares the attempt lost or interrupted, and the run can be claimed again. A worker that was
only slow may still bring its result: the first result of a run counts, a second one is ``superseded``. What may follow
on what is said in `benchmarks.sweeps.store.states`.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import socket
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, exists, func, insert, literal_column, select, update

from benchmarks.base.records import Record
from benchmarks.runs.config import RunConfig, RunIdentity
from benchmarks.runs.environment import fingerprint
from benchmarks.sweeps.config import Kept, Sweep
from benchmarks.sweeps.store import identity, rows, tally
from benchmarks.sweeps.store.database import Database
from benchmarks.sweeps.store.entering import Entry, enter_sweep
from benchmarks.sweeps.store.housekeeping import CHUNK, agree, delete_sweep, redo
from benchmarks.sweeps.store.schema import attempts, checkpoints, environments, members, runs, sweeps, workers
from benchmarks.sweeps.store.states import (
    DECIDED,
    FAILED,
    FINISHED,
    INTERRUPTED,
    KILLED,
    LOST,
    OUTCOMES,
    PENDING,
    RUNNING,
    STATUSES,
    SUPERSEDED,
    Event,
)
from benchmarks.sweeps.store.tally import Progress
from benchmarks.sweeps.store.transitions import (
    allowed,
    hold,
    leave_nothing_running,
    move_attempt,
    move_run,
    new_row,
    new_rows,
    next_number,
)


@dataclass(frozen=True)
class Claim:
    """The right to do a run."""

    run_id: int
    attempt_id: int
    worker_id: int
    config: RunIdentity
    code: str


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


class Store:
    """The rows behind an address (see `benchmarks.sweeps.store.database.Database`)."""

    def __init__(self, address: str | Path) -> None:
        self.database = Database(address)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self.database.close()

    # --- sweeps

    def enter(self, sweep: Sweep) -> int:
        """Makes sure that every run of the sweep has a row for the present code; returns the number of the sweep.

        Runs that other sweeps have entered, or done, are shared.
        """
        kept: Kept = {}
        kinds = {(run.dataset, run.algorithm, run.model) for run in sweep.first_runs()}
        codes = {names: fingerprint(*names) for names in kinds}
        key = f"{sweep.key(kept)}-{rows.digest(sorted(codes.values()))}"
        entries = (
            Entry(
                *(run.key, codes[run.dataset, run.algorithm, run.model], run.config, run.dataset, run.algorithm),
                *(run.held_out, run.seed, run.point, run.evaluations),
            )
            for run in sweep.written(kept)
        )
        sweep_id = enter_sweep(self.database, key, sweep.model_dump(mode="json"), entries)
        agree(self.database, sweep_id)
        return sweep_id

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

    def progress(self, sweep_id: int) -> Progress:
        """How far the sweep is: counts, what is ahead, speeds and the best so far, at once."""
        with self.database.read() as connection:
            found = tally.progress(connection, sweep_id)
        if found.is_long:
            with self.database.write() as connection:
                tally.add_up(connection, sweep_id)
        return found

    def retry_failed(self, sweep_id: int) -> int:
        """Makes the failed runs of the sweep claimable again; returns how many there were."""
        return self.redo(sweep_id, (FAILED,))

    def redo(self, sweep_id: int, statuses: Collection[str] = DECIDED, keys: Collection[str] | None = None) -> int:
        """Makes decided runs of the sweep claimable again; returns how many there were.

        Args:
            sweep_id: Of the sweep.
            statuses: Of the runs.
            keys: Names of the runs, or beginnings of them; None for all.
        """
        return redo(self.database, sweep_id, statuses, keys)

    def delete(self, sweep_id: int) -> int:
        """Removes a sweep and the runs that no other sweep has, with all that is known of them; returns how many.

        Workers that are at one of them go on, and what they bring is not stored.
        """
        return delete_sweep(self.database, sweep_id)

    # --- workers

    def new_worker(self, launcher: str, sweep_id: int | None = None, name: str = "") -> int:
        """A row for this process; returns its number."""
        host, pid = socket.gethostname(), os.getpid()
        row = {
            "name": name or f"{launcher}-{host}-{pid}",
            "launcher": launcher,
            "host": host,
            "pid": pid,
            "place": identity.place(),
            "born": identity.start_tick(pid),
            "sweep_id": sweep_id,
            "started": time.time(),
            "busy_seconds": 0.0,
            "runs": 0,
        }
        with self.database.write() as connection:
            return new_row(connection, workers, row)

    def end_worker(self, worker_id: int, ending: str) -> None:
        """Notes how a worker ended, unless that is known already."""
        with self.database.write() as connection:
            connection.execute(
                update(workers)
                .where(workers.c.id == worker_id, workers.c.ended.is_(None))
                .values(ended=time.time(), ending=ending)
            )

    def claim(self, sweep_id: int, worker_id: int, kind: type[RunIdentity] = RunConfig) -> Claim | None:
        """The first run of the sweep that nobody has claimed; None if there is none.

        Args:
            sweep_id: Of the sweep.
            worker_id: Who claims it.
            kind: The class of the configurations of the sweep.
        """
        query = (
            select(runs.c.id, runs.c.config, runs.c.code)
            .select_from(members.join(runs, runs.c.id == members.c.run_id))
            .where(members.c.sweep_id == sweep_id, members.c.status == literal_column("'pending'"))
            .where(runs.c.status == PENDING)
            .order_by(members.c.position)
            .limit(1)
            .with_for_update(skip_locked=True, of=runs)
        )
        with self.database.write() as connection:
            found = connection.execute(query).first()
            run = None if found is None else hold(connection, found.id)
            if found is None or run is None:
                return None
            leave_nothing_running(connection, [run.id], "its run waited again")
            row = {
                "run_id": run.id,
                "number": next_number(connection, run.id),
                "worker_id": worker_id,
                "status": RUNNING,
                "beats": 0,
                "started": time.time(),
            }
            attempt_id = new_row(connection, attempts, row)
            move_run(connection, run, RUNNING)
        return Claim(run.id, attempt_id, worker_id, kind.model_validate(found.config), found.code)

    def beat(self, attempt_id: int) -> bool:
        """Says that the attempt is alive; False if it has been given up."""
        with self.database.write() as connection:
            done = connection.execute(
                update(attempts)
                .where(attempts.c.id == attempt_id, attempts.c.status == RUNNING)
                .values(beats=attempts.c.beats + 1)
            )
            return int(done.rowcount) == 1

    # --- ends

    def finish(self, claim: Claim, outcome: Mapping[str, Any], environment: Mapping[str, Any]) -> bool:
        """Stores the outcome of a run; True if it is the one that counts. Saying it twice does no harm.

        Raises:
            ValueError: if the outcome holds numbers that are not finite; nothing is stored then.
        """
        values, points = rows.from_outcome(outcome)
        event = OUTCOMES[values["status"]]
        with self.database.write() as connection:
            run = hold(connection, claim.run_id)
            if run is None:
                return False  # it was deleted meanwhile
            new_rows(connection, environments, [{"id": rows.digest(environment), "content": dict(environment)}])
            values["environment_id"] = rows.digest(environment)
            target = allowed(connection, event, run)
            counts = target is not None and move_attempt(connection, claim.attempt_id, event, values)
            if counts and target is not None:
                if points:
                    own = [{"attempt_id": claim.attempt_id, **point} for point in points]
                    connection.execute(insert(checkpoints), own)
                move_run(
                    connection,
                    run,
                    target,
                    wall_seconds=values.get("wall_seconds") if target == FINISHED else None,
                    validation=values.get("validation"),
                )
            else:
                late = attempts.c.status.in_((RUNNING, LOST, INTERRUPTED))
                superseded = connection.execute(
                    update(attempts)
                    .where(attempts.c.id == claim.attempt_id, late)
                    .values(**{**values, "status": SUPERSEDED})
                )
                if superseded.rowcount == 0:
                    query = select(attempts.c.status, attempts.c.failure).where(attempts.c.id == claim.attempt_id)
                    told = connection.execute(query).first()
                    return told is not None and run.status == values["status"] == told.status and told.failure != KILLED
            connection.execute(
                update(workers)
                .where(workers.c.id == claim.worker_id)
                .values(
                    runs=workers.c.runs + 1,
                    busy_seconds=workers.c.busy_seconds + (values.get("wall_seconds") or 0.0),
                )
            )
        return counts

    def give_up(self, attempt_id: int, status: str, error: str, max_attempts: int) -> bool:
        """Ends an attempt without a result: ``lost`` or ``interrupted``; False if it had ended already.

        The run can be claimed again, unless so many attempts were lost: then it has failed. An interruption does not
        count.
        """
        with self.database.write() as connection:
            query = select(attempts.c.run_id).where(attempts.c.id == attempt_id, attempts.c.status == RUNNING)
            run_id = connection.execute(query).scalar()
            run = None if run_id is None else hold(connection, run_id)
            if run is None:
                return False
            ended = {"error": error, "ended": time.time()}
            lost = self._lost(connection, run.id) + 1
            if status != LOST:
                event: Event = "interrupt"
            elif lost < max_attempts or run.status != RUNNING:
                event = "lose"
            else:
                event = "exhaust"
                ended |= {
                    "failure": KILLED,
                    "error": f"{error}; this was attempt {lost} that lost its process (max_attempts={max_attempts})",
                }
            if not move_attempt(connection, attempt_id, event, ended):
                return False
            target = allowed(connection, event, run)
            if target is not None:
                move_run(connection, run, target)
        return True

    @staticmethod
    def _lost(connection: Connection, run_id: int) -> int:
        """How many attempts at a run were lost since it was decided last."""
        before = select(func.coalesce(func.max(attempts.c.number), 0)).where(
            attempts.c.run_id == run_id, attempts.c.status.in_(DECIDED)
        )
        query = select(func.count()).where(
            *(attempts.c.run_id == run_id, attempts.c.status == LOST, attempts.c.number > before.scalar_subquery())
        )
        return int(connection.execute(query).scalar_one())

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

    # --- reading

    def best(self, sweep_id: int) -> list[dict[str, Any]]:
        """For each data set of the sweep, the finished run with the highest validation so far."""
        return [dataclasses.asdict(found) for found in self.progress(sweep_id).best]

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

    def ahead(self, sweep_id: int) -> list[dict[str, Any]]:
        """What is still to be done: number of runs and gradient evaluations by data set, algorithm and status."""
        return self.progress(sweep_id).rows_ahead()

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


__all__ = ["DECIDED", "STATUSES", "Claim", "Running", "Store"]
