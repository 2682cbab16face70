"""What a sweep is for a store and a coordinator, and sweeps of runs that are named one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Literal, Protocol

from pydantic import SerializeAsAny

from benchmarks.base.config import Count, Frozen
from benchmarks.runs.config import RunConfig, RunIdentity
from benchmarks.sweeps.launcher_config import InProcess, LauncherConfig, Local
from benchmarks.sweeps.settings import Outputs
from benchmarks.sweeps.written import HParams, Written, written

Kept = dict[tuple[str, int], list[list[HParams]]]
"""Hyper-parameters by data set and seed, point and algorithm."""


class Sweep(Protocol):
    """What a store and a coordinator ask of a sweep: its runs, a name of their set, and how they are done."""

    @property
    def launcher(self) -> LauncherConfig: ...
    @property
    def plugins(self) -> tuple[str, ...]: ...
    @property
    def outputs(self) -> Outputs: ...
    @property
    def max_attempts(self) -> int: ...
    def runs(self) -> Sequence[RunIdentity]: ...
    def first_runs(self) -> Sequence[RunIdentity]: ...
    def written(self, kept: Kept | None = None) -> Iterable[Written]: ...
    def size(self) -> int: ...
    def key(self, kept: Kept | None = None) -> str: ...
    def model_dump(self, *, mode: Literal["json"]) -> dict[str, Any]: ...


class SingleRun(Frozen):
    """A sweep of one run, done in this process as often as it takes.

    Attributes:
        datasets: The name of its data set alone.
        run: Its configuration.
    """

    datasets: tuple[str]
    run: SerializeAsAny[RunIdentity]
    launcher: LauncherConfig = InProcess()
    plugins: tuple[str, ...] = ()
    outputs: Outputs = Outputs()
    max_attempts: Count = 2**31

    @classmethod
    def of(cls, run: RunIdentity) -> SingleRun:
        """The sweep of a run."""
        return cls(datasets=(run.dataset,), run=run)

    def runs(self) -> list[RunIdentity]:
        """The one."""
        return [self.run]

    def first_runs(self) -> list[RunIdentity]:
        """The one."""
        return [self.run]

    def written(self, kept: Kept | None = None) -> list[Written]:  # noqa: ARG002  one is not worth keeping
        """The one, as a store has it."""
        return [written(self.run)]

    def size(self) -> int:
        """Of the list of runs."""
        return 1

    def key(self, kept: Kept | None = None) -> str:  # noqa: ARG002
        """That of the run."""
        return self.run.key()


class SelectedRuns(Frozen):
    """Runs that were chosen one by one.

    Attributes:
        datasets: Names of their data sets.
        selected: Their configurations.
    """

    datasets: tuple[str, ...]
    selected: tuple[RunConfig, ...]
    launcher: LauncherConfig = Local()
    plugins: tuple[str, ...] = ()
    outputs: Outputs = Outputs()
    max_attempts: Count = 3

    def runs(self) -> list[RunConfig]:
        """The chosen ones."""
        return list(self.selected)

    def first_runs(self) -> list[RunConfig]:
        """One run of each algorithm and model on each data set."""
        return list({(run.dataset, run.algorithm, run.model): run for run in self.selected}.values())

    def written(self, kept: Kept | None = None) -> list[Written]:  # noqa: ARG002  nothing is drawn
        """The same, as a store has them."""
        return [written(run) for run in self.selected]

    def size(self) -> int:
        """How many they are."""
        return len(self.selected)

    def key(self, kept: Kept | None = None) -> str:  # noqa: ARG002
        """That of the set of runs."""
        return key_of(run.key() for run in self.selected)


def key_of(keys: Iterable[str]) -> str:
    """Of the list of all keys as JSON, which is not made."""
    digest = hashlib.sha256()
    before = "["
    for key in keys:
        digest.update(f'{before}"{key}"'.encode())
        before = ", "
    digest.update(b"]")
    return digest.hexdigest()[:16]
