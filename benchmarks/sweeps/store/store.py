"""What can be done with a store: enter a sweep, claim a run, store its result, give up on a lost attempt; and ask it.

Every method is one transaction, but for those that go through a whole sweep, which are many short ones. A claim is an
attempt with the status ``running``; its worker lets it *beat*. Whoever watches and sees the process dead, or no beat
for the length of a lease, declares the attempt lost or interrupted, and the run can be claimed again. A worker that was
only slow may still bring its result: the first result of a run counts, a second one is ``superseded``. What may follow
on what is said in `benchmarks.sweeps.store.states`.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, exists, func, literal_column, select, update

from benchmarks.runs.config import RunConfig, RunIdentity
from benchmarks.runs.environment import fingerprint
from benchmarks.sweeps.selected import Kept, Sweep
from benchmarks.sweeps.store import identity, rows, tally
from benchmarks.sweeps.store.bulk import put
from benchmarks.sweeps.store.entering import Entry, enter_sweep
from benchmarks.sweeps.store.housekeeping import agree, delete_sweep, redo
from benchmarks.sweeps.store.reader import Reader
from benchmarks.sweeps.store.schema import attempts, environments, members, runs, workers
from benchmarks.sweeps.store.states import (
    DECIDED,
    FINISHED,
    INTERRUPTED,
    KILLED,
    LOST,
    OUTCOMES,
    PENDING,
    RUNNING,
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
    """The right to do a run; `number` is that of the attempt, from 1."""

    run_id: int
    attempt_id: int
    worker_id: int
    config: RunIdentity
    code: str
    number: int = 1


_ASKED = select(runs.c.id, runs.c.config, runs.c.code).select_from(members.join(runs, runs.c.id == members.c.run_id))
_WAITS = runs.c.status == PENDING


class Store(Reader):
    """The rows behind an address, to be read and written."""

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

    def progress(self, sweep_id: int) -> Progress:
        """How far the sweep is: counts, what is ahead, speeds and the best so far, at once."""
        with self.database.read() as connection:
            found = tally.progress(connection, sweep_id)
        if found.is_long:
            with self.database.write() as connection:
                tally.add_up(connection, sweep_id)
        return found

    def ahead(self, sweep_id: int) -> list[dict[str, Any]]:
        """What is still to be done: number of runs and gradient evaluations by data set, algorithm and status."""
        return self.progress(sweep_id).rows_ahead()

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
        waiting = members.c.status == literal_column("'pending'")  # as the index of waiting runs has it
        asked = _ASKED.where(members.c.sweep_id == sweep_id, waiting, _WAITS).order_by(members.c.position)
        return self._claim(worker_id, kind, asked)

    def claim_beside(
        self, sweep_id: int, worker_id: int, keys: Sequence[str], kind: type[RunIdentity] = RunConfig
    ) -> Claim | None:
        """One of the runs with these keys, if it waits in the sweep and has never been tried; None if there is none.

        Args:
            sweep_id: Of the sweep.
            worker_id: Who claims it.
            keys: Of its configuration, one of them.
            kind: The class of the configurations of the sweep.
        """
        tried = exists().where(attempts.c.run_id == runs.c.id)
        asked = _ASKED.where(runs.c.key.in_(keys), _WAITS, members.c.sweep_id == sweep_id, ~tried)
        return self._claim(worker_id, kind, asked.order_by(runs.c.id))

    def _claim(self, worker_id: int, kind: type[RunIdentity], asked: Select[Any]) -> Claim | None:
        query = asked.limit(1).with_for_update(skip_locked=True, of=runs)
        with self.database.write() as connection:
            found = connection.execute(query).first()
            run = None if found is None else hold(connection, found.id)
            if found is None or run is None:
                return None
            leave_nothing_running(connection, [run.id], "its run waited again")
            number = next_number(connection, run.id)
            row = {
                "run_id": run.id,
                "number": number,
                "worker_id": worker_id,
                "status": RUNNING,
                "beats": 0,
                "started": time.time(),
            }
            attempt_id = new_row(connection, attempts, row)
            move_run(connection, run, RUNNING)
        return Claim(run.id, attempt_id, worker_id, kind.model_validate(found.config), found.code, number)

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
                put(connection, "checkpoints", rows.CHECKPOINT, ((claim.attempt_id, *point) for point in points))
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
