"""Processes on this machine, on its cores or GPUs.

They are forked from a server that has imported everything already (where the system has such a thing), so that a worker
is there in a moment, also the one that replaces another.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

import joblib
import torch
from threadpoolctl import threadpool_limits

from benchmarks.base import resources
from benchmarks.base.errors import ConfigError
from benchmarks.sweeps.launcher_config import Local
from benchmarks.sweeps.launchers.base import Ending, Launcher, WorkerHandle
from benchmarks.sweeps.worker import Job, StoppedError, work

_SLACK = 1.2
"""A worker may become this much larger than the largest one so far."""


class LocalHandle(WorkerHandle):
    """A process."""

    def __init__(self, name: str, process: Any, ending: Connection, gpu: int | None) -> None:
        super().__init__(name)
        self.process = process
        self.gpu = gpu
        self._pipe = ending
        self._ending: Ending | None = None

    def poll(self) -> Ending | None:
        if self._ending is None and not self.process.is_alive():
            self._ending = self._end()
        return self._ending

    def _end(self) -> Ending:
        self.process.join()
        reason = None
        with contextlib.suppress(EOFError, OSError):
            if self._pipe.poll():
                reason = self._pipe.recv()
        self._pipe.close()
        code = self.process.exitcode
        if code == 0 and reason is not None:
            return Ending(died=False, reason=reason)
        return Ending(died=True, reason=reason or _exit(code))

    def stop(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        self.process.kill()


class LocalLauncher(Launcher):
    """Starts processes."""

    def __init__(self, config: Local, folder: Path, largest: int = 0) -> None:
        self._config = config
        self._logs = folder / "logs"
        self._handles: list[LocalHandle] = []
        self._gpus = _gpus(config)
        slots = len(self._gpus) * config.per_gpu or joblib.cpu_count()
        self.memory = config.memory or _SLACK * largest / resources.GIB or None
        self.limit = config.workers or slots
        if self.memory is not None:
            self.limit = max(1, min(self.limit, int(resources.available() / resources.GIB / self.memory)))
        methods = multiprocessing.get_all_start_methods()
        self._context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        if "forkserver" in methods:
            self._context.set_forkserver_preload(["benchmarks.sweeps.launchers.warm"])

    def start(self, job: Job) -> WorkerHandle:
        gpu = self._free_gpu()
        job = job.named(
            "local",
            job.name,
            threads=self._config.threads,
            device="cpu" if gpu is None else "cuda",
            memory=self.memory,
            memory_limit=self._config.memory_limit,
        )
        self._logs.mkdir(parents=True, exist_ok=True)
        receiver, sender = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=_main, args=(job, sender, self._logs / f"{job.name}.log", gpu), name=job.name, daemon=False
        )
        _start(process)
        sender.close()
        handle = LocalHandle(job.name, process, receiver, gpu)
        self._handles.append(handle)
        return handle

    def _free_gpu(self) -> int | None:
        """The GPU with the fewest workers."""
        self._handles = [handle for handle in self._handles if handle.process.exitcode is None]
        if not self._gpus:
            return None
        taken = [handle.gpu for handle in self._handles]
        return min(self._gpus, key=taken.count)

    def close(self) -> None:
        """The processes have ended; the server that they came from ends with this process."""


def _start(process: Any) -> None:
    """Starts it, from another server where the one that processes come from was killed.

    That one refuses connections for a moment before it is gone and another takes its place.
    """
    for pause in (0.0, 0.1, 0.5, 2.0, 8.0):
        try:
            process.start()
        except (EOFError, ConnectionError):
            time.sleep(pause)
        else:
            return
    process.start()


def _gpus(config: Local) -> list[int]:
    found = torch.cuda.device_count() if config.gpus != 0 else 0
    if config.gpus is not None and config.gpus > found:
        raise ConfigError(
            f"launcher.gpus={config.gpus}, but torch sees {found} here; without it, all that are here are used"
        )
    return list(range(found if config.gpus is None else config.gpus))


def _exit(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = ", which the system sends when memory runs out" if name == "SIGKILL" else ""
        return f"killed by signal {-code} ({name}{hint})"
    return f"ended with status {code}"


def _main(job: Job, ending: Connection, log: Path, gpu: int | None) -> None:
    """What runs in the process."""
    with log.open("a", buffering=1, encoding="utf-8") as file:
        for number in (sys.stdout.fileno(), sys.stderr.fileno()):
            os.dup2(file.fileno(), number)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the coordinator's to handle
    signal.signal(signal.SIGTERM, _stop)
    threadpool_limits(job.threads)  # also of numpy's and scipy's libraries
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = _visible(gpu)
    try:
        ending.send(work(job))
    except BaseException as error:
        with contextlib.suppress(OSError):  # nobody listens any more
            ending.send(f"{type(error).__name__}: {error}")
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    if log.stat().st_size == 0:
        log.unlink()


def _visible(gpu: int) -> str:
    """The name of a GPU, if this process may not see all of them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return chosen.split(",")[gpu] if chosen else str(gpu)


def _stop(signum: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise StoppedError(f"stopped by signal {signum}")
