"""Tasks of a Ray cluster, one worker each."""

from __future__ import annotations

import os
import sys
from typing import Any

from benchmarks.base.resources import GIB
from benchmarks.runs.environment import ROOT
from benchmarks.sweeps.launcher_config import Ray
from benchmarks.sweeps.launchers.base import Ending, Launcher, WorkerHandle
from benchmarks.sweeps.worker import Job, work


class RayHandle(WorkerHandle):
    """A task."""

    def __init__(self, name: str, ray: Any, reference: Any) -> None:
        super().__init__(name)
        self._ray = ray
        self._reference = reference

    def poll(self) -> Ending | None:
        done, _ = self._ray.wait([self._reference], timeout=0)
        if not done:
            return None
        try:
            return Ending(died=False, reason=str(self._ray.get(self._reference)))
        except self._ray.exceptions.RayTaskError as error:
            return Ending(died=True, reason=f"{type(error.cause).__name__}: {error.cause}")
        except self._ray.exceptions.RayError as error:
            # Of the deaths that Ray tells apart these are of the worker itself.
            own = (self._ray.exceptions.WorkerCrashedError, self._ray.exceptions.OutOfMemoryError)
            reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
            return Ending(died=True, reason=reason, alone=isinstance(error, own))

    def stop(self) -> None:
        self.kill()  # a gentle cancellation reaches a task only between two steps of Python code

    def kill(self) -> None:
        self._ray.cancel(self._reference, force=True)


class RayLauncher(Launcher):
    """Gives one task to the cluster for each worker."""

    pause = 0.5

    def __init__(self, config: Ray) -> None:
        try:
            import ray
        except ImportError as error:
            raise ImportError(f"the Ray launcher needs Ray ({error}); pip install 'pgrad[ray]' brings it") from error
        self._config = config
        self._ray: Any = ray
        self._own = not ray.is_initialized()
        if self._own:
            ray.init(
                address=config.address,
                runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}},
                log_to_driver=False,
                include_dashboard=None if config.address else False,
            )
        cpus = config.cpus or config.threads
        self.limit = config.workers or self._room(cpus)
        options = {"num_cpus": cpus, "num_gpus": config.gpus, "max_retries": 0}
        if config.memory is not None:
            options["memory"] = config.memory * GIB
        self._work = ray.remote(work).options(**options)

    def _room(self, cpus: float) -> int:
        found = self._ray.cluster_resources()
        rooms = [found.get("CPU", 0) / cpus]
        if self._config.gpus:
            rooms.append(found.get("GPU", 0) / self._config.gpus)
        return max(1, int(min(rooms)))

    def start(self, job: Job) -> WorkerHandle:
        device = "cuda" if self._config.gpus else "cpu"
        job = job.named("ray", job.name, threads=self._config.threads, device=device, path=tuple(sys.path))
        return RayHandle(job.name, self._ray, self._work.remote(job))

    def close(self) -> None:
        if self._own:
            self._ray.shutdown()
