"""Sets whose examples are sequences of decisions, by task, generation, tool family or workload.

Example:
    >>> from benchmarks.datasets import DATASETS
    >>> DATASETS["job-scheduling?loss=filtered&learn=done"].loss.__name__
    'filtered of done, two-hot critic'
"""

from __future__ import annotations

from benchmarks.datasets.decisions import babyai, job_scheduling, pokemon, tool_calls
from benchmarks.datasets.decisions.sets import DecisionSet

SETS: dict[str, DecisionSet] = {
    one.name: one
    for one in (
        job_scheduling.SCHEDULING,
        job_scheduling.SITES,
        tool_calls.TOOL_CALLS,
        babyai.BABYAI,
        babyai.PIXELS,
        pokemon.POKEMON,
    )
}
"""By name."""

ENTRIES = {name: one.entry() for name, one in SETS.items()}

__all__ = ["ENTRIES", "SETS"]
