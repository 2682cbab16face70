"""``data``, and the lists of what there is: ``algorithms``, ``datasets``, ``models``."""

from __future__ import annotations

from pathlib import Path

from benchmarks.base.errors import ConfigError, unknown
from benchmarks.commands.early import is_described, known, not_there
from benchmarks.commands.kinds import Words
from benchmarks.commands.places import output_folder
from benchmarks.commands.say import refusing


@refusing
def data_command(
    *names: str,
    show: bool = False,
    output: Path = Path("runs/data"),
    folder: Path | None = None,
    source: Path | None = None,
    again: bool = False,
    allow: Words = (),
) -> int:
    """Prepare data sets once, for all sweeps; check those that are prepared. Without names, list all of them.

    A name is one of the list, or says where data of yours are: folder:PATH for pictures in domain/class/*,
    table:PATH for a CSV, TSV, Excel or Parquet file, decisions:PATH for logs of decisions, of jobs (SWF) or of Minari.
    For folders and tables it ends with an inventory: what was found and taken, what was left, and what looks wrong.
    The exit status is 1 if a set could not be prepared, 2 if there is none of that name.

    Parameters
    ----------
    names:
        Of data sets.
    show:
        Write a picture of what the domains look like.
    output:
        Folder for these pictures.
    folder:
        Where prepared data sets are kept; sweeps find them there if the variable PGRAD_DATA names it.
    source:
        Folder with files that were fetched by hand: packages, or the IDX files of Fashion-MNIST.
    again:
        Prepare it anew, even if it is there.
    allow:
        Words of findings, to go on nevertheless; in the name, ?allow=WORD,WORD says the same.
    """
    if source is not None and not source.is_dir():
        raise ConfigError(f"--source: there is no folder {source}")
    output_folder(output)
    if folder is not None:
        output_folder(folder, "--folder")
    _require_names(names, "datasets")
    from benchmarks.commands import data

    return data.data_command(*names, show=show, output=output, folder=folder, source=source, again=again, allow=allow)


@refusing
def algorithms_command(*names: str) -> int:
    """List the algorithms; with names, all about these: source, batches, cost, defaults, search space, control.

    Parameters
    ----------
    names:
        Of algorithms.
    """
    _require_names(names, "algorithms")
    from benchmarks.commands import names as lists

    return lists.algorithms_command(*names)


@refusing
def datasets_command(*names: str) -> int:
    """List the data sets; with names, all about these: domains, metric, model, licence, source.

    Parameters
    ----------
    names:
        Of data sets; folder:PATH, table:PATH and decisions:PATH too.
    """
    _require_names(names, "datasets")
    from benchmarks.commands import names as lists

    return lists.datasets_command(*names)


@refusing
def models_command(*names: str) -> int:
    """List the models that have a name of their own; those of timm are called timm:NAME.

    Parameters
    ----------
    names:
        Of models.
    """
    _require_names(names, "models")
    from benchmarks.commands import names as lists

    return lists.models_command(*names)


def _require_names(given: tuple[str, ...], kind: str) -> None:
    """Names with a colon are looked at by those who know what stands before it."""
    allowed = known(kind)
    for name in given:
        if not is_described(name, allowed) and name not in allowed:
            raise ConfigError(unknown(name, allowed))
        if kind == "datasets" and (why := not_there(name)):
            raise ConfigError(f"{name}: {why}")
