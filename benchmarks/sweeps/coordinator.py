"""The coordinator of a sweep: enters its runs, starts workers, replaces those that die, and watches until all is done.

It holds nothing that matters. Everything is in the store, so that it can be killed at any moment, and several may work
on one sweep at a time; the same call again goes on. Its one duty besides starting workers is to give up on attempts
whose process is gone:

- a worker that it started itself and that has ended;
- a process of this machine that does not exist any more;
- anything else that has not beaten for the length of a lease, by this process's own clock.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.base.records import Record
from benchmarks.runs.runner import RunKind
from benchmarks.sweeps.config import Sweep, SweepConfig
from benchmarks.sweeps.launcher_config import InProcess
from benchmarks.sweeps.launchers import Ending, Launcher, WorkerHandle, launcher
from benchmarks.sweeps.stages import next_stage
from benchmarks.sweeps.store import Store, StoreError
from benchmarks.sweeps.store.store import Running
from benchmarks.sweeps.store.transfer import write_lines
from benchmarks.sweeps.worker import Job

LEASE_BEATS = 9
"""Beats that may be missed before an attempt counts as lost."""

IDLE_DEATHS = 5
"""Workers that may die one after the other without having had a run, before the sweep is stopped."""

GRACE = 20.0
"""Seconds that workers have to stop when they are told to."""

ENDING = 30.0
"""Seconds that workers have to notice that nothing is left to do."""

IDLE = 0.2
"""Seconds between two looks while others do the runs that are left."""


class SweepError(RuntimeError):
    """The sweep cannot go on; what is done is stored."""


@dataclass(frozen=True)
class Snapshot:
    """The state of a sweep.

    Attributes:
        counts: Runs by status.
        workers: How many are at work for this coordinator.
        lost: Attempts that this coordinator has given up.
        note: The last thing that went wrong, or "".
        sweep_id: Number of the sweep, or of its stage.
    """

    counts: dict[str, int]
    workers: int = 0
    lost: int = 0
    note: str = ""
    sweep_id: int | None = None

    @property
    def total(self) -> int:
        """All runs."""
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        """Runs that have ended."""
        return self.counts["finished"] + self.counts["failed"]


Watch = Callable[[Snapshot], None]


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
        self._seen: dict[int, tuple[int, float]] = {}
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
        return self.store.records(self.sweep_id)

    def _until_done(self, engine: Launcher) -> None:
        while True:
            self._poll()
            self._reap({})
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
        counts = self.store.counts(self.sweep_id)
        self.watch(Snapshot(counts, len(self.handles), self.lost, self.note, self.sweep_id))
        return counts

    def _poll(self) -> None:
        """Notes the workers that have ended."""
        ended: dict[str, Ending] = {}
        for handle in list(self.handles):
            ending = handle.poll()
            if ending is not None:
                self.handles.remove(handle)
                ended[handle.name] = ending
        if not ended:
            return
        reaped = self._reap(ended)
        for name, ending in ended.items():
            if not ending.died or name in reaped:
                self._idle_deaths = 0
                continue
            self._idle_deaths += 1
            self.note = f"{name}: {ending.reason}"
            if self._idle_deaths >= IDLE_DEATHS:
                raise SweepError(
                    f"{self._idle_deaths} workers ended one after the other without a run; the last one, {name}: "
                    f"{ending.reason}. Logs are in {self.folder / 'logs'}"
                )

    def _reap(self, ended: dict[str, Ending]) -> set[str]:
        """Gives up on the attempts whose process is gone; returns the names of those workers."""
        reaped = set()
        running = self.store.running(self.sweep_id)
        for attempt in running:
            reason = self._gone(attempt, ended)
            if reason is not None:
                self.store.give_up(attempt.attempt_id, "lost", f"{attempt.worker}: {reason}", self.sweep.max_attempts)
                self.store.end_worker(attempt.worker_id, reason)
                self.lost += 1
                self.note = f"{attempt.worker}: {reason}"
                reaped.add(attempt.worker)
        self._seen = {attempt.attempt_id: self._seen[attempt.attempt_id] for attempt in running}
        self._busy = {attempt.worker for attempt in running} - reaped
        return reaped

    def _gone(self, attempt: Running, ended: dict[str, Ending]) -> str | None:
        beats, since = self._seen.get(attempt.attempt_id, (-1, 0.0))
        if beats != attempt.beats:
            self._seen[attempt.attempt_id] = (attempt.beats, time.monotonic())
            since = time.monotonic()
        if attempt.worker in ended:
            return ended[attempt.worker].reason
        own = any(handle.name == attempt.worker for handle in self.handles)  # its launcher says when it has ended
        if not own and attempt.host == socket.gethostname() and not _exists(attempt):
            return f"its process {attempt.pid} does not exist any more"
        silence = time.monotonic() - since
        if silence > LEASE_BEATS * self.beat:
            return f"no sign of life from {attempt.host} for {silence:.0f} seconds"
        return None

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
        As `Coordinator.run`.
    """
    coordinator = Coordinator(sweep, store, folder, watch=watch, beat=beat)
    numbers = [coordinator.sweep_id]
    if retry_failed:
        store.retry_failed(coordinator.sweep_id)
    try:
        records = coordinator.run()
        while (stage := next_stage(sweep, records)) is not None:
            later = Coordinator(stage, store, folder, watch=watch, beat=beat)
            numbers.append(later.sweep_id)
            if retry_failed:
                store.retry_failed(later.sweep_id)
            records += later.run()
        return records
    finally:
        write_lines([record for number in numbers for record in store.records(number)], folder / "records.jsonl")
        summary = summarize(store, coordinator.sweep_id, sweep)
        summary["stages"] = [store.counts(number) for number in numbers[1:]]
        (folder / "sweep.json").write_text(json.dumps(summary, indent=1, ensure_ascii=False), encoding="utf-8")


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


def _exists(attempt: Running) -> bool:
    try:
        process = psutil.Process(attempt.pid)
        same = attempt.born is None or abs(process.create_time() - attempt.born) < 1.0
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
