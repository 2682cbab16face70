"""One run after the other in this process: for debugging, and where nothing else may be started."""

from __future__ import annotations

from benchmarks.sweeps.launchers.base import Ending, Launcher, WorkerHandle
from benchmarks.sweeps.worker import Job, Worker


class InProcessHandle(WorkerHandle):
    """A worker that does one run each time it is looked at."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.name)
        self._worker = Worker(job)

    def poll(self) -> Ending | None:
        if self._worker.step():
            return None
        self._worker.close("done")
        return Ending(died=False, reason="done")

    def stop(self) -> None:
        self._worker.close("stopped")

    def kill(self) -> None:
        """It has stopped already."""


class InProcessLauncher(Launcher):
    """Starts one worker here."""

    pause = 0.0

    def start(self, job: Job) -> WorkerHandle:
        return InProcessHandle(job.named("in-process", job.name, threads=job.threads))

    def close(self) -> None:
        """It holds nothing."""
