"""The folder of one job: what its files say about it, and who is writing into it.

``done`` is DomainBed's, written last. Beside it there are ``.lock``, held by the process that trains (the system drops
it when the process ends, however it ends), ``failed`` with the reason, and ``.submitted`` with a cluster's job id. So a
job that was killed in the middle is neither done nor failed, and can be told from one that is running.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import IO

from domainbed_ext.errors import Refusal

__all__ = ["State", "lock", "mark_failed", "mark_submitted", "reason", "set_aside", "state"]

ATTIC = ".attempts"  # of the output folder: what earlier attempts left; DomainBed's tools do not look there


class State(Enum):
    """Of a job. The value is how it is printed."""

    DONE = "done"
    RUNNING = "running"
    QUEUED = "queued"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    NOT_LAUNCHED = "not launched"


def state(folder: Path, is_queued: Callable[[str], bool] = lambda _: False) -> State:
    """What the folder says; `is_queued` asks the cluster about the id of a submitted job."""
    if not folder.is_dir():
        return State.NOT_LAUNCHED
    if (folder / "done").exists():
        return State.DONE
    if _is_locked(folder):
        return State.RUNNING
    if (folder / "failed").exists():
        return State.FAILED
    submitted = folder / ".submitted"
    if submitted.exists() and is_queued(submitted.read_text().strip()):
        return State.QUEUED
    return State.INTERRUPTED


def lock(folder: Path, patience: float = 2.0) -> IO[str]:
    """Claim the folder for this process, for as long as the returned file is open.

    Args:
        folder: of the job.
        patience: seconds to try for, since whoever asks for the `state` holds the lock for an instant too.

    Raises:
        Refusal: if another process holds it.
    """
    file = (folder / ".lock").open("a")
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            file.close()
            message = f"another process is training into {folder}; wait for it, or choose another folder"
            raise Refusal(message) from error
        return file


def _is_locked(folder: Path) -> bool:
    if not (folder / ".lock").exists():
        return False
    try:
        lock(folder, patience=0).close()
    except Refusal:
        return True
    return False


def mark_failed(folder: Path, why: str) -> None:
    """Record that the job ended without success, and why. A marker that is there already says more: it stays."""
    path = folder / "failed"
    if path.exists() or (folder / "done").exists():
        return
    content = json.dumps({"reason": why, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
    temporary = path.with_name(f".failed-{os.getpid()}")
    temporary.write_text(content + "\n")
    temporary.replace(path)


def reason(folder: Path) -> str:
    """Why a failed job failed."""
    return str(json.loads((folder / "failed").read_text())["reason"])


def mark_submitted(folder: Path, job_id: str) -> None:
    """Record the cluster's id of a job that waits there."""
    (folder / ".submitted").write_text(job_id + "\n")


def set_aside(folder: Path) -> None:
    """Make room for another attempt; what the last one left goes to ``.attempts`` beside the folder."""
    if not any(folder.iterdir()):
        folder.rmdir()
        return
    attic = folder.parent / ATTIC
    attic.mkdir(exist_ok=True)
    attempt = 1
    while (attic / f"{folder.name}-{attempt}").exists():
        attempt += 1
    folder.rename(attic / f"{folder.name}-{attempt}")
