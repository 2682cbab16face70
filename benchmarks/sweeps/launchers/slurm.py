"""Jobs of a Slurm cluster through submitit; its local executor runs the same jobs on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from benchmarks.sweeps.launcher_config import Slurm
from benchmarks.sweeps.launchers.base import Ending, Launcher, WorkerHandle
from benchmarks.sweeps.worker import Job, work

TAKEN_BACK = ("PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "CANCELLED", "REVOKED", "REQUEUED", "RESIZING")
"""States of a job of Slurm that its run did not bring about."""


class SlurmHandle(WorkerHandle):
    """A job of submitit."""

    def __init__(self, name: str, job: Any) -> None:
        super().__init__(name)
        self._job = job

    def poll(self) -> Ending | None:
        if not self._job.done():
            return None
        error = self._job.exception()
        if error is None:
            return Ending(died=False, reason=str(self._job.result()))
        lines = [line for line in str(error).splitlines() if line.strip(" -")]
        where = f"job {self._job.job_id}, logs in {self._job.paths.folder}"
        reason = f"{lines[-1] if lines else type(error).__name__} ({where})"
        return Ending(died=True, reason=reason, alone=str(self._job.state).split()[0] not in TAKEN_BACK)

    def stop(self) -> None:
        self._job.cancel()

    def kill(self) -> None:
        self._job.cancel()


class SlurmLauncher(Launcher):
    """Submits one job for each worker."""

    pause = 1.0

    def __init__(self, config: Slurm, folder: Path) -> None:
        try:
            import submitit
        except ImportError as error:
            raise ImportError(
                f"the Slurm launcher needs submitit ({error}); pip install 'pgrad[slurm]' brings it"
            ) from error
        self._config = config
        self.limit = config.workers
        try:
            self._executor = submitit.AutoExecutor(folder=folder / "slurm" / "%j", cluster=config.cluster)
        except RuntimeError as error:
            raise RuntimeError(
                f"no Slurm here ({error}); launcher.cluster=local tries the same jobs out on this machine"
            ) from error
        slurm = {
            f"slurm_{name}": value
            for name in ("partition", "account", "qos", "constraint")
            if (value := getattr(config, name)) is not None
        }
        memory = {} if config.memory is None else {"mem_gb": config.memory}
        self._executor.update_parameters(
            name="pgrad",
            timeout_min=config.minutes,
            cpus_per_task=config.cpus or config.threads,
            gpus_per_node=config.gpus,
            **memory,
            **(slurm if config.cluster == "slurm" else {}),
        )

    def start(self, job: Job) -> WorkerHandle:
        device = "cuda" if self._config.gpus else "cpu"
        job = job.named("slurm", job.name, threads=self._config.threads, device=device, path=tuple(sys.path))
        return SlurmHandle(job.name, self._executor.submit(work, job))

    def close(self) -> None:
        """It holds nothing."""
