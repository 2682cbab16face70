"""``export`` and ``import``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from benchmarks.commands.options import address
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
    """Write the records of a store to a file.

    Parameters
    ----------
    file:
        Its ending decides: .jsonl and .jsonl.xz hold all there is; .parquet and .csv hold a table.
    output:
        Folder of the sweep.
    store:
        Address of the store, if it is not the file store.sqlite in the output folder.
    table:
        What a row of the table is: a run, a checkpoint in a domain, or an attempt.
    """
    errors = Console(stderr=True)
    if store is None and not (output / "store.sqlite").exists():
        errors.print(f"there is no store in {output}", markup=False, soft_wrap=True)
        return 2
    try:
        with Store(address(store, output)) as opened:
            number = export(opened.each_record(), file, table)
    except (StoreError, ValueError, ImportError, OSError) as error:
        errors.print(str(error), markup=False, soft_wrap=True)
        return 2
    Console().print(f"{number} rows in {file}", markup=False, soft_wrap=True)
    return 0


def import_command(
    source: Path,
    *,
    output: Path = Path("runs/sweep"),
    store: str | None = None,
    domainbed: bool = False,
    unfinished: bool = False,
) -> int:
    """Bring records into a store; those that are there already stay as they are.

    Parameters
    ----------
    source:
        A file of records (.jsonl, .jsonl.xz); with --domainbed a folder with DomainBed's results.jsonl files, or one.
    output:
        Folder of the sweep.
    store:
        Address of the store, if it is not the file store.sqlite in the output folder.
    domainbed:
        The source is DomainBed's.
    unfinished:
        Take DomainBed's runs without a file "done", too.
    """
    console, errors = Console(), Console(stderr=True)
    left_out = 0
    try:
        records: Iterable[Any] = () if domainbed else read_lines(source)
        if domainbed:
            records, others = results(source, unfinished)
            left_out = len(others.paths)
        with Store(address(store, output)) as opened:
            done = bring_in(opened, records)
    except (StoreError, ValueError, KeyError, OSError) as error:
        errors.print(f"{type(error).__name__}: {error}", markup=False, soft_wrap=True)
        return 2
    console.print(f"{done.new} runs imported, {done.known} were there already.")
    if left_out:
        console.print(f"{left_out} runs without a file 'done' were left out; --unfinished takes them.")
    return 0
