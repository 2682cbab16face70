"""Between the records that programs read and the rows of the database."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import Connection, select

from benchmarks.base.records import Record
from benchmarks.sweeps.store.schema import attempts, checkpoints, environments, members, runs, workers

CURVES = ("step", "loss", "validation", "held_out")
_TIMES = ("wall_seconds", "cpu_seconds", "started", "ended")
_MEMORY = ("resident_bytes", "cuda_bytes")


def to_json(content: Any) -> str:
    """JSON without NaN and infinities, which JSON does not have.

    Raises:
        ValueError: if there are any.
    """
    return json.dumps(content, allow_nan=False, ensure_ascii=False)


def digest(content: Any) -> str:
    """A short name of a JSON value."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def from_outcome(outcome: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The columns of an attempt and its checkpoints.

    Raises:
        ValueError: if a number is not finite.
    """
    curves = outcome.get("curves") or {name: [] for name in CURVES}
    domains = outcome.get("domain_curves") or {}
    # A run that failed in the middle of a checkpoint leaves lists of unequal length.
    measures = outcome.get("measures") or {}
    others = [values for found in measures.values() for values in found.values()]
    whole = min(map(len, [*curves.values(), *domains.values(), *others]), default=0)
    points = [
        {
            "number": number,
            **{name: curves[name][number] for name in CURVES},
            "domains": {name: values[number] for name, values in domains.items()},
            "measures": {
                measure: {name: values[number] for name, values in found.items()} for measure, found in measures.items()
            },
        }
        for number in range(whole)
    ]
    timings, memory = outcome.get("timings") or {}, outcome.get("peak_memory") or {}
    values = {
        "status": outcome["status"],
        **{name: timings[name] for name in _TIMES if timings.get(name) is not None},
        **{name: memory.get(name) for name in _MEMORY},
        **{name: outcome.get(name) for name in ("failure", "error", "traceback", "model_file")},
    }
    if outcome["status"] == "finished":
        values |= {"selections": outcome["selections"], "diagnostics": outcome.get("diagnostics", {})}
        values["validation"] = outcome["selections"]["training-domain"]["validation"]
    to_json([values, points])
    return values, points


def records(connection: Connection, sweep_id: int | None) -> list[Record]:
    """The records of the runs that have ended; of all sweeps, or of one in its order."""
    chosen = select(runs)
    if sweep_id is None:
        chosen = chosen.order_by(runs.c.id)
    else:
        chosen = chosen.join(members, members.c.run_id == runs.c.id)
        chosen = chosen.where(members.c.sweep_id == sweep_id).order_by(members.c.position)
    chosen = chosen.where(runs.c.status.in_(("finished", "failed")))
    ended = list(connection.execute(chosen))
    identities = chosen.with_only_columns(runs.c.id).order_by(None).scalar_subquery()

    tries: dict[int, list[Any]] = defaultdict(list)
    query = select(attempts, workers.c.name.label("worker_name"), workers.c.host, workers.c.pid, workers.c.launcher)
    query = query.join_from(attempts, workers, workers.c.id == attempts.c.worker_id, isouter=True)
    for row in connection.execute(query.where(attempts.c.run_id.in_(identities)).order_by(attempts.c.number)):
        tries[row.run_id].append(row)
    points: dict[int, list[Any]] = defaultdict(list)
    query = select(checkpoints).join(attempts).where(attempts.c.run_id.in_(identities))
    for row in connection.execute(query.order_by(checkpoints.c.number)):
        points[row.attempt_id].append(row)
    surroundings = {row.id: row.content for row in connection.execute(select(environments))}
    return [_record(run, tries[run.id], points, surroundings) for run in ended]


def _record(run: Any, tries: list[Any], points: Mapping[int, list[Any]], surroundings: Mapping[str, Any]) -> Record:
    # The attempt that decided: the result, or the last failure.
    decisive = [attempt for attempt in tries if attempt.status == run.status][-1]
    record: dict[str, Any] = {
        "key": run.key,
        "config": run.config,
        "status": run.status,
        "evaluations": run.evaluations,
        "timings": {name: getattr(decisive, name) for name in _TIMES},
        "peak_memory": {name: getattr(decisive, name) for name in _MEMORY},
        "environment": {"code": run.code, **surroundings.get(decisive.environment_id, {})},
        "worker": None
        if decisive.worker_name is None
        else {
            "name": decisive.worker_name,
            "host": decisive.host,
            "pid": decisive.pid,
            "launcher": decisive.launcher,
        },
        "attempts": [
            {
                **{name: getattr(attempt, name) for name in ("number", "status", "failure", "error")},
                "worker": attempt.worker_name,
                **{name: getattr(attempt, name) for name in ("started", "ended")},
            }
            for attempt in tries
        ],
    }
    found = points.get(decisive.id, [])
    if found or run.status == "finished":
        record["curves"] = {name: [getattr(point, name) for point in found] for name in CURVES}
        names = found[0].domains if found else {}
        record["domain_curves"] = {name: [point.domains[name] for point in found] for name in names}
        record["measures"] = {
            measure: {name: [point.measures[measure][name] for point in found] for name in names}
            for measure in (found[0].measures if found else ())
        }
    if run.status == "finished":
        record["selections"] = decisive.selections
        chosen = decisive.selections["training-domain"]
        record["selection"] = {name: chosen[name] for name in ("step", "validation", "held_out")}
        record["diagnostics"] = decisive.diagnostics or {}
        record["model_file"] = decisive.model_file
    else:
        record.update({name: getattr(decisive, name) or "" for name in ("failure", "error", "traceback")})
    return cast(Record, record)
