"""Records to files and back: JSON lines, Parquet, CSV."""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic_core import from_json

from benchmarks.base.records import Record
from benchmarks.base.whole import whole
from benchmarks.sweeps.store import rows

TABLES = {
    "runs": "one row for each run, configuration and selections in columns",
    "checkpoints": "one row for each checkpoint and domain",
    "attempts": "one row for each try, with its failure",
}


COMPRESSED = ".xz"
PRESET = 9 | lzma.PRESET_EXTREME


def holds_lines(path: Path) -> bool:
    """Whether the name is that of a file of JSON lines, compressed or not."""
    return path.suffix == ".jsonl" or path.suffixes[-2:] == [".jsonl", COMPRESSED]


def write_lines(records: Iterable[Record], path: Path) -> int:
    """One JSON object per line, compressed if the name ends in .xz; the file appears whole or not at all.

    Returns:
        How many.
    """
    number = 0
    with (
        whole(path) as partial,
        lzma.open(partial, "wb", preset=PRESET) if path.suffix == COMPRESSED else partial.open("wb") as file,
    ):
        for record in records:
            file.write((rows.to_json(record) + "\n").encode())
            number += 1
    return number


def read_lines(path: Path) -> Iterator[Record]:
    """The records of a file of JSON lines. A last line without its end is no record: its writer was killed.

    Raises:
        ValueError: if another line is no record, or a compressed file is damaged; says which.
    """
    with lzma.open(path, "rb") if path.suffix == COMPRESSED else path.open("rb") as file:
        lines = enumerate(file, start=1)
        while True:
            try:
                number, line = next(lines, (0, b""))
            except (lzma.LZMAError, EOFError) as error:
                raise ValueError(f"{path} is damaged: {error}") from error
            if not line.endswith(b"\n"):
                return
            try:
                record = from_json(line)
                if not {"key", "config", "status"} <= set(record) or not isinstance(record["config"], dict):
                    raise ValueError("a record needs at least key, status and config, a mapping")
            except (ValueError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: not a record ({error})") from error
            yield record


def table(records: Iterable[Record], which: str = "runs") -> pd.DataFrame:
    """A table of the records, see `TABLES`."""
    if which not in TABLES:
        raise ValueError(f"which must be one of {', '.join(TABLES)}, got {which!r}")
    lines = [line for record in records for line in _LINES[which](record)]
    return pd.DataFrame(lines)


_LISTS = ("curves", "domain_curves", "measures", "attempts")


def _run_lines(record: Record) -> Iterator[dict[str, Any]]:
    whole = {name: value for name, value in record.items() if name not in _LISTS}
    line = {"attempts": len(record["attempts"]), **_flat(whole)}
    yield {name: value for name, value in line.items() if not name.startswith("selection.")}


def _checkpoint_lines(record: Record) -> Iterator[dict[str, Any]]:
    curves = record.get("curves", {})
    for number, step in enumerate(curves.get("step", [])):
        own = {"key": record["key"], "step": step, "loss": curves["loss"][number]}
        held_out = record["config"]["held_out"].split("+")
        for domain, values in record.get("domain_curves", {}).items():
            others = {name: found[domain][number] for name, found in record.get("measures", {}).items()}
            yield {**own, "domain": domain, "held_out": domain in held_out, "score": values[number], **others}


def _attempt_lines(record: Record) -> Iterator[dict[str, Any]]:
    for attempt in record["attempts"]:
        yield {"key": record["key"], **attempt}


_LINES = {"runs": _run_lines, "checkpoints": _checkpoint_lines, "attempts": _attempt_lines}


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            flat |= _flat(inner, f"{prefix}{name}.")
        else:
            flat[prefix + name] = rows.to_json(inner) if isinstance(inner, list) else inner
    return flat


def export(records: Iterable[Record], path: Path, which: str = "runs") -> int:
    """Writes a file whose ending says what it is: .jsonl or .jsonl.xz (all there is), .parquet or .csv (a table).

    Returns:
        How many rows.

    Raises:
        ValueError: for another ending.
    """
    if holds_lines(path):
        return write_lines(records, path)
    writers = {".parquet": "to_parquet", ".csv": "to_csv"}
    if path.suffix not in writers:
        raise ValueError(f"the file must end in .jsonl, .jsonl.xz, .parquet or .csv, got {path.name!r}")
    frame = table(records, which)
    with whole(path) as partial:
        getattr(frame, writers[path.suffix])(partial, index=False)
    return len(frame)
