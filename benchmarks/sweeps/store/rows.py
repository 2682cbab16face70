"""Between the records that programs read and the rows of the database."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pydantic_core
from sqlalchemy import Connection, Select, select

from benchmarks.base.records import Record
from benchmarks.sweeps.store.schema import attempts, checkpoints, environments, runs, workers
from benchmarks.sweeps.store.states import DECIDED, FAILED, FINISHED, outcome_status

CURVES = ("step", "loss", "validation", "held_out")
CHECKPOINT = ("attempt_id", "number", *CURVES, "domains", "measures")
_TIMES = ("wall_seconds", "cpu_seconds", "started", "ended")
_MEMORY = ("resident_bytes", "cuda_bytes")
_encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False).encode


def to_json(content: Any) -> str:
    """JSON without NaN and infinities, which JSON does not have.

    Raises:
        ValueError: if there are any.
    """
    text = pydantic_core.to_json(content).decode()
    if "NaN" in text or "Infinity" in text:  # in a string, or such a number: the slow one tells them apart
        return _encode(content)
    return text


def digest(content: Any) -> str:
    """A short name of a JSON value."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def place(record: Mapping[str, Any]) -> tuple[str, str]:
    """What a store has one row for: the key of a run and the code that it was done with."""
    return record["key"], str((record.get("environment") or {}).get("code", "unknown"))


def from_outcome(outcome: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    """The columns of an attempt, and its checkpoints as `CHECKPOINT` has them, without the number of the attempt.

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
        (number, *at, to_json(_at(domains, number)), to_json({name: _at(of, number) for name, of in measures.items()}))
        for number, at in enumerate(zip(*(curves[name][:whole] for name in CURVES), strict=True))
    ]
    timings, memory = outcome.get("timings") or {}, outcome.get("peak_memory") or {}
    values = {
        "status": outcome_status(outcome),
        **{name: timings[name] for name in _TIMES if timings.get(name) is not None},
        **{name: memory.get(name) for name in _MEMORY},
        **{name: outcome.get(name) for name in ("failure", "error", "traceback", "model_file")},
    }
    if outcome["status"] == "finished":
        values |= {"selections": outcome["selections"], "diagnostics": outcome.get("diagnostics", {})}
        values["validation"] = outcome["selections"]["training-domain"]["validation"]
    to_json([values, curves])
    return values, points


def _at(curves: Mapping[str, Sequence[Any]], number: int) -> dict[str, Any]:
    return {name: values[number] for name, values in curves.items()}


def records(connection: Connection, chosen: Select[Any]) -> list[Record]:
    """The records of runs that have ended.

    Args:
        connection: Of one transaction.
        chosen: Selects the runs, in their order.
    """
    ended = connection.execute(chosen.where(runs.c.status.in_(DECIDED))).all()
    numbers = [run.id for run in ended]
    tries: dict[int, list[Any]] = defaultdict(list)
    query = select(attempts, workers.c.name.label("worker_name"), workers.c.host, workers.c.pid, workers.c.launcher)
    query = query.join_from(attempts, workers, workers.c.id == attempts.c.worker_id, isouter=True)
    for row in connection.execute(query.where(attempts.c.run_id.in_(numbers)).order_by(attempts.c.number)):
        tries[row.run_id].append(row)
    decisive = {run.id: _decisive(run.status, tries[run.id]) for run in ended}
    those = [attempt for attempt in decisive.values() if attempt is not None]
    points: dict[int, list[Any]] = defaultdict(list)
    query = select(checkpoints).where(checkpoints.c.attempt_id.in_([attempt.id for attempt in those]))
    for row in connection.execute(query.order_by(checkpoints.c.attempt_id, checkpoints.c.number)):
        points[row.attempt_id].append(row)
    names = {attempt.environment_id for attempt in those}
    query = select(environments).where(environments.c.id.in_(names))
    surroundings = {row.id: row.content for row in connection.execute(query)}
    return [_record(run, tries[run.id], decisive[run.id], points, surroundings) for run in ended]


def _decisive(status: str, tries: list[Any]) -> Any:
    """The attempt that decided: the result, or the last failure. None if there is none, which nothing here leaves."""
    found = [attempt for attempt in tries if attempt.status == status]
    if status == FINISHED:
        found = [attempt for attempt in found if attempt.selections]
    return found[-1] if found else None


def _record(
    run: Any, tries: list[Any], decisive: Any, points: Mapping[int, list[Any]], surroundings: Mapping[str, Any]
) -> Record:
    if decisive is None:
        return _without_attempt(run)
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


def _without_attempt(run: Any) -> Record:
    """Of a run that is said to be decided, in a store in which an older version or a hand has left no attempt of it."""
    record = {
        "key": run.key,
        "config": run.config,
        "status": FAILED,
        "evaluations": run.evaluations,
        "timings": dict.fromkeys(_TIMES),
        "peak_memory": dict.fromkeys(_MEMORY),
        "environment": {"code": run.code},
        "worker": None,
        "attempts": [],
        "failure": "error",
        "error": f"the store says that this run is {run.status}, and has no attempt that says how; "
        "python -m benchmarks check STORE lets it be done again",
        "traceback": "",
    }
    return cast(Record, record)
