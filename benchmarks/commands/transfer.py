"""Does ``export`` and ``import``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from benchmarks.commands import say
from benchmarks.commands.places import address
from benchmarks.sweeps.store import Store, StoreError
from benchmarks.sweeps.store.domainbed import results
from benchmarks.sweeps.store.importing import bring_in
from benchmarks.sweeps.store.transfer import export, read_lines

__all__ = ["export_command", "import_command"]


def export_command(
    file: Path,
    *,
    output: Path = Path("runs/sweep"),
    store: str | None = None,
    table: Literal["runs", "checkpoints", "attempts"] = "runs",
) -> int:
    """See `benchmarks.commands.words.transfer`."""
    try:
        with Store(address(store, output)) as opened:
            number = export(opened.each_record(), file, table)
    except (StoreError, ValueError, ImportError, OSError) as error:
        return say.refuse(str(error))
    say.line(say.console(), f"{number} rows in {file}")
    return 0


def import_command(
    source: Path,
    *,
    output: Path = Path("runs/sweep"),
    store: str | None = None,
    domainbed: bool = False,
    unfinished: bool = False,
) -> int:
    """See `benchmarks.commands.words.transfer`."""
    console = say.console()
    left_out = 0
    try:
        records: Iterable[Any] = () if domainbed else read_lines(source)
        if domainbed:
            records, others = results(source, unfinished)
            left_out = len(others.paths)
        with Store(address(store, output)) as opened:
            done = bring_in(opened, records)
    except (StoreError, ValueError, KeyError, OSError) as error:
        return say.refuse(str(error) if not isinstance(error, KeyError) else f"a record has no {error}")
    console.print(f"{done.new} runs imported, {done.known} were there already.")
    if left_out:
        console.print(f"{left_out} runs without a file 'done' were left out; --unfinished takes them.")
    return 0
