"""What sweeps were made to confirm: few comparisons, named before they ran, corrected for one another alone."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from benchmarks.reports.comparisons import Comparison, compare, compare_overall
from benchmarks.reports.selection import Selection


@dataclass(frozen=True)
class Confirmed:
    """The comparisons by one of the two figures of each choice.

    Attributes:
        refitted: Whether they are of choices that were trained again.
        found: Over all data sets where there are several, else on the one; corrected for one another.
        each: On each data set, corrected for one another.
    """

    refitted: bool
    found: list[Comparison]
    each: list[Comparison]

    @property
    def sentences(self) -> list[str]:
        """To read."""
        refit = ", with refit" if self.refitted else ""
        return [f"Confirmatory{refit}: {one.sentence}" for one in self.found]


def confirmed(selection: Selection, seed: int) -> list[Confirmed]:
    """By the figure of the report first, then by the other one; none where nothing is to be confirmed.

    A comparison whose figures are not there (no choice of it was trained again) is left out.
    """
    if not selection.confirmatory:
        return []
    made = []
    for refitted in dict.fromkeys((selection.refitted, False, bool(selection.refits))):
        other = dataclasses.replace(selection, refitted=refitted)
        each = [one for one in compare(other, seed, selection.confirmatory) if one.difference.n]
        found = compare_overall(other, each, seed) if len(selection.datasets) > 1 else each
        if found:
            made.append(Confirmed(refitted, found, each))
    return made
