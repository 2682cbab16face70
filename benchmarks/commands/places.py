"""Files, folders and stores that a command line names: what is wrong with them is said before anything is loaded."""

from __future__ import annotations

from pathlib import Path

from benchmarks.base.called import called
from benchmarks.base.errors import ConfigError

STORE, LINES = "store.sqlite", "records.jsonl"
SWEEP_FILES = (".yaml", ".yml", ".toml")
_SQLITE = b"SQLite format 3\0"


def address(store: str | None, output: Path) -> str:
    """Of the store: by default a file in the output folder."""
    return store or str(output / STORE)


def output_folder(output: Path, option: str = "--output") -> Path:
    """A folder that is there or can be made.

    Raises:
        ConfigError: if it, or a folder that it would be in, is a file.
    """
    for place in (output, *output.parents):
        if place.exists():
            if not place.is_dir():
                raise ConfigError(f"{option} must name a folder, and {place} is a file")
            break
    return output


def sweep_file(file: Path | None) -> Path | None:
    """A file that can describe a sweep; None stays None.

    Raises:
        ConfigError: if it is not there, a folder, or of another kind.
    """
    if file is None:
        return None
    if not file.exists():
        raise ConfigError(f"{file}: there is no such file; a sweep file is YAML or TOML")
    if file.is_dir():
        raise ConfigError(f"{file}: a folder, and a sweep file is needed (.yaml, .yml or .toml)")
    if file.suffix not in SWEEP_FILES:
        raise ConfigError(f"{file}: a sweep file must end in .yaml, .yml or .toml")
    return file


def require_possible_store(store: str | None) -> None:
    """Accepts the address of a store that is there or can be made.

    Raises:
        ConfigError: if it is a folder.
    """
    if store is not None and "://" not in store and Path(store).is_dir():
        raise ConfigError(f"--store: {store} is a folder; name a file in it, as in {Path(store) / STORE}")


def existing_store(store: str | None, output: Path, option: str = "--store") -> str:
    """The address of a store that is there already.

    Args:
        store: Its address or file; None for that of the folder.
        output: Folder of the sweep.
        option: What the user calls `store`.

    Raises:
        ConfigError: if there is none.
    """
    if store is not None and "://" in store:
        return store
    if store is None:
        if output.is_file():
            raise ConfigError(f"{output} is a file; name the folder of a sweep, or a store with --store")
        path = output / STORE
        if not path.exists():
            raise ConfigError(
                f"there is no store in {output}; name the folder that was the --output of `{called('sweep')}`"
            )
    else:
        path = Path(store)
        if not path.exists():
            raise ConfigError(f"{option}: there is no file {path}")
    if path.is_dir() or (path.stat().st_size and not _begins(path, _SQLITE)):
        raise ConfigError(f"{path} is no store: a store is a file of SQLite or the address of a database")
    return str(path)


def require_records(source: str) -> None:
    """Accepts what a report can be made of.

    Raises:
        ConfigError: if it is not there, or is something else.
    """
    if "://" in source:
        return
    path = Path(source)
    wanted = f"name the folder of a sweep (with {STORE} or {LINES}), a file of records (.jsonl, .jsonl.xz) or a store"
    if not path.exists():
        raise ConfigError(f"{path} does not exist; {wanted}")
    if path.is_dir():
        if not any((path / name).exists() for name in (STORE, LINES)):
            raise ConfigError(f"{path} must hold {STORE} or {LINES} to be the folder of a sweep; {wanted}")
    elif path.suffix in SWEEP_FILES:
        raise ConfigError(
            f"{path} is a sweep file, which says what is to be done; a report is made of what was done: {wanted}. "
            f"Without --output a sweep's folder is runs/sweep"
        )
    elif not path.name.endswith((".jsonl", ".jsonl.xz")) and not _begins(path, _SQLITE):
        raise ConfigError(f"{path} is neither a file of records nor a store; {wanted}")


def _begins(path: Path, magic: bytes) -> bool:
    with path.open("rb") as opened:
        return opened.read(len(magic)) == magic
