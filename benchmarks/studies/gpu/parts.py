"""Commands with a limit, each in a group of processes of its own, of which nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.runs.environment import ROOT
from benchmarks.studies.gpu.record import Part

GRACE = 15.0  # seconds between asking a part to end and ending it


def run(name: str, command: Sequence[str], seconds: float, log: Path) -> Part:
    """Run a command from the root of the checkout; what it says goes to ``log``.

    Raises:
        OSError: if the command cannot be started.
    """
    start = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end(process)
    taken = time.monotonic() - start
    if status == 0:
        return Part(name=name, outcome="done", seconds=taken)
    if status is None:
        return Part(name=name, outcome="killed", seconds=taken, reason=f"was not done after {seconds:.0f} seconds")
    if status < 0:
        return Part(name=name, outcome="killed", seconds=taken, reason=f"by {signal.Signals(-status).name}")
    said = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return Part(name=name, outcome="failed", seconds=taken, reason="\n".join([f"status {status}", *said[-5:]]))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the whole group to end, then end it: torchrun, asked, ends the ranks that have sessions of their own."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    with contextlib.suppress(ProcessLookupError):  # where nobody is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
