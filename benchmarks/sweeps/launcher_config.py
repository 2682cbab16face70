"""Where runs are done, and how many at a time."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from benchmarks.base.config import Frozen


class InProcess(Frozen):
    """One run after the other in this process."""

    kind: Literal["in-process"] = "in-process"


class Workers(Frozen):
    """What every pool of workers has.

    Attributes:
        workers: At most so many at a time.
        threads: Threads of torch in each.
    """

    workers: PositiveInt | None = None
    threads: PositiveInt = 1


class Local(Workers):
    """Processes on this machine.

    Attributes:
        workers: By default one for each core (and with `gpus`, `per_gpu` for each GPU).
        gpus: How many GPUs to use; 0 for none, None for all that torch sees.
        per_gpu: Workers that share a GPU.
        memory: GiB that a worker needs: only as many start as fit, and none takes a new run while less is available.
            By default what the largest worker in the store's records had.
        memory_limit: GiB of address space that a worker may take; beyond it a run fails as out of memory.
    """

    kind: Literal["local"] = "local"
    gpus: Annotated[int, Field(ge=0)] | None = None
    per_gpu: PositiveInt = 1
    memory: PositiveFloat | None = None
    memory_limit: PositiveFloat | None = None


class Slurm(Workers):
    """Jobs of a Slurm cluster, one worker each, through submitit.

    Attributes:
        workers: Jobs.
        cluster: ``"local"`` runs the same jobs as processes of this machine, to try it out.
        minutes: Time limit of a job; a run that it cuts off is done again.
        partition, account, qos, constraint: Handed to Slurm.
        gpus: GPUs of a job.
        cpus: Cores of a job; by default one for each thread.
        memory: GiB of a job.
    """

    kind: Literal["slurm"] = "slurm"
    workers: PositiveInt = 4
    cluster: Literal["slurm", "local"] = "slurm"
    minutes: PositiveInt = 240
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    gpus: Annotated[int, Field(ge=0)] = 0
    cpus: PositiveInt | None = None
    memory: PositiveFloat | None = None


class Ray(Workers):
    """Tasks of a Ray cluster, one worker each.

    Attributes:
        workers: Tasks; by default as many as the cluster has room for.
        address: Of the cluster; None starts one on this machine.
        gpus: GPUs of a worker; a fraction shares one.
        cpus: Cores of a worker; by default one for each thread.
        memory: GiB that Ray sets aside for a worker.
    """

    kind: Literal["ray"] = "ray"
    address: str | None = None
    gpus: Annotated[float, Field(ge=0)] = 0
    cpus: PositiveFloat | None = None
    memory: PositiveFloat | None = None


LauncherConfig = Annotated[InProcess | Local | Slurm | Ray, Field(discriminator="kind")]
KINDS: dict[str, type[InProcess | Local | Slurm | Ray]] = {
    "in-process": InProcess,
    "local": Local,
    "slurm": Slurm,
    "ray": Ray,
}
