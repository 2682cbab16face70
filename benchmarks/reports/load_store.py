"""The records of a store as a report needs them, some thousand runs at a time: a store may hold a million.

`benchmarks.sweeps.store.Store.records` gives everything at once; this leaves out what no figure of a report is made of
(the scores of single domains, unless cross-validation or another measure needs them; tracebacks; workers' addresses).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Connection, Text, cast, func, select

from benchmarks.sweeps.store import Store
from benchmarks.sweeps.store.rows import CURVES
from benchmarks.sweeps.store.schema import attempts, checkpoints, environments, runs, workers
from benchmarks.sweeps.store.states import DECIDED, FAILED, FINISHED

CHUNK = 4000

_TIMES = ("wall_seconds", "cpu_seconds", "started", "ended")
_MEMORY = ("resident_bytes", "cuda_bytes")


def stream(store: Store) -> Iterator[Mapping[str, Any]]:
    """The records of all runs that have ended, in the order in which they were entered; all of one moment."""
    with store.database.read() as connection:
        surroundings = {row.id: row.content for row in connection.execute(select(environments))}
        names = {row.id: row.name for row in connection.execute(select(workers.c.id, workers.c.name))}
        crossed = _cross_validated(connection)
        last = -1
        query = select(runs.c.id, runs.c.key, runs.c.code, cast(runs.c.config, Text), runs.c.evaluations, runs.c.status)
        query = query.where(runs.c.status.in_(DECIDED)).order_by(runs.c.id).limit(CHUNK)
        while chunk := connection.execute(query.where(runs.c.id > last)).all():
            first, last = chunk[0][0], chunk[-1][0]
            tries = _tries(connection, first, last)
            points = _points(connection, first, last, crossed)
            for run in chunk:
                yield _record(run, tries[run[0]], points, surroundings, names)


def waiting(store: Store) -> int:
    """How many runs have not ended."""
    with store.database.read() as connection:
        return connection.scalars(select(func.count()).where(runs.c.status.not_in(DECIDED))).one()


def _cross_validated(connection: Connection) -> bool:
    """Whether there are held-out sets that contain others: cross-validation goes by the scores of single domains."""
    found = [frozenset(name.split("+")) for name in connection.execute(select(runs.c.held_out).distinct()).scalars()]
    return any(one < other for one in found for other in found)


_TRY = (
    *(attempts.c[name] for name in ("id", "run_id", "number", "worker_id", "status", "environment_id")),
    *(attempts.c[name] for name in ("failure", "error", *_TIMES, *_MEMORY)),
    cast(attempts.c.selections, Text).label("selections"),
    cast(attempts.c.diagnostics, Text).label("diagnostics"),
)


def _tries(connection: Connection, first: int, last: int) -> Mapping[int, Sequence[Any]]:
    found: dict[int, list[Any]] = defaultdict(list)
    query = select(*_TRY).where(attempts.c.run_id.between(first, last)).order_by(attempts.c.run_id, attempts.c.number)
    for row in connection.execute(query):
        found[row.run_id].append(row)
    return found


def _points(connection: Connection, first: int, last: int, crossed: bool) -> Mapping[int, Sequence[Any]]:
    own = select(attempts.c.id).where(attempts.c.run_id.between(first, last)).scalar_subquery()
    columns: list[Any] = [checkpoints.c.attempt_id, *(checkpoints.c[name] for name in CURVES)]
    columns.append(cast(checkpoints.c.measures, Text))
    if crossed:
        columns.append(cast(checkpoints.c.domains, Text))
    query = select(*columns).where(checkpoints.c.attempt_id.in_(own))
    found: dict[int, list[Any]] = defaultdict(list)
    for row in connection.execute(query.order_by(checkpoints.c.attempt_id, checkpoints.c.number)):
        found[row[0]].append(row)
    return found


def _decisive(status: str, tries: Sequence[Any]) -> Any:
    """The attempt that decided; None in a store in which an older version or a hand has left none."""
    found = [one for one in tries if one.status == status and (status != FINISHED or one.selections)]
    return found[-1] if found else None


def _record(
    run: Any,
    tries: Sequence[Any],
    points: Mapping[int, Sequence[Any]],
    surroundings: Mapping[str, Any],
    names: Mapping[int, str],
) -> dict[str, Any]:
    _, key, code, config, evaluations, status = run
    record: dict[str, Any] = {"key": key, "config": from_json(config), "status": status, "evaluations": evaluations}
    decisive = _decisive(status, tries)
    if decisive is None:
        error = f"the store says that it is {status}, and has no attempt that says how"
        return {**record, "status": FAILED, "environment": {"code": code}, "failure": "error", "error": error}
    record |= {
        "timings": {name: getattr(decisive, name) for name in _TIMES},
        "peak_memory": {name: getattr(decisive, name) for name in _MEMORY},
        "environment": {"code": code, **surroundings.get(decisive.environment_id, {})},
        "attempts": [
            {
                **{name: getattr(one, name) for name in ("number", "status", "started", "ended")},
                "worker": names.get(one.worker_id),
            }
            for one in tries
        ],
    }
    found = points.get(decisive.id, [])
    if found:
        _, *curves = zip(*(row[:5] for row in found), strict=True)
        record["curves"] = dict(zip(CURVES, map(list, curves), strict=True))
        if found[0][5] not in ("{}", None):
            record["measures"] = _by_name([from_json(row[5]) for row in found])
        if len(found[0]) > 6:
            domains = [from_json(row[6]) for row in found]
            record["domain_curves"] = {name: [one[name] for one in domains] for name in domains[0]}
    if status == FINISHED:
        record["selections"] = from_json(decisive.selections)
        record["diagnostics"] = from_json(decisive.diagnostics) if decisive.diagnostics else {}
    else:
        record |= {"failure": decisive.failure or "error", "error": decisive.error or ""}
    return record


def _by_name(points: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, list[float]]]:
    return {
        measure: {name: [point[measure][name] for point in points] for name in domains}
        for measure, domains in points[0].items()
    }
