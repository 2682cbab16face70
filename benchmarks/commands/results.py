"""``results``: the tables beside docs/results.md."""

from __future__ import annotations

from benchmarks.studies.choose import tables as choose
from benchmarks.studies.comparison import recipe
from benchmarks.studies.comparison import tables as comparison
from benchmarks.studies.decisions import tables as decisions
from benchmarks.studies.outer import tables as outer
from benchmarks.studies.results import tables

__all__ = ["results_command"]


def results_command() -> int:
    """Write the tables of docs/results anew from the committed records."""
    tables.main()
    outer.main()
    comparison.main()
    recipe.main()
    decisions.main()
    choose.main()
    return 0
