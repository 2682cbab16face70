"""Memory: what a run took, and what is left."""

from __future__ import annotations

from typing import Any

import psutil
import torch

from benchmarks.base.records import PeakMemory

GIB = 2**30


def watch_memory(device: str) -> None:
    """Starts counting anew where that is possible: on a GPU."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: str) -> PeakMemory:
    """The most that this process held, and the most that torch held on the GPU since `watch_memory`."""
    cuda = torch.cuda.max_memory_allocated(device) if torch.device(device).type == "cuda" else None
    return {"resident_bytes": peak_resident(), "cuda_bytes": cuda}


def peak_resident() -> int:
    """The most memory that this process held so far, in bytes."""
    try:
        import resource
    except ImportError:  # Windows
        memory: Any = psutil.Process().memory_info()
        return int(memory.peak_wset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if psutil.MACOS else int(peak) * 1024


def available() -> int:
    """Bytes that new processes can have without swapping."""
    return int(psutil.virtual_memory().available)


def limit_address_space(gib: float) -> None:
    """No allocation of this process may take it beyond `gib`: it fails there, instead of the whole machine.

    Raises:
        OSError: on a system without such limits.
    """
    try:
        import resource
    except ImportError as error:
        raise OSError("memory_limit needs a Unix system; leave it out here") from error
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (int(gib * GIB), hard))
