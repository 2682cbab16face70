"""Where workers run: in this process, on this machine, on a Slurm cluster, on a Ray cluster.

A launcher starts workers and tells whether they are still there; nothing else. Runs are handed out by the store.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.sweeps.launcher_config import InProcess, LauncherConfig, Local, Slurm
from benchmarks.sweeps.launchers.base import Ending, Launcher, WorkerHandle

__all__ = ["Ending", "Launcher", "WorkerHandle", "launcher"]


def launcher(config: LauncherConfig, folder: Path, largest: int = 0) -> Launcher:
    """The launcher of a configuration.

    Args:
        config: Which one, and its options.
        folder: For its logs.
        largest: Bytes of the largest worker so far, for the one that has to fit them into this machine's memory.

    Raises:
        ImportError: if its library is not installed; says which extra brings it.
    """
    # Each brings its own library, which is imported only if it is used.
    if isinstance(config, InProcess):
        from benchmarks.sweeps.launchers.in_process import InProcessLauncher

        return InProcessLauncher()
    if isinstance(config, Local):
        from benchmarks.sweeps.launchers.local import LocalLauncher

        return LocalLauncher(config, folder, largest)
    if isinstance(config, Slurm):
        from benchmarks.sweeps.launchers.slurm import SlurmLauncher

        return SlurmLauncher(config, folder)
    from benchmarks.sweeps.launchers.ray import RayLauncher

    return RayLauncher(config)
