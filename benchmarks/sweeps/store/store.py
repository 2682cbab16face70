"""What can be done with a store: enter a sweep, claim a run, store its result, give up on a lost attempt.

Every method is one transaction. A claim is an attempt with the status ``running``; its worker lets it *beat*. Whoever
watches and sees the process dead, or no beat for the length of a lease, declares the attempt lost, and the run can be
claimed again. A worker that was only slow may still bring its result: the first result of a run counts, a second one
is ``superseded``.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Connection, Select, Table, func, insert, select, update

from benchmarks.base.records import Record
from benchmarks.runs.config import RunConfig, RunIdentity
from benchmarks.runs.environment import fingerprint
from benchmarks.sweeps.config import Sweep
from benchmarks.sweeps.store import rows
from benchmarks.sweeps.store.database import Database
from benchmarks.sweeps.store.schema import attempts, checkpoints, environments, members, runs, sweeps, workers

STATUSES = ("pending", "running", "finished", "failed")
DECIDED = ("finished", "failed")


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
        configs = sweep.runs()
        codes = {
            names: fingerprint(*names)
            for names in {(config.dataset, config.algorithm, config.model) for config in configs}
        }
        entries = [(config, codes[config.dataset, config.algorithm, config.model]) for config in configs]
        key = f"{sweep.key()}-{rows.digest(sorted(codes.values()))}"
        with self.database.write() as connection:
            found = connection.execute(select(sweeps.c.id).where(sweeps.c.key == key)).scalar()
            if found is not None:
                return int(found)
            content = {"key": key, "config": sweep.model_dump(mode="json"), "created": time.time()}
            sweep_id = new_row(connection, sweeps, content)
            known = self._ids(connection, {code for _, code in entries})
            fresh = [_run_row(config, code) for config, code in entries if (config.key(), code) not in known]
            if fresh:
                connection.execute(insert(runs), fresh)
                known = self._ids(connection, {code for _, code in entries})
            places = [
                {"sweep_id": sweep_id, "position": position, "run_id": known[config.key(), code]}
                for position, (config, code) in enumerate(entries)
            ]
            connection.execute(insert(members), places)
        return sweep_id

    @staticmethod
    def _ids(connection: Connection, codes: Collection[str]) -> dict[tuple[str, str], int]:
        found = connection.execute(select(runs.c.key, runs.c.code, runs.c.id).where(runs.c.code.in_(codes)))
        return {(row.key, row.code): row.id for row in found}

    def known(self, sweep: Sweep) -> dict[str, int]:
        """How many runs of a sweep, entered or not, the store has with each status, for the present code."""
        found: dict[str, int] = dict.fromkeys(STATUSES, 0)
        codes: dict[tuple[str, str, str], str] = {}
        with self.database.read() as connection:
            states = {(row.key, row.code): row.status for row in connection.execute(select(runs))}
        for config in sweep.runs():
            names = (config.dataset, config.algorithm, config.model)
            if names not in codes:
                codes[names] = fingerprint(*names)
            status = states.get((config.key(), codes[names]))
            if status is not None:
                found[status] += 1
        return found

    def counts(self, sweep_id: int) -> dict[str, int]:
        """How many runs of the sweep have each status."""
        query = _of_sweep(select(runs.c.status, func.count()), sweep_id).group_by(runs.c.status)
        with self.database.read() as connection:
            found = {row[0]: row[1] for row in connection.execute(query)}
        return {status: found.get(status, 0) for status in STATUSES}

    def retry_failed(self, sweep_id: int) -> int:
        """Makes the failed runs of the sweep claimable again; returns how many there were."""
        with self.database.write() as connection:
            found = _of_sweep(select(runs.c.id), sweep_id).where(runs.c.status == "failed")
            done = connection.execute(
                update(runs).where(runs.c.id.in_(found.scalar_subquery())).values(status="pending")
            )
            return int(done.rowcount)

    # --- workers

    def new_worker(self, launcher: str, sweep_id: int | None = None, name: str = "") -> int:
        """A row for this process; returns its number."""
        host, pid = socket.gethostname(), os.getpid()
        row = {
            "name": name or f"{launcher}-{host}-{pid}",
            "launcher": launcher,
            "host": host,
            "pid": pid,
            "born": psutil.Process().create_time(),
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
            _of_sweep(select(runs.c.id, runs.c.config, runs.c.code), sweep_id)
            .where(runs.c.status == "pending")
            .order_by(members.c.position)
            .limit(1)
            .with_for_update(skip_locked=True, of=runs)
        )
        with self.database.write() as connection:
            found = connection.execute(query).first()
            if found is None:
                return None
            number = connection.execute(
                select(func.coalesce(func.max(attempts.c.number), 0)).where(attempts.c.run_id == found.id)
            ).scalar_one()
            row = {
                "run_id": found.id,
                "number": number + 1,
                "worker_id": worker_id,
                "status": "running",
                "beats": 0,
                "started": time.time(),
            }
            attempt_id = new_row(connection, attempts, row)
            connection.execute(update(runs).where(runs.c.id == found.id).values(status="running"))
        return Claim(found.id, attempt_id, worker_id, kind.model_validate(found.config), found.code)

    def beat(self, attempt_id: int) -> None:
        """Says that the attempt is alive."""
        with self.database.write() as connection:
            connection.execute(update(attempts).where(attempts.c.id == attempt_id).values(beats=attempts.c.beats + 1))

    # --- ends

    def finish(self, claim: Claim, outcome: Mapping[str, Any], environment: Mapping[str, Any]) -> bool:
        """Stores the outcome of a run, finished or failed; True if it is the one that counts.

        Raises:
            ValueError: if the outcome holds numbers that are not finite; nothing is stored then.
        """
        values, points = rows.from_outcome(outcome)
        with self.database.write() as connection:
            status = self._lock(connection, claim.run_id)
            own = connection.execute(select(attempts.c.status).where(attempts.c.id == claim.attempt_id)).scalar_one()
            # A result that comes after its attempt was given up counts if it is the first one; a failure does not.
            counts = status not in DECIDED and (own == "running" or values["status"] == "finished")
            if not counts:
                values, points = {**values, "status": "superseded"}, []
            values["environment_id"] = set_environment(connection, environment)
            connection.execute(update(attempts).where(attempts.c.id == claim.attempt_id).values(**values))
            if points:
                connection.execute(insert(checkpoints), [{"attempt_id": claim.attempt_id, **point} for point in points])
            if counts:
                connection.execute(update(runs).where(runs.c.id == claim.run_id).values(status=values["status"]))
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

        The run can be claimed again, unless so many attempts were lost: then it has failed.
        """
        with self.database.write() as connection:
            run_id = connection.execute(
                select(attempts.c.run_id).where(attempts.c.id == attempt_id, attempts.c.status == "running")
            ).scalar()
            if run_id is None:
                return False
            self._lock(connection, run_id)
            done = connection.execute(
                update(attempts)
                .where(attempts.c.id == attempt_id, attempts.c.status == "running")
                .values(status=status, error=error, ended=time.time())
            )
            if done.rowcount == 0:
                return False
            before = select(func.coalesce(func.max(attempts.c.number), 0)).where(
                attempts.c.run_id == run_id, attempts.c.status == "failed"
            )
            lost = connection.execute(
                select(func.count()).where(
                    attempts.c.run_id == run_id,
                    attempts.c.status == "lost",
                    attempts.c.number > before.scalar_subquery(),
                )
            ).scalar_one()
            failed = status == "lost" and lost >= max_attempts
            if failed:
                connection.execute(
                    update(attempts)
                    .where(attempts.c.id == attempt_id)
                    .values(
                        status="failed",
                        failure="killed",
                        error=f"{error}; this was attempt {lost} that lost its process (max_attempts={max_attempts})",
                    )
                )
            connection.execute(
                update(runs)
                .where(runs.c.id == run_id, runs.c.status == "running")
                .values(status="failed" if failed else "pending")
            )
        return True

    @staticmethod
    def _lock(connection: Connection, run_id: int) -> str:
        """The status of a run that no other transaction can change before this one ends."""
        query = select(runs.c.status).where(runs.c.id == run_id).with_for_update()
        return str(connection.execute(query).scalar_one())

    def running(self, sweep_id: int) -> list[Running]:
        """The attempts in progress."""
        columns = (
            *(attempts.c.id, attempts.c.run_id, attempts.c.beats, workers.c.id.label("worker_id")),
            *(workers.c.name, workers.c.host, workers.c.pid, workers.c.born),
        )
        query = (
            _of_sweep(select(*columns), sweep_id)
            .join(attempts, attempts.c.run_id == runs.c.id)
            .join(workers, workers.c.id == attempts.c.worker_id)
            .where(attempts.c.status == "running")
        )
        with self.database.read() as connection:
            return [Running(*row) for row in connection.execute(query)]

    # --- reading

    def best(self, sweep_id: int) -> list[dict[str, Any]]:
        """For each data set of the sweep, the finished run with the highest validation so far."""
        query = _of_sweep(select(runs.c.dataset, runs.c.algorithm, runs.c.held_out, attempts.c.validation), sweep_id)
        query = query.join(attempts, attempts.c.run_id == runs.c.id).where(attempts.c.status == "finished")
        query = query.where(attempts.c.validation.is_not(None))  # a refit has none
        found: dict[str, dict[str, Any]] = {}
        with self.database.read() as connection:
            for row in connection.execute(query.order_by(attempts.c.validation.desc(), attempts.c.id)):
                found.setdefault(row.dataset, dict(row._mapping))
        return list(found.values())

    def speeds(self) -> dict[tuple[str, str], float]:
        """Seconds of a gradient evaluation, by data set and algorithm, over all finished runs."""
        query = (
            select(runs.c.dataset, runs.c.algorithm, func.sum(attempts.c.wall_seconds) / func.sum(runs.c.evaluations))
            .join(attempts, attempts.c.run_id == runs.c.id)
            .where(attempts.c.status == "finished", attempts.c.wall_seconds.is_not(None), runs.c.evaluations > 0)
            .group_by(runs.c.dataset, runs.c.algorithm)
        )
        with self.database.read() as connection:
            return {(row[0], row[1]): float(row[2]) for row in connection.execute(query)}

    def ahead(self, sweep_id: int) -> list[dict[str, Any]]:
        """What is still to be done: number of runs and gradient evaluations by data set, algorithm and status."""
        query = _of_sweep(
            select(
                *(runs.c.dataset, runs.c.algorithm, runs.c.status),
                func.count().label("runs"),
                func.sum(runs.c.evaluations).label("evaluations"),
            ),
            sweep_id,
        ).group_by(runs.c.dataset, runs.c.algorithm, runs.c.status)
        with self.database.read() as connection:
            return [dict(row._mapping) for row in connection.execute(query.where(runs.c.status.in_(STATUSES[:2])))]

    def largest_resident(self) -> int:
        """Bytes of the largest worker so far; 0 if no run has ended."""
        with self.database.read() as connection:
            return int(connection.execute(select(func.max(attempts.c.resident_bytes))).scalar() or 0)

    def records(self, sweep_id: int | None = None) -> list[Record]:
        """The records of the runs that have ended, of one sweep in its order or of all (`benchmarks.base.records`)."""
        with self.database.read() as connection:
            return rows.records(connection, sweep_id)

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


def _of_sweep(query: Select[Any], sweep_id: int) -> Select[Any]:
    return query.select_from(runs).join(members, members.c.run_id == runs.c.id).where(members.c.sweep_id == sweep_id)


def new_row(connection: Connection, table: Table, row: Mapping[str, Any]) -> int:
    key = connection.execute(insert(table).values(**row)).inserted_primary_key
    if key is None:
        raise RuntimeError(f"the database gave no number for a new row of {table.name}")
    return int(key[0])


def _run_row(config: RunIdentity, code: str) -> dict[str, Any]:
    content = config.config()
    row = {name: content[name] for name in ("dataset", "algorithm", "held_out", "seed", "point")}
    return {
        **row,
        "key": config.key(),
        "code": code,
        "config": content,
        "evaluations": config.budget(),
        "status": "pending",
    }


def set_environment(connection: Connection, content: Mapping[str, Any]) -> str:
    number = rows.digest(content)
    if connection.execute(select(environments.c.id).where(environments.c.id == number)).first() is None:
        savepoint = connection.begin_nested()
        try:
            connection.execute(insert(environments).values(id=number, content=dict(content)))
            savepoint.commit()
        except Exception:
            savepoint.rollback()  # another worker entered the same one
            if connection.execute(select(environments.c.id).where(environments.c.id == number)).first() is None:
                raise
    return number


__all__ = ["DECIDED", "STATUSES", "Claim", "Running", "Store"]
