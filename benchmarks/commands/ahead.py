"""What commands say of runs before they begin."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from benchmarks.base.called import called
from benchmarks.base.errors import ConfigError
from benchmarks.datasets import DATASETS
from benchmarks.datasets.inventory import Inventory
from benchmarks.runs.foresight import Foreseen
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.timing import at_hand, foreseen


def tell_ahead(console: Console, sweep: SweepConfig, refuse: bool = False) -> bool:
    """Says what can be told of the runs before they begin; whether some of them cannot be done.

    Raises:
        ConfigError: if `refuse` and a data set cannot be used at all: every run on it would fail alike.
    """
    fatal = False
    for name in sweep.datasets:
        try:
            data = at_hand(name)
        except (ValueError, RuntimeError, OSError, ImportError) as error:
            if refuse:
                raise ConfigError(f"{name}: {error}") from error
            console.print(f"{name}: {error}", markup=False, soft_wrap=True, style="bold red")
            fatal = True
            continue
        if data is None:
            text = f"{name} is not prepared, so nothing is told of it in advance: {called('data', name)}"
            console.print(text, markup=False, soft_wrap=True)
            continue
        inventory = DATASETS[name].inventory
        if inventory is not None and (found := inventory()).findings:
            console.print(f"{name}:", markup=False, soft_wrap=True, highlight=False)
            show_findings(console, found)
        told = foreseen(sweep, name, data)
        fatal |= any(one.fatal for one in told)
        show_foreseen(console, name, told)
    return fatal


def show_findings(console: Console, inventory: Inventory) -> None:
    """What looks wrong with the user's own data, a line for each finding."""
    for finding in inventory.findings:
        word = f"{finding.what} (allowed)" if finding.refused else finding.what
        console.print(f"  {word}: {finding.text}", markup=False, soft_wrap=True, highlight=False)


def show_foreseen(console: Console, name: str, told: Sequence[Foreseen]) -> None:
    """One line each, what is fatal first and marked."""
    for one in told:
        mark, style = ("WILL NOT WORK", "bold red") if one.fatal else ("note", None)
        console.print(f"{mark}, {name}: {one.text}", markup=False, highlight=False, soft_wrap=True, style=style)
