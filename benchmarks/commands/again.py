"""Does ``again``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from benchmarks.base.errors import ConfigError, require_known
from benchmarks.base.records import Record
from benchmarks.commands.places import LINES
from benchmarks.commands.sweep import carried_out
from benchmarks.runs import plugins
from benchmarks.runs.config import RunConfig
from benchmarks.sweeps.config import SelectedRuns
from benchmarks.sweeps.coordinator import Coordinator
from benchmarks.sweeps.glance import Found, Glance
from benchmarks.sweeps.launcher_config import KINDS
from benchmarks.sweeps.progress import live
from benchmarks.sweeps.store import Store
from benchmarks.sweeps.store.transfer import write_lines


def again_command(keys: Sequence[str], address: str, output: Path, launcher: str | None) -> int:
    """See `benchmarks.commands.words.sweep`."""
    if launcher is not None:
        require_known("--launcher", (launcher,), KINDS)
    with Glance(address) as store:
        found = list({run.key: run for run in map(store.run, keys)}.values())
    sweep = selected(found, launcher)

    def do(console: Console) -> list[Record]:
        with Store(address) as opened:
            number = opened.enter(sweep)
            with live(console, opened, number) as watch:
                coordinator = Coordinator(sweep, opened, output, watch=watch)
                opened.retry_failed(number)
                try:
                    return coordinator.run()
                finally:
                    write_lines(opened.records(), output / LINES)

    return carried_out(do, output)


def selected(runs: Sequence[Found], launcher: str | None) -> SelectedRuns:
    """Failed runs as a sweep of their own, done as the sweep that they come from says.

    Raises:
        ConfigError: if one of them has not failed, or cannot be made again.
    """
    for run in runs:
        if run.config["dataset"].startswith("wilds:"):
            raise ConfigError(f"{run.key} is a run on WILDS: the command wilds does it again, with --retry-failed")
        if run.status not in ("failed", "diverged"):
            raise ConfigError(f"{run.key} is {run.status}: only runs that failed can be done again")
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
