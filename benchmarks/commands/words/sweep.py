"""``plan``, ``sweep`` and ``again``."""

from __future__ import annotations

from pathlib import Path

from benchmarks.base.errors import ConfigError
from benchmarks.commands.chosen import Chosen
from benchmarks.commands.early import refuse_wrong_names
from benchmarks.commands.places import existing_store, output_folder, require_possible_store, sweep_file
from benchmarks.commands.say import refusing


@refusing
def plan_command(
    file: Path | None = None,
    *,
    output: Path = Path("runs/sweep"),
    store: str | None = None,
    timing: bool = True,
    chosen: Chosen | None = None,
) -> int:
    """Show the runs of a sweep, what they cost and what would not work; no run is done.

    The cost is in gradient evaluations: one forward and backward pass over one mini-batch. Time is that of the runs
    that the store holds already, else a few steps of each kind are timed here. The exit status is 1 if some runs
    cannot be done, 2 if there is no such sweep.

    Parameters
    ----------
    file:
        Sweep file, YAML or TOML. Without one, the options say it all.
    output:
        Folder of the sweep; its store is looked at for earlier runs.
    store:
        Address of the store, if it is not the file store.sqlite in the output folder.
    timing:
        Time a few steps of every algorithm on every data set that is at hand.
    """
    sweep_file(file)
    output_folder(output)
    require_possible_store(store)
    refuse_wrong_names(file, chosen)
    from benchmarks.commands import sweep

    return sweep.plan_command(file, output, store, timing, chosen)


@refusing
def sweep_command(
    file: Path | None = None,
    *,
    output: Path = Path("runs/sweep"),
    store: str | None = None,
    retry_failed: bool = False,
    chosen: Chosen | None = None,
) -> int:
    """Do the runs of a sweep that are not done yet.

    Whatever stops it, the same command goes on. Several may work on one store at a time, on several machines too.
    The exit status is 0 if all runs finished or diverged, 1 if some failed, 2 if the sweep could not be done, 130 after
    Ctrl-C.

    Parameters
    ----------
    file:
        Sweep file, YAML or TOML. Without one, the options say it all.
    output:
        Folder for the store, prepared data, logs and records.jsonl.
    store:
        Address of the store instead of the file in the output folder, e.g. postgresql://user@host/name.
    retry_failed:
        Do the failed runs again, too. Runs that diverged are no failures.
    """
    sweep_file(file)
    output_folder(output)
    require_possible_store(store)
    refuse_wrong_names(file, chosen)
    from benchmarks.commands import sweep

    return sweep.sweep_command(file, output, store, retry_failed, chosen)


@refusing
def again_command(
    *keys: str, output: Path = Path("runs/sweep"), store: str | None = None, launcher: str | None = None
) -> int:
    """Do some runs again that have ended, and nothing else.

    If the code has changed since then, they are done with the present one. The exit status is that of sweep.

    Parameters
    ----------
    keys:
        Of runs, or beginnings of them: status and show name them.
    output:
        Folder of the sweep.
    store:
        Address of the store, if it is not the file store.sqlite in the output folder.
    launcher:
        in-process, local, slurm or ray, if not that of the sweep: in-process is the one for a debugger.
    """
    if not keys:
        raise ConfigError("KEYS must name a run at least; status shows the keys of failed runs")
    place = existing_store(store, output)
    from benchmarks.commands import again

    return again.again_command(keys, place, output, launcher)
