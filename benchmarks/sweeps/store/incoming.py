"""Records that were made elsewhere, as the rows of a store: made, and looked through, before the store is held."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import JSON, Column, Table

from benchmarks.sweeps.store import rows
from benchmarks.sweeps.store.database import StoreError
from benchmarks.sweeps.store.rows import CHECKPOINT, to_json
from benchmarks.sweeps.store.schema import attempts, checkpoints, runs
from benchmarks.sweeps.store.states import DECIDED, DIVERGED, ENDINGS, FAILED, FINISHED, LOST, SUPERSEDED

_IDENTITY = ("dataset", "algorithm", "held_out", "seed", "point")
RUN = ("id", "status", "key", "code", "config", "evaluations", *_IDENTITY)
_NUMBERS = ("id", "run_id", "number")
_SAID = tuple(column.name for column in attempts.columns if column.name not in (*_NUMBERS, "worker_id"))
ATTEMPT = (*_NUMBERS, *_SAID)
_COPIED = ("failure", "error", "started", "ended")
_JSON = ("selections", "diagnostics")


class Incoming(NamedTuple):
    """The rows of a record, but for the numbers that a store gives them.

    Attributes:
        place: Key and code.
        run: As `RUN`, without its number.
        tries: As `ATTEMPT`, without the three numbers.
        counted: Which of them counts.
        checkpoints: As `CHECKPOINT`, without the number of the attempt.
        environment: Name and content.
        wall_seconds: Of a finished run.
        validation: Of a finished run.
    """

    place: tuple[str, str]
    run: tuple[Any, ...]
    tries: list[tuple[Any, ...]]
    counted: int
    checkpoints: list[tuple[Any, ...]]
    environment: tuple[str, Mapping[str, Any]]
    wall_seconds: float | None
    validation: float | None

    @property
    def status(self) -> str:
        """What the run came to."""
        return str(self.run[0])


def incoming_of(records: Iterable[Mapping[str, Any]]) -> Iterator[Incoming]:
    """One by one.

    Raises:
        StoreError: if a record is of no run that has ended, or lacks something, or holds something else in its place.
    """
    for record in records:
        try:
            yield _incoming(record)
        except KeyError as error:
            raise StoreError(f"{_name(record)} has no {error}") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise StoreError(f"{_name(record)} is damaged: {error}") from error


def _name(record: Mapping[str, Any]) -> str:
    return f"the record of run {record.get('key')}"


def _incoming(record: Mapping[str, Any]) -> Incoming:
    if record["status"] not in DECIDED:
        raise StoreError(f"run {record['key']}: only ended runs can be imported, got {record['status']!r}")
    values, points = rows.from_outcome(record)
    place, config, status = rows.place(record), record["config"], values["status"]
    environment = record.get("environment") or {}
    values["environment_id"] = rows.digest(environment)
    values |= {name: to_json(values[name]) for name in _JSON if values.get(name) is not None}
    tries, counted = _tries(record, status)
    lines = []
    for attempt in tries:
        line = {"beats": 0, "status": attempt["status"], **{name: attempt.get(name) for name in _COPIED}}
        if attempt is counted:
            line |= values
        lines.append(tuple(map(line.get, _SAID)))
    run = (status, *place, to_json(config), record.get("evaluations"), *(config[name] for name in _IDENTITY))
    _require(_OF_RUN, [run])
    _require(_OF_ATTEMPT, lines)
    _require(_OF_CHECKPOINT, points)
    return Incoming(
        place=place,
        run=run,
        tries=lines,
        counted=next(number for number, attempt in enumerate(tries) if attempt is counted),
        checkpoints=points,
        environment=(values["environment_id"], environment),
        wall_seconds=values.get("wall_seconds") if status == FINISHED else None,
        validation=values.get("validation"),
    )


class _Kinds:
    """What a table takes; kinds of rows that were seen to be right are not looked at again."""

    def __init__(self, table: Table, names: Sequence[str]) -> None:
        self.columns: list[Column[Any]] = [table.c[name] for name in names]
        self.right: set[tuple[type, ...]] = set()

    def require(self, row: Sequence[Any]) -> None:
        for column, value in zip(self.columns, row, strict=True):
            kind = str if isinstance(column.type, JSON) else column.type.python_type
            allowed = (int, float) if kind is float else (kind,)
            if not (isinstance(value, allowed) or (value is None and column.nullable)):
                words = {str: "a text", int: "a whole number", float: "a number"}[kind]
                raise ValueError(f"{column.name} must be {words}, got {value!r}")
        self.right.add(tuple(map(type, row)))


_OF_RUN, _OF_ATTEMPT, _OF_CHECKPOINT = (
    _Kinds(runs, RUN[1:]),
    _Kinds(attempts, _SAID),
    _Kinds(checkpoints, CHECKPOINT[1:]),
)


def _require(kinds: _Kinds, found: Sequence[tuple[Any, ...]]) -> None:
    for row in found:
        if tuple(map(type, row)) not in kinds.right:
            kinds.require(row)


def _tries(record: Mapping[str, Any], status: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The attempts of a record, and the one that counts, whatever an older version called it."""
    tries = [dict(attempt) for attempt in record.get("attempts") or ()]
    names = (status, FAILED) if status == DIVERGED else (status,)
    counted = next((attempt for attempt in reversed(tries) if attempt["status"] in names), None)
    if counted is None:
        counted = {}
        tries.append(counted)
    counted["status"] = status
    for attempt in tries:
        if attempt is not counted and attempt["status"] == FINISHED:
            attempt["status"] = SUPERSEDED
        elif attempt["status"] not in ENDINGS:
            attempt["status"] = LOST
    return tries, counted
