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

from benchmarks.base.resources import peak_resident
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


class Watch:
    """The most that this process holds from here on, of the allocator or of the machine.

    On Linux that is what is resident now and by how much the address space grows from here at most. The highest
    resident size itself falls short on a machine without room, which takes pages away as they are needed elsewhere.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before = None if device.type == "cuda" else _status()

    def peak(self) -> int:
        """Bytes."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        now = _status()
        if self._before is None or now is None:
            return peak_resident()
        return self._before["VmRSS"] + now["VmPeak"] - self._before["VmSize"]


def _status() -> dict[str, int] | None:
    path = Path("/proc/self/status")
    if not path.exists():
        return None
    lines = (line.split() for line in path.read_text().splitlines() if line.startswith("Vm"))
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines}


def main(argument: str) -> None:
    """Two roll-outs, and print the peak."""
    values: dict[str, Any] = json.loads(argument)
    task = run.Case.from_json(values)
    watch = Watch(task.device)
    rollout = task.prepare()
    for _ in range(2):
        rollout()
    print(watch.peak())


if __name__ == "__main__":
    main(sys.argv[1])
