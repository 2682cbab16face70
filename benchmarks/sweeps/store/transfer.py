"""Records to files and back: JSON lines, Parquet, CSV."""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic_core import from_json
from sqlalchemy import Connection, insert, select

from benchmarks.base.records import Record
from benchmarks.sweeps.store import rows
from benchmarks.sweeps.store.database import StoreError
from benchmarks.sweeps.store.schema import attempts, checkpoints, runs
from benchmarks.sweeps.store.store import DECIDED, Store, new_row, set_environment

TABLES = {
    "runs": "one row for each run, configuration and selections in columns",
    "checkpoints": "one row for each checkpoint and domain",
    "attempts": "one row for each try, with its failure",
}


COMPRESSED = ".xz"


def holds_lines(path: Path) -> bool:
    """Whether the name is that of a file of JSON lines, compressed or not."""
    return path.suffix == ".jsonl" or path.suffixes[-2:] == [".jsonl", COMPRESSED]


def write_lines(records: Iterable[Record], path: Path) -> None:
    """One JSON object per line, compressed if the name ends in .xz; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    content = "".join(rows.to_json(record) + "\n" for record in records).encode()
    partial.write_bytes(lzma.compress(content, preset=9) if path.suffix == COMPRESSED else content)
    partial.replace(path)


def read_lines(path: Path) -> Iterator[Record]:
    """The records of a file of JSON lines. A last line without its end is no record: its writer was killed.

    Raises:
        ValueError: if another line is no record, or a compressed file is damaged; says which.
    """
    content = path.read_bytes()
    if path.suffix == COMPRESSED:
        try:
            content = lzma.decompress(content)
        except lzma.LZMAError as error:
            raise ValueError(f"{path} is damaged: {error}") from error
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            record = from_json(line)
            if not {"key", "config", "status"} <= set(record):
                raise ValueError("a record needs at least key, config and status")
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
        records = list(records)
        write_lines(records, path)
        return len(records)
    writers = {".parquet": "to_parquet", ".csv": "to_csv"}
    if path.suffix not in writers:
        raise ValueError(f"the file must end in .jsonl, .jsonl.xz, .parquet or .csv, got {path.name!r}")
    frame = table(records, which)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    getattr(frame, writers[path.suffix])(partial, index=False)
    partial.replace(path)
    return len(frame)


@dataclass(frozen=True)
class Imported:
    """How many runs came in, and how many were there already."""

    new: int
    known: int


def bring_in(store: Store, records: Iterable[Mapping[str, Any]]) -> Imported:
    """Enters records that were made elsewhere. A run that the store has a result of, keeps it."""
    new = known = 0
    with store.database.write() as connection:
        for record in records:
            if record["status"] not in DECIDED:
                raise StoreError(f"run {record['key']}: only ended runs can be imported, got {record['status']!r}")
            run_id, status = _run(connection, record)
            if status in (*DECIDED, "running"):
                known += 1
                continue
            _attempts(connection, run_id, record)
            connection.execute(runs.update().where(runs.c.id == run_id).values(status=record["status"]))
            new += 1
    return Imported(new, known)


def _run(connection: Connection, record: Mapping[str, Any]) -> tuple[int, str]:
    code = str(record.get("environment", {}).get("code", "unknown"))
    key = record["key"]
    found = connection.execute(select(runs.c.id, runs.c.status).where(runs.c.key == key, runs.c.code == code)).first()
    if found is not None:
        return found.id, found.status
    columns = {name: record["config"][name] for name in ("dataset", "algorithm", "held_out", "seed", "point")}
    row = {"key": key, "code": code, "config": record["config"], "evaluations": record.get("evaluations")}
    return new_row(connection, runs, {**columns, **row, "status": "pending"}), "pending"


def _attempts(connection: Connection, run_id: int, record: Mapping[str, Any]) -> None:
    values, points = rows.from_outcome(record)
    tries = record.get("attempts") or [{"number": 1, "status": record["status"]}]
    decisive = max(attempt["number"] for attempt in tries if attempt["status"] == record["status"])
    for attempt in tries:
        row = {name: attempt.get(name) for name in ("number", "status", "failure", "error", "started", "ended")}
        row |= {"run_id": run_id, "beats": 0}
        if attempt["number"] == decisive:
            row |= values
            row["environment_id"] = set_environment(connection, record.get("environment") or {})
        attempt_id = new_row(connection, attempts, row)
        if attempt["number"] == decisive and points:
            connection.execute(insert(checkpoints), [{"attempt_id": attempt_id, **point} for point in points])
