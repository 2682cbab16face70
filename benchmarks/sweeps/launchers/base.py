"""The interface of launchers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from benchmarks.sweeps.worker import Job


@dataclass(frozen=True)
class Ending:
    """How a worker ended.

    Attributes:
        died: It did not end by itself, or with an error.
        reason: In words.
        alone: Only its own process died, which may be the doing of its run. Not where its machine went away, or
            whoever gave it the machine took it back.
    """

    died: bool
    reason: str
    alone: bool = True


class WorkerHandle(ABC):
    """One worker that was started."""

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def poll(self) -> Ending | None:
        """How it ended; None while it works."""

    @abstractmethod
    def stop(self) -> None:
        """Asks it to stop at once, if it can still hear; returns without waiting."""

    @abstractmethod
    def kill(self) -> None:
        """Ends it, whatever it does."""


class Launcher(ABC):
    """Starts workers.

    Attributes:
        limit: Workers at a time.
        pause: Seconds between two looks at them.
    """

    limit: int = 1
    pause: float = 0.2

    @abstractmethod
    def start(self, job: Job) -> WorkerHandle:
        """Starts a worker; the job's name becomes its own."""

    @abstractmethod
    def close(self) -> None:
        """Gives back what the launcher itself holds; the workers have ended."""
