"""``check``, ``export`` and ``import``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from benchmarks.base.errors import ConfigError
from benchmarks.commands.places import existing_store, output_folder
from benchmarks.commands.say import refusing


@refusing
def check_command(place: str, /, *, mend: bool = True) -> int:
    """Find what an older version, or a hand, has left wrong in a store, and mend it.

    The exit status is 0 if all is well now, 1 if something is left, 2 if there is no such store.

    Parameters
    ----------
    place:
        Folder of a sweep, file or address of a store.
    mend:
        Mend what is found; without it the store is only read.
    """
    given = Path(place)
    is_folder = "://" not in place and given.is_dir()
    address = existing_store(None if is_folder else place, given, "PLACE")
    from benchmarks.commands import check

    return check.check_command(address, mend)


@refusing
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
    existing_store(store, output)
    if file.is_dir():
        raise ConfigError(f"{file} is a folder, and a file is to be written (.jsonl, .jsonl.xz, .parquet, .csv)")
    from benchmarks.commands import transfer

    return transfer.export_command(file, output=output, store=store, table=table)


@refusing
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
    if not source.exists():
        raise ConfigError(f"{source} does not exist; name a file of records, or a folder with --domainbed")
    if source.is_dir() and not domainbed:
        raise ConfigError(f"{source} is a folder; name a file of records in it, or say --domainbed")
    output_folder(output)
    from benchmarks.commands import transfer

    return transfer.import_command(source, output=output, store=store, domainbed=domainbed, unfinished=unfinished)
