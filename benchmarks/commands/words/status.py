"""``status`` and ``show``: they read the store with the database's own driver, and load nothing else."""

from __future__ import annotations

from pathlib import Path

from benchmarks.commands import show, status
from benchmarks.commands.kinds import Positive
from benchmarks.commands.places import existing_store
from benchmarks.commands.say import refusing


@refusing
def status_command(
    output: Path = Path("runs/sweep"), *, store: str | None = None, watch: Positive | None = None
) -> int:
    """Show how far the sweeps of a store are, and why runs failed: a line for each cause.

    Parameters
    ----------
    output:
        Folder of the sweep.
    store:
        Address of the store, if it is not the file store.sqlite in the output folder.
    watch:
        Look again every so many seconds until all runs have ended: a table that renews itself, in a pipe a line
        wherever runs have gone on.
    """
    return status.status_command(existing_store(store, output), watch)


@refusing
def show_command(key: str, output: Path = Path("runs/sweep"), *, store: str | None = None) -> int:
    """Show all about one run: configuration, attempts, error and traceback, and the command that does it again.

    Parameters
    ----------
    key:
        Of the run, or the beginning of it: status names the failed ones, records.jsonl and the report all of them.
    output:
        Folder of the sweep.
    store:
        Address of the store, if it is not the file store.sqlite in the output folder.
    """
    return show.show_command(key, existing_store(store, output), output, store)
