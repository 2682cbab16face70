"""A worker: a process that claims runs, does them and stores their records, until none is left.

It is long-lived, so that imports and data are paid once. While a run is being done, a thread lets its claim beat.
Whatever ends a run is stored: a result, a failure, an interruption. If the store refuses for a while (a full disk, a
server that restarts), the record waits; if it refuses for longer, the worker ends with the reason, and the run is done
again by another one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import multiprocessing
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.base import resources
from benchmarks.runs import plugins
from benchmarks.runs.environment import environment, fingerprint
from benchmarks.runs.outputs import Place
from benchmarks.runs.runner import RunKind, failure
from benchmarks.runs.together import TRAINING
from benchmarks.sweeps.store import Claim, Store, StoreError
from benchmarks.sweeps.store.database import patiently


class StoppedError(BaseException):
    """The worker was asked to stop. Like KeyboardInterrupt, nothing but the worker itself should catch it."""


class CodeChangedError(RuntimeError):
    """The sources are not those that the sweep was entered with."""


@dataclass(frozen=True)
class Job:
    """What a worker has to know; it travels to other processes and machines.

    Attributes:
        store: Address of the store.
        sweep_id: The sweep whose runs it does.
        launcher: What started it.
        name: Of the worker.
        folder: For prepared data, logs and outputs; the same for all workers.
        kind: Of its runs; None for those on the data sets of the registry.
        plugins: Modules to import first.
        path: Entries of ``sys.path`` to add.
        threads: Threads of torch; None leaves them as they are.
        device: Of torch.
        tensorboard, weights: What to keep, see `benchmarks.runs.outputs.Place`.
        max_attempts: Lost attempts after which a run has failed.
        memory: GiB that must be available before it takes a run while others are at work.
        memory_limit: GiB of address space that it may take.
        beat: Seconds between two signs of life.
        patience: Seconds for which a record waits if the store refuses it.
    """

    store: str
    sweep_id: int
    launcher: str
    name: str
    folder: Path
    kind: RunKind | None = None
    plugins: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    threads: int | None = 1
    device: str = "cpu"
    tensorboard: bool = False
    weights: bool = False
    max_attempts: int = 3
    memory: float | None = None
    memory_limit: float | None = None
    beat: float = 10.0
    patience: float = 60.0

    def named(self, launcher: str, name: str, **changes: Any) -> Job:
        """The same for another worker."""
        return dataclasses.replace(self, launcher=launcher, name=name, **changes)


class Worker:
    """One worker in the process that makes it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        sys.path.extend(entry for entry in job.path if entry not in sys.path)
        plugins.load(job.plugins)
        if job.memory_limit is not None:
            resources.limit_address_space(job.memory_limit)
        self.store = Store(job.store)
        self.number = self.store.new_worker(job.launcher, job.sweep_id, job.name)
        self.environment = environment()
        self._code = functools.cache(fingerprint)
        self.place = Place(job.folder, job.device, job.tensorboard, job.weights)

    def step(self) -> bool:
        """Claims a run, and those that one training does with it, does them and stores them; False if there was none
        to claim.

        Raises:
            StoreError: if the store refuses for longer than the job's patience.
            CodeChangedError: if the sources are other ones than the run was entered with.
        """
        self._wait_for_memory()
        kind = self.job.kind or TRAINING
        first = patiently(lambda: self.store.claim(self.job.sweep_id, self.number, kind.config), self.job.patience)
        if first is None:
            return False
        claims = [first]
        try:
            self._claim_beside(claims, kind)
            with self._beating(claims), _threads(self.job.threads):
                outcomes = self._outcomes(claims, kind)
            for outcome in outcomes:
                patiently(functools.partial(self._store, claims[0], outcome), self.job.patience)
                del claims[0]
        except (KeyboardInterrupt, StoppedError, CodeChangedError) as error:
            reason = str(error) or "stopped by the user"
            for claim in claims:
                self.store.give_up(claim.attempt_id, "interrupted", reason, self.job.max_attempts)
            raise
        return True

    def _claim_beside(self, claims: list[Claim], kind: RunKind) -> None:
        """Adds those that one training does with the first; what was lost or interrupted before is done alone."""
        (first,) = claims
        keys = [config.key() for config in kind.beside(first.config)] if first.number == 1 else []
        if not keys:
            return
        ask = functools.partial(self.store.claim_beside, self.job.sweep_id, self.number, keys, kind.config)
        while (further := patiently(ask, self.job.patience)) is not None:
            claims.append(further)

    def _outcomes(self, claims: Sequence[Claim], kind: RunKind) -> list[dict[str, Any]]:
        for claim in claims:
            here = self._code(claim.config.dataset, claim.config.algorithm, claim.config.model)
            if here != claim.code:
                raise CodeChangedError(
                    f"the code that this worker finds ({here}) is not the code that the sweep was entered with "
                    f"({claim.code}): sources were changed meanwhile; give the same command again"
                )
        if kind.run_together is None or len(claims) == 1:
            return [kind.run(claim.config, self.place) for claim in claims]
        return kind.run_together([claim.config for claim in claims], self.place)

    def _store(self, claim: Claim, outcome: dict[str, Any]) -> None:
        surroundings = {**self.environment, "code": claim.code}
        try:
            self.store.finish(claim, outcome, surroundings)
        except ValueError as error:  # numbers that JSON does not have, from an algorithm's diagnostics
            broken = {name: outcome[name] for name in ("key", "config", "timings", "peak_memory")}
            broken |= {"status": "failed", "failure": failure(error), "traceback": ""}
            broken["error"] = f"the outcome of the run cannot be stored: {error}"
            self.store.finish(claim, broken, surroundings)

    @contextlib.contextmanager
    def _beating(self, claims: Sequence[Claim]) -> Iterator[None]:
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(self.job.beat):
                for claim in claims:
                    # A beat that is missed is no harm: the lease is several of them.
                    with contextlib.suppress(StoreError):
                        self.store.beat(claim.attempt_id)

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _wait_for_memory(self) -> None:
        need = (self.job.memory or 0.0) * resources.GIB
        while need > resources.available() and self.store.counts(self.job.sweep_id)["running"] > 0:
            time.sleep(1.0)

    def close(self, ending: str) -> None:
        """Notes the end of the worker."""
        with contextlib.suppress(StoreError):  # only a note; the run's own state is what counts
            self.store.end_worker(self.number, ending)
        self.store.close()


@contextlib.contextmanager
def _threads(number: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if number is not None:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def work(job: Job) -> str:
    """Does runs until there are none, or the process that started this one has died; returns why it ended."""
    worker = Worker(job)
    ending = "failed"
    try:
        while worker.step():
            parent = multiprocessing.parent_process()
            if parent is not None and not parent.is_alive():
                ending = "the coordinator died"
                return ending
        ending = "done"
    except (KeyboardInterrupt, StoppedError):
        ending = "stopped"
    except BaseException as error:
        ending = f"{type(error).__name__}: {error}"
        raise
    finally:
        worker.close(ending)
    return ending
