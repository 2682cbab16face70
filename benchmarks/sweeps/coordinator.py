"""The coordinator of a sweep: enters its runs, starts workers, replaces those that die, and watches until all is done.

It holds nothing that matters. Everything is in the store, so that it can be killed at any moment, and several may work
on one sweep at a time; the same call again goes on. Its one duty besides starting workers is to give up on attempts
whose process is gone:

- a worker that it started itself and that has ended, or is silent for the length of a lease: that may be the doing of
  its run, and is counted (``lost``);
- a worker of another coordinator whose process does not exist any more, or that is silent for twice as long: that
  coordinator, or the machine of both, has gone, which is not the doing of the run (``interrupted``).
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.base.records import Record
from benchmarks.base.whole import whole
from benchmarks.runs.runner import RunKind
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.launcher_config import InProcess
from benchmarks.sweeps.launchers import Ending, Launcher, WorkerHandle, launcher
from benchmarks.sweeps.leases import Leases
from benchmarks.sweeps.selected import Sweep
from benchmarks.sweeps.snapshot import Snapshot, Watch
from benchmarks.sweeps.stages import Stage, has_stages, next_stage
from benchmarks.sweeps.store import Store, StoreError
from benchmarks.sweeps.store.backup import keep_backup, require_no_backup
from benchmarks.sweeps.store.identity import is_gone
from benchmarks.sweeps.store.reader import Running
from benchmarks.sweeps.store.states import INTERRUPTED, LOST
from benchmarks.sweeps.worker import Job

LEASE_BEATS = 9
"""Beats that may be missed before an attempt counts as lost."""

IDLE_DEATHS = 5
"""Workers that may die one after the other without having had a run, before the sweep is stopped."""

GRACE = 20.0
"""Seconds that workers have to stop when they are told to."""

MOURNING = 1.0
"""Seconds that a worker is dead before its attempt is lost. Where a whole machine is killed, this coordinator is dead
by then, and the attempt was interrupted."""

ENDING = 30.0
"""Seconds that workers have to notice that nothing is left to do."""

IDLE = 0.2
"""Seconds between two looks while others do the runs that are left."""


class SweepError(RuntimeError):
    """The sweep cannot go on; what is done is stored."""


@dataclass
class Coordinator:
    """One process's part in a sweep.

    Attributes:
        sweep: What is to be done.
        store: Where it is noted.
        folder: For what the runs leave.
        watch: Is told how far the sweep is.
        beat: Seconds between two signs of life of a worker.
        patience: Seconds for which a record waits if the store refuses it.
        kind: Of the runs; None for those on the data sets of the registry.
        threads: Of torch in a worker; None leaves them as they are.
    """

    sweep: Sweep
    store: Store
    folder: Path
    watch: Watch = lambda _: None
    beat: float = 10.0
    patience: float = 60.0
    kind: RunKind | None = None
    threads: int | None = 1
    handles: list[WorkerHandle] = field(default_factory=list)
    lost: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        self.sweep_id = self.store.enter(self.sweep)
        self._leases = Leases(self.beat)
        self._ended: dict[str, tuple[Ending, float]] = {}
        self._busy: set[str] = set()
        self._idle_deaths = 0
        self._job = Job(
            store=self.store.database.address,
            sweep_id=self.sweep_id,
            launcher=self.sweep.launcher.kind,
            name="",
            folder=self.folder.resolve(),
            kind=self.kind,
            threads=self.threads,
            plugins=_absolute(self.sweep.plugins),
            tensorboard=self.sweep.outputs.tensorboard,
            weights=self.sweep.outputs.weights == "best",
            max_attempts=self.sweep.max_attempts,
            beat=self.beat,
            patience=self.patience,
        )

    def run(self) -> list[Record]:
        """Does what is not done; returns the records of all runs of the sweep.

        Raises:
            As `work`.
        """
        self.work()
        return self.store.records(self.sweep_id)

    def work(self) -> None:
        """Does what is not done.

        Raises:
            KeyboardInterrupt: if it comes; workers are stopped first, and their runs can be claimed again.
            SweepError: if workers die without having had a run, again and again.
            StoreError: if the store cannot be read or written.
        """
        counts = self._look()
        if counts["pending"] or counts["running"]:
            engine = launcher(self.sweep.launcher, self.folder, self.store.largest_resident())
            try:
                self._until_done(engine)
            finally:
                self._stop()
                engine.close()

    def _until_done(self, engine: Launcher) -> None:
        while True:
            self._poll()
            self._reap()
            counts = self._look()
            if not counts["pending"] and not counts["running"]:
                self._wait(ENDING)
                return
            # A worker that has no run yet is about to take one.
            idle = sum(handle.name not in self._busy for handle in self.handles)
            for _ in range(min(engine.limit - len(self.handles), counts["pending"] - idle)):
                name = f"{self._job.launcher}-{uuid.uuid4().hex[:8]}"
                self.handles.append(engine.start(self._job.named(self._job.launcher, name)))
            time.sleep(engine.pause if self.handles else max(engine.pause, IDLE))

    def _look(self) -> dict[str, int]:
        counts = self.store.progress(self.sweep_id).counts
        self.watch(Snapshot(counts, len(self.handles), self.lost, self.note, self.sweep_id))
        return counts

    def _poll(self) -> None:
        """Notes the workers that have ended."""
        for handle in list(self.handles):
            ending = handle.poll()
            if ending is None:
                continue
            self.handles.remove(handle)
            if not ending.died:
                self._idle_deaths = 0
            self._ended[handle.name] = ending, time.monotonic()

    def _reap(self) -> None:
        """Gives up on the attempts whose process is gone."""
        running = self.store.running(self.sweep_id)
        self._busy = {attempt.worker for attempt in running}
        # All are looked at before any is forgotten: a worker has several where one training does several runs.
        for attempt, (status, reason) in [(attempt, self._gone(attempt)) for attempt in running]:
            if reason:
                self.store.give_up(attempt.attempt_id, status, f"{attempt.worker}: {reason}", self.sweep.max_attempts)
                self.store.end_worker(attempt.worker_id, reason)
                self.lost += 1
                self.note = f"{attempt.worker}: {reason}"
                self._busy.discard(attempt.worker)
                self._ended.pop(attempt.worker, None)
                self._idle_deaths = 0
        self._leases.keep({attempt.attempt_id for attempt in running})
        self._bury(self._busy)

    def _gone(self, attempt: Running) -> tuple[str, str]:
        """How an attempt has to be ended, and why; ("", "") while it goes on."""
        now = time.monotonic()
        silence = self._leases.silence(attempt.attempt_id, attempt.beats, now)
        if attempt.worker in self._ended:
            ending, since = self._ended[attempt.worker]
            if not ending.alone:
                return INTERRUPTED, ending.reason
            return (LOST, ending.reason) if now - since >= MOURNING or not ending.died else ("", "")
        own = next((handle for handle in self.handles if handle.name == attempt.worker), None)
        told = f"no sign of life from {attempt.host} for {silence:.0f} seconds"
        if own is not None:  # its launcher says when it has ended
            if silence <= LEASE_BEATS * self.beat:
                return "", ""
            own.kill()
            self.handles.remove(own)
            return LOST, told
        if is_gone(attempt.place, attempt.pid, attempt.born):
            return INTERRUPTED, f"its process {attempt.pid} does not exist any more, nor who would have told"
        return (INTERRUPTED, told) if silence > 2 * LEASE_BEATS * self.beat else ("", "")

    def _bury(self, busy: Collection[str]) -> None:
        """Counts the workers that died without having had a run.

        Raises:
            SweepError: if there are too many of them.
        """
        for name in [name for name in self._ended if name not in busy]:
            ending, _ = self._ended.pop(name)
            if not ending.died:
                continue
            self._idle_deaths += 1
            self.note = f"{name}: {ending.reason}"
            if self._idle_deaths >= IDLE_DEATHS:
                raise SweepError(
                    f"{self._idle_deaths} workers ended one after the other without a run; the last one, {name}: "
                    f"{ending.reason}. Logs are in {self.folder / 'logs'}"
                )

    def _wait(self, seconds: float) -> None:
        """Until all workers have ended, but no longer."""
        end = time.monotonic() + seconds
        while self.handles and time.monotonic() < end:
            self.handles = [handle for handle in self.handles if handle.poll() is None]
            time.sleep(0.02 if self.handles else 0.0)

    def _stop(self) -> None:
        """Stops the workers that are left; what they were doing can be claimed again."""
        names = {handle.name for handle in self.handles}
        if not names:
            return
        for handle in self.handles:
            handle.stop()
        if not isinstance(self.sweep.launcher, InProcess):  # whose poll would begin another run
            self._wait(GRACE)
            for handle in self.handles:
                handle.kill()
        self.handles.clear()
        # If the store cannot be written now, the next coordinator finds that the processes are gone.
        with contextlib.suppress(StoreError):
            for attempt in self.store.running(self.sweep_id):
                if attempt.worker in names:
                    self.store.give_up(
                        attempt.attempt_id, "interrupted", "stopped with the sweep", self.sweep.max_attempts
                    )
                    self.store.end_worker(attempt.worker_id, "stopped with the sweep")


def perform(
    sweep: SweepConfig,
    store: Store,
    folder: Path,
    watch: Watch = lambda _: None,
    retry_failed: bool = False,
    beat: float = 10.0,
) -> list[Record]:
    """Does the runs of a sweep that are not done, then those of its later stages; returns the records of all of them.

    However it ends, ``records.jsonl`` and ``sweep.json`` in the folder then hold what there is.

    Raises:
        As `Coordinator.work`.
        StoreError: if the store is empty and the folder holds records (see `require_no_backup`).
    """
    numbers = do(sweep, store, folder, watch=watch, redo=("failed",) if retry_failed else (), beat=beat)
    return [record for number in numbers for record in store.records(number)]


def do(
    sweep: SweepConfig,
    store: Store,
    folder: Path,
    *,
    watch: Watch = lambda _: None,
    redo: Collection[str] = (),
    keys: Collection[str] | None = None,
    beat: float = 10.0,
) -> tuple[int, ...]:
    """The same without the records, which may be a million; returns the numbers of the sweep and of its later stages.

    Args:
        sweep: What to do.
        store: Where it is noted.
        folder: For what the runs leave.
        watch: Is told how far it is.
        redo: The statuses of decided runs that are to be done again.
        keys: Beginnings of the names of the runs that `redo` is about; None for all.
        beat: Seconds between two signs of life.
    """
    require_no_backup(store, folder)
    coordinator = Coordinator(sweep, store, folder, watch=watch, beat=beat)
    numbers = [coordinator.sweep_id]
    if redo:
        store.redo(coordinator.sweep_id, redo, keys)
    try:
        coordinator.work()
        while (stage := _next_stage(sweep, store, numbers)) is not None:
            later = Coordinator(stage, store, folder, watch=watch, beat=beat)
            numbers.append(later.sweep_id)
            if redo:
                store.redo(later.sweep_id, redo, keys)
            later.work()
    finally:
        keep_backup(store, folder)
        summary = summarize(store, coordinator.sweep_id, sweep)
        summary["stages"] = [store.counts(number) for number in numbers[1:]]
        with whole(folder / "sweep.json") as partial:
            partial.write_text(json.dumps(summary, indent=1, ensure_ascii=False), encoding="utf-8")
    return tuple(numbers)


def _next_stage(sweep: SweepConfig, store: Store, numbers: Sequence[int]) -> Stage | None:
    """Looks at the records only where something may follow from them."""
    if not has_stages(sweep):
        return None
    return next_stage(sweep, [record for number in numbers for record in store.records(number)])


def summarize(store: Store, sweep_id: int, sweep: SweepConfig) -> dict[str, Any]:
    """The sweep as a whole, ready for JSON.

    Returns:
        ``config``; ``counts`` of runs by status; ``workers``: their rows; ``busy_share``: the part of their lifetime
        that workers which have ended spent in runs, None without any.
    """
    rows = store.workers(sweep_id)
    ended = [row for row in rows if row["ended"] is not None and row["runs"] > 0]
    lifetime = sum(row["ended"] - row["started"] for row in ended)
    return {
        "config": sweep.model_dump(mode="json"),
        "counts": store.counts(sweep_id),
        "workers": rows,
        "busy_share": sum(row["busy_seconds"] for row in ended) / lifetime if lifetime else None,
    }


def _absolute(plugins: tuple[str, ...]) -> tuple[str, ...]:
    """Files by their whole path: workers may start elsewhere."""
    return tuple(str(Path(name).resolve()) if name.endswith(".py") else name for name in plugins)
