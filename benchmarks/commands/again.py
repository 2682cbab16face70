"""Does ``again``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from benchmarks.base.errors import ConfigError, require_known
from benchmarks.commands.sweep import Ended, carried_out, ended
from benchmarks.runs import plugins
from benchmarks.runs.config import RunConfig
from benchmarks.sweeps.coordinator import Coordinator
from benchmarks.sweeps.glance import Found, Glance
from benchmarks.sweeps.launcher_config import KINDS
from benchmarks.sweeps.progress import live
from benchmarks.sweeps.selected import SelectedRuns
from benchmarks.sweeps.store import Store
from benchmarks.sweeps.store.backup import keep_backup
from benchmarks.sweeps.store.states import DECIDED


def again_command(keys: Sequence[str], address: str, output: Path, launcher: str | None) -> int:
    """See `benchmarks.commands.words.sweep`."""
    if launcher is not None:
        require_known("--launcher", (launcher,), KINDS)
    with Glance(address) as store:
        found = list({run.key: run for run in map(store.run, keys)}.values())
    sweep = selected(found, launcher)

    def carry_out(console: Console) -> Ended:
        with Store(address) as opened:
            number = opened.enter(sweep)
            with live(console, opened, number) as watch:
                coordinator = Coordinator(sweep, opened, output, watch=watch)
                opened.redo(number)
                try:
                    coordinator.work()
                finally:
                    keep_backup(opened, output)
            return ended(opened, [number])

    return carried_out(carry_out, output)


def selected(runs: Sequence[Found], launcher: str | None) -> SelectedRuns:
    """Runs that have ended as a sweep of their own, done as the sweep that they come from says.

    Raises:
        ConfigError: if one of them has not ended, or cannot be made again.
    """
    for run in runs:
        if run.config["dataset"].startswith("wilds:"):
            raise ConfigError(f"{run.key} is a run on WILDS: the command wilds does it again, with --retry-failed")
        if run.status not in DECIDED:
            raise ConfigError(f"{run.key} is {run.status}: only runs that have ended can be done again")
    origins = [next(iter(run.sweeps.values()), {}) for run in runs]
    brought = tuple(dict.fromkeys(name for origin in origins for name in origin.get("plugins", ())))
    try:
        plugins.load(brought)
        return SelectedRuns(
            datasets=tuple(dict.fromkeys(run.config["dataset"] for run in runs)),
            selected=tuple(RunConfig.model_validate(run.config) for run in runs),
            plugins=brought,
            **_ways(origins, launcher),
        )
    except (ImportError, ValidationError) as error:
        raise ConfigError(f"these runs cannot be made again: {error}") from error


def _ways(origins: Iterable[dict[str, Any]], launcher: str | None) -> dict[str, Any]:
    """How the first of the sweeps does its runs."""
    first: dict[str, Any] = next(iter(origins), {})
    names: tuple[str, ...] = ("launcher", "outputs", "max_attempts")
    ways = {name: first[name] for name in names if name in first}
    return ways if launcher is None else {**ways, "launcher": {"kind": launcher}}
