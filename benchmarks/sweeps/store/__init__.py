"""The store: every run, attempt and checkpoint as rows of a database.

SQLite in a file by default, PostgreSQL by its address; several processes and machines may use one store at a time.

Example:
    >>> from benchmarks.sweeps.config import SweepConfig
    >>> from benchmarks.runs.runner import run
    >>> sweep = SweepConfig(datasets="coloured-digits", algorithms="erm", seeds=1, settings={"rollouts": 20})
    >>> with Store("sqlite://") as store:
    ...     entry = store.enter(sweep)
    ...     worker = store.new_worker("in-process")
    ...     claim = store.claim(entry, worker)
    ...     store.finish(claim, run(claim.config), {"code": claim.code})
    ...     store.counts(entry), [record["status"] for record in store.records(entry)]
    True
    ({'pending': 2, 'running': 0, 'finished': 1, 'failed': 0, 'diverged': 0}, ['finished'])
"""

from __future__ import annotations

from benchmarks.sweeps.store.database import Database, StoreError
from benchmarks.sweeps.store.store import Claim, Store

__all__ = ["Claim", "Database", "Store", "StoreError"]
