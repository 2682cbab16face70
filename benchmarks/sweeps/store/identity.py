"""Which process it is: the same process id means nothing on another machine, after a reboot or in another container.

A *place* is a host name, one boot of its kernel, and one name space of process ids. In a place a process is told by its
id and the tick of its start, which the kernel counts from its boot: no step of a clock moves it. Where the system does
not tell these (it is no Linux, or `/proc` is that of another name space), there is no place, and only its lease says
whether a process is alive.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

_PROC = Path("/proc")
_STATE, _START = 0, 19
"""Among the fields of ``/proc/PID/stat`` that follow the name."""


def place() -> str | None:
    """Where this process is; None if the system does not tell.

    Example:
        >>> place() == place()
        True
    """
    try:
        if str((_PROC / "self").readlink()) != str(os.getpid()):
            return None
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return None


def start_tick(pid: int) -> int | None:
    """The tick at which a process began; None if there is none, or the system does not tell."""
    found = _stat(pid)
    return None if found is None else int(found[_START])


def is_gone(where: str | None, pid: int, born: float | None) -> bool:
    """Whether a process certainly does not exist any more; False also where nobody here can tell.

    Args:
        where: Its `place`.
        pid: Its number there.
        born: Its `start_tick`.
    """
    if where is None or born is None or where != place():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it exists, and is another user's
    found = _stat(pid)
    return found is not None and (int(found[_START]) != int(born) or found[_STATE] in ("Z", "X"))


def _stat(pid: int) -> list[str] | None:
    try:
        content = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return content.rpartition(")")[2].split()  # the name before may hold anything
