"""Why runs failed, grouped: a line for each cause, however many runs it took."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from benchmarks.sweeps.store.schema import attempts, members, runs
from benchmarks.sweeps.store.states import FAILED


@dataclass(frozen=True)
class Cause:
    """Runs that failed in the same way.

    Attributes:
        failure: The kind.
        error: The beginning of what was said, without numbers and names.
        runs: How many.
        key, dataset, algorithm, held_out, seed, point: The first of them.
        told: What was said of that one.
    """

    failure: str
    error: str
    runs: int
    key: str
    dataset: str
    algorithm: str
    held_out: str
    seed: int
    point: int
    told: str

    def sentence(self) -> str:
        """One line."""
        what = f"{self.dataset}, {self.algorithm}, held out {self.held_out}, seed {self.seed}, point {self.point}"
        return f"{self.runs} {self.failure}, the first {self.key} ({what}): {' '.join(self.told.split())}"


def causes(connection: Connection, sweep_id: int | None = None) -> list[Cause]:
    """The causes of failures in a store or one sweep, the most frequent first."""
    last = select(attempts.c.run_id, func.max(attempts.c.number).label("number")).where(attempts.c.status == FAILED)
    last = last.group_by(attempts.c.run_id)
    those = last.subquery()
    query = (
        select(runs, attempts.c.failure, attempts.c.error)
        .select_from(runs.join(those, those.c.run_id == runs.c.id))
        .join(attempts, (attempts.c.run_id == runs.c.id) & (attempts.c.number == those.c.number))
        .where(runs.c.status == FAILED)
        .order_by(runs.c.id)
    )
    if sweep_id is not None:
        query = query.where(runs.c.id.in_(select(members.c.run_id).where(members.c.sweep_id == sweep_id)))
    grouped = defaultdict(list)
    for row in connection.execute(query):
        grouped[row.failure or "error", _alike(row.error or "")].append(row)
    found = [
        Cause(
            *(failure, error, len(rows), rows[0].key, rows[0].dataset, rows[0].algorithm, rows[0].held_out),
            *(rows[0].seed, rows[0].point, rows[0].error or ""),
        )
        for (failure, error), rows in grouped.items()
    ]
    return sorted(found, key=lambda cause: -cause.runs)


def _alike(error: str) -> str:
    """What errors of one cause have in common: names of workers, numbers and paths are left out."""
    first = error.strip().partition("\n")[0]
    return re.sub(r"\b(local|slurm|ray)-[0-9a-f]{8}\b|0x[0-9a-f]+|\d+(\.\d+)?", "#", first)
