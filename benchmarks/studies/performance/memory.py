"""Peak memory of one method on one problem, in a process of its own.

``python -m benchmarks.studies.performance.memory '{"problem": ..., "method": ..., ...}'`` prints the bytes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.runs.environment import ROOT
from benchmarks.studies.performance import run


def in_fresh_process(task: run.Case) -> int:
    """Peak bytes of two roll-outs.

    Raises:
        RuntimeError: with the last line of what the process said, if it failed.
    """
    command = [sys.executable, "-m", "benchmarks.studies.performance.memory", json.dumps(task.as_json())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"killed by signal {-done.returncode}"]
        raise RuntimeError(said[-1])
    return int(done.stdout.split()[-1])


def peak(device: torch.device) -> int:
    """Bytes at the highest point of this process so far: of the allocator, or resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would include what the parent had before exec
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def main(argument: str) -> None:
    """Two roll-outs, and print the peak."""
    values: dict[str, Any] = json.loads(argument)
    task = run.Case.from_json(values)
    rollout = task.prepare()
    for _ in range(2):
        rollout()
    print(peak(task.device))


if __name__ == "__main__":
    main(sys.argv[1])
