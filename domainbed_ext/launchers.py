"""Command launchers for DomainBed's sweep: functions of a list of shell commands, in its REGISTRY.

``cores``: processes of this machine, a limited number at a time. ``gpus``: the same for each GPU. ``slurm``: one array
of jobs, through submitit. DomainBed's own launchers stay; all of them get commands that call our entry point.
"""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from domainbed_ext import folders
from domainbed_ext.errors import Refusal

__all__ = ["Options", "install", "is_queued", "run_in_slots"]

Launcher = Callable[[list[str]], None]
_THEIRS = "python -m domainbed.scripts.train "


@dataclass(frozen=True)
class Options:
    """What our launchers can be told."""

    jobs: int | None = None  # at a time; of each GPU with `gpus`
    output_dir: Path = Path()
    cluster: str = "slurm"  # submitit's name
    parameters: dict[str, Any] = field(default_factory=dict)  # submitit's, for every job


def install(registry: dict[str, Launcher], entry: Sequence[str], options: Options) -> None:
    """Add our launchers, and let every launcher start ``entry`` in the place of DomainBed's train script."""
    ours: dict[str, Launcher] = {
        "cores": functools.partial(_cores, options=options),
        "gpus": functools.partial(_gpus, options=options),
        "slurm": functools.partial(_slurm, options=options),
    }
    for name, launcher in {**registry, **ours}.items():
        registry[name] = functools.partial(_launch, launcher, shlex.join(entry))


def _launch(launcher: Launcher, entry: str, commands: list[str]) -> None:
    launcher([_with_entry(command, entry) for command in commands])


def _with_entry(command: str, entry: str) -> str:
    if not command.startswith(_THEIRS):
        raise Refusal(f"DomainBed's sweep makes commands that are not understood: {command!r}")
    return f"{entry} {command.removeprefix(_THEIRS)}"


# ------------------------------------------------------------------------------------------------------ this machine


def _cores(commands: list[str], options: Options) -> None:
    cores = len(os.sched_getaffinity(0))
    jobs = options.jobs or cores
    threads = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(max(1, cores // jobs))}
    run_in_slots(commands, [threads] * jobs)


def _gpus(commands: list[str], options: Options) -> None:
    run_in_slots(commands, [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in visible_gpus() for _ in range(options.jobs or 1)])


def visible_gpus() -> list[str]:
    """The GPUs that jobs may use, as CUDA_VISIBLE_DEVICES names them.

    Raises:
        Refusal: if there is none.
    """
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    gpus = [gpu for gpu in named.split(",") if gpu] if named is not None else [str(n) for n in range(count)]
    if not gpus or count == 0:
        raise Refusal("no GPU is visible to torch; use --command_launcher cores, or look at nvidia-smi")
    return gpus


def run_in_slots(commands: Iterable[str], slots: Sequence[dict[str, str]]) -> None:
    """Run every command, one at a time in each slot, with the environment variables of its slot.

    If this is interrupted, what runs is ended too; exit codes are judged by the caller, from what the jobs left.
    """
    waiting = deque(commands)
    total, running = len(waiting), dict[int, subprocess.Popen[bytes]]()
    try:
        while waiting or running:
            for slot, variables in enumerate(slots):
                if slot in running and running[slot].poll() is not None:
                    del running[slot]
                    print(f"{total - len(waiting) - len(running)} of {total} jobs ended", flush=True)
                if slot not in running and waiting:
                    command = shlex.split(waiting.popleft())
                    running[slot] = subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.DEVNULL)
            time.sleep(0.1)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()


# ------------------------------------------------------------------------------------------------------------- Slurm


def _submitit() -> Any:
    try:
        import submitit
    except ImportError as error:
        raise Refusal("the launcher slurm needs submitit: pip install 'pgrad[domainbed]'") from error
    return submitit


def _slurm(commands: list[str], options: Options) -> None:
    executor = _submitit().AutoExecutor(folder=options.output_dir / ".slurm", cluster=options.cluster)
    executor.update_parameters(**{"name": "domainbed", **options.parameters})
    if options.jobs and options.cluster == "slurm":
        executor.update_parameters(slurm_array_parallelism=options.jobs)
    arguments = [shlex.split(command) for command in commands]
    jobs = executor.map_array(_run, arguments)
    for argv, job in zip(arguments, jobs, strict=True):
        folder = Path(argv[argv.index("--output_dir") + 1])
        folders.mark_submitted(folder, f"{options.cluster}:{job.job_id}")
    print(f"submitted {len(jobs)} jobs; their logs are in {executor.folder}", flush=True)
    if options.cluster != "slurm":
        for job in jobs:  # without a cluster they are processes of this one
            job.wait()


def _run(argv: list[str]) -> int:
    """On the node: the job as a process of its own."""
    return subprocess.run(argv, check=False).returncode


def is_queued(submitted: str, output_dir: Path) -> bool:
    """Whether Slurm still has a job to do: ``cluster:id`` as `_slurm` recorded it."""
    cluster, _, job_id = submitted.partition(":")
    if cluster != "slurm":
        return False
    state = str(_submitit().SlurmJob(output_dir / ".slurm", job_id).state)
    if state == "UNKNOWN":
        print(f"Slurm knows nothing of job {job_id}: taken as ended", file=sys.stderr)
    return state in ("PENDING", "CONFIGURING", "RUNNING", "REQUEUED", "SUSPENDED", "COMPLETING")
