"""A look at a store with the database's own driver: what ``status`` and ``show`` print, at once and without a lock.

`benchmarks.sweeps.store` is the store; this module only reads, imports nothing that takes time to import, and says the
little that it needs in SQL that SQLite and PostgreSQL understand alike. It tolerates what it does not know: statuses of
another version are counted under their names, and a failed run without a failed attempt is shown as such.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.base.errors import ConfigError

WAIT = 60.0
"""Seconds that a look waits for a transaction that writes."""

_SPEEDS = """
    SELECT r.dataset, r.algorithm, SUM(a.wall_seconds), SUM(r.evaluations)
    FROM runs r JOIN attempts a ON a.run_id = r.id
    WHERE a.status = 'finished' AND a.wall_seconds IS NOT NULL AND r.evaluations > 0
    GROUP BY r.dataset, r.algorithm
"""
_COUNTS = """
    SELECT m.sweep_id, r.dataset, r.algorithm, r.status, COUNT(*), SUM(r.evaluations)
    FROM members m JOIN runs r ON r.id = m.run_id
    GROUP BY m.sweep_id, r.dataset, r.algorithm, r.status
"""
_FAILED = """
    SELECT r.key, r.dataset, r.algorithm, a.failure, a.error
    FROM runs r LEFT JOIN attempts a ON a.run_id = r.id AND a.number =
        (SELECT MAX(b.number) FROM attempts b WHERE b.run_id = r.id AND b.status = r.status)
    WHERE r.status IN ('failed', 'diverged')
"""
_OF_SWEEP = " AND r.id IN (SELECT m.run_id FROM members m WHERE m.sweep_id = {mark})"
_RUN = "SELECT id, key, code, config, status FROM runs WHERE key LIKE {mark} ORDER BY key, id"
_ATTEMPTS = """
    SELECT a.number, a.status, a.failure, a.error, a.traceback, a.started, a.ended, a.wall_seconds, a.validation,
        w.name AS worker, w.host
    FROM attempts a LEFT JOIN workers w ON w.id = a.worker_id WHERE a.run_id = {mark} ORDER BY a.number
"""
_PLACES = """
    SELECT s.id, s.config FROM sweeps s JOIN members m ON m.sweep_id = s.id WHERE m.run_id = {mark} ORDER BY s.id
"""


@dataclass(frozen=True)
class Group:
    """The runs of a sweep on one data set, by one algorithm, with one status."""

    dataset: str
    algorithm: str
    status: str
    runs: int
    evaluations: int


@dataclass(frozen=True)
class SweepState:
    """A sweep and how far it is."""

    number: int
    config: dict[str, Any]
    groups: tuple[Group, ...]

    def counts(self) -> Counter[str]:
        """Runs by status."""
        found: Counter[str] = Counter()
        for group in self.groups:
            found[group.status] += group.runs
        return found


@dataclass
class Cause:
    """Failed runs whose errors differ in numbers and names of domains at most.

    Attributes:
        failure: The kind, as in the records.
        error: The first line of the first one's error.
        keys: Of the runs.
        datasets, algorithms: How many of the runs are theirs.
    """

    failure: str
    error: str
    keys: list[str] = field(default_factory=list)
    datasets: Counter[str] = field(default_factory=Counter)
    algorithms: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Found:
    """A run, its attempts, and the sweeps that it belongs to (number to configuration)."""

    number: int
    key: str
    code: str
    config: dict[str, Any]
    status: str
    attempts: tuple[dict[str, Any], ...]
    sweeps: dict[int, dict[str, Any]]


class Glance:
    """Reads a store at an address.

    Raises:
        ConfigError: if it cannot be read.
    """

    def __init__(self, address: str) -> None:
        self.address = re.sub(r"://[^@/]*@", "://", address)  # without a password
        self._connection, self._mark, self._errors = _connect(address)

    def __enter__(self) -> Glance:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def _ask(self, query: str, *values: Any) -> tuple[list[str], list[Sequence[Any]]]:
        with _explained(self.address, self._errors):
            cursor = self._connection.execute(query.format(mark=self._mark), values)
            return [column[0] for column in cursor.description], cursor.fetchall()

    def sweeps(self) -> list[SweepState]:
        """The sweeps, oldest first."""
        groups: dict[int, list[Group]] = {}
        for number, dataset, algorithm, status, runs, evaluations in self._ask(_COUNTS)[1]:
            own = Group(dataset, algorithm, status, int(runs), int(evaluations or 0))
            groups.setdefault(number, []).append(own)
        found = self._ask("SELECT id, config FROM sweeps ORDER BY id")[1]
        return [SweepState(number, _content(config), tuple(groups.get(number, ()))) for number, config in found]

    def speeds(self) -> dict[tuple[str, str], float]:
        """Seconds of a gradient evaluation, by data set and algorithm, over all finished runs."""
        found = self._ask(_SPEEDS)[1]
        return {(dataset, algorithm): float(wall) / float(n) for dataset, algorithm, wall, n in found}

    def causes(self, sweep: int | None = None) -> list[Cause]:
        """The runs that failed or diverged, of one sweep or of all, by cause; the most frequent one first."""
        if sweep is None:
            return causes_of(self._ask(f"{_FAILED} ORDER BY r.id")[1])
        return causes_of(self._ask(f"{_FAILED}{_OF_SWEEP} ORDER BY r.id", sweep)[1])

    def run(self, key: str) -> Found:
        """The run with this key, or the only one whose key begins so; of several codes the last one entered.

        Raises:
            ConfigError: if there is none, or several keys begin so.
        """
        if not re.fullmatch(r"[0-9a-f]{1,16}", key):
            raise ConfigError(f"{key!r} is no key of a run: a key is made of up to 16 of the digits 0-9 and a-f")
        rows = self._ask(_RUN, f"{key}%")[1]
        keys = list(dict.fromkeys(row[1] for row in rows))
        if not keys:
            raise ConfigError(f"{self.address} has no run whose key begins with {key}")
        if len(keys) > 1:
            some = ", ".join(keys[:5]) + (", ..." if len(keys) > 5 else "")
            raise ConfigError(f"{len(keys)} runs have keys that begin with {key}: {some}; give more digits")
        number, whole, code, config, status = rows[-1]
        names, tries = self._ask(_ATTEMPTS, number)
        attempts = tuple(dict(zip(names, row, strict=True)) for row in tries)
        sweeps = {place: _content(content) for place, content in self._ask(_PLACES, number)[1]}
        return Found(number, whole, code, _content(config), status, attempts, sweeps)


def causes_of(failed: Iterable[Sequence[Any]]) -> list[Cause]:
    """Groups rows of key, data set, algorithm, kind of failure and error; the most frequent cause first."""
    found: dict[tuple[str, str], Cause] = {}
    for key, dataset, algorithm, failure, error in failed:
        kind, text = failure or "error", _first_line(error)
        cause = found.setdefault((kind, cause_of(text)), Cause(kind, text))
        cause.keys.append(key)
        cause.datasets[dataset] += 1
        cause.algorithms[algorithm] += 1
    return sorted(found.values(), key=lambda cause: -len(cause.keys))


def cause_of(error: str) -> str:
    """What errors of one cause have in common: all but numbers, addresses and quoted words.

    Example:
        >>> cause_of("ValueError: domain 'a' has 3 examples") == cause_of("ValueError: domain 'bc' has 12 examples")
        True
    """
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "'...'", error)
    return re.sub(r"0x[0-9a-f]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?", "N", text)


def _first_line(error: str | None) -> str:
    lines = (error or "").strip().splitlines()
    return lines[0] if lines else "no attempt says why"


def _content(value: Any) -> dict[str, Any]:
    """JSON is text in SQLite, and read already by PostgreSQL's driver."""
    return dict(json.loads(value) if isinstance(value, (str, bytes)) else value)


def _connect(address: str) -> tuple[Any, str, type[Exception]]:
    """A connection, how a value is marked in its queries, and the errors of its driver."""
    if address.startswith("sqlite:///"):
        address = address.removeprefix("sqlite:///")
    if "://" not in address:
        # Not read-only: a process that was killed may have left a journal, which any reader has to roll back.
        with _explained(address, sqlite3.Error):
            path = Path(address).resolve().as_uri()
            return sqlite3.connect(f"{path}?mode=rw", timeout=WAIT, uri=True), "?", sqlite3.Error
    scheme, rest = address.split("://", 1)
    if scheme.partition("+")[0] != "postgresql":
        raise ConfigError(f"--store {scheme}://...: stores are files of SQLite or addresses that begin postgresql://")
    try:
        import psycopg
    except ImportError as error:
        raise ConfigError(f"a store in PostgreSQL needs psycopg: pip install 'pgrad[postgres]' ({error})") from error
    with _explained(f"{scheme}://{rest.rpartition('@')[2]}", psycopg.Error):
        return psycopg.connect(f"postgresql://{rest}", autocommit=True), "%s", psycopg.Error


@contextlib.contextmanager
def _explained(address: str, kind: type[Exception]) -> Iterator[None]:
    try:
        yield
    except kind as error:
        raise ConfigError(f"the store {address} cannot be read: {' '.join(str(error).split())}") from error
