"""What sweeps were made to confirm: few comparisons, named before they ran, corrected for one another alone."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from benchmarks.reports.comparisons import Comparison, compare, compare_overall, corrected
from benchmarks.reports.selection import Selection


@dataclass(frozen=True)
class Confirmed:
    """The comparisons by one of the two figures of each choice.

    Attributes:
        refitted: Whether they are of choices that were trained again.
        found: Over all data sets where there are several, else on the one; corrected for one another.
        each: On each data set, corrected for one another.
        absent: Pairs that were named and have no figures; the correction counts them.
    """

    refitted: bool
    found: list[Comparison]
    each: list[Comparison]
    absent: tuple[tuple[str, str], ...] = ()

    @property
    def sentences(self) -> list[str]:
        """To read."""
        refit = ", with refit" if self.refitted else ""
        return [f"Confirmatory{refit}: {one.sentence}" for one in self.found] + [
            f"Confirmatory{refit}: {one} against {other} has no figures; the correction counts it."
            for one, other in self.absent
        ]


def confirmed(selection: Selection, seed: int) -> list[Confirmed]:
    """By the figure of the report first, then by the other one; none where nothing is to be confirmed.

    The correction counts every comparison that was named: those without figures too (some choices may not have been
    trained again, or a report may show only some algorithms).
    """
    pairs = selection.confirmatory
    made = []
    for refitted in dict.fromkeys((selection.refitted, False, bool(selection.refits))) if pairs else ():
        other = dataclasses.replace(selection, refitted=refitted)
        each = [one for one in compare(other, seed, pairs) if one.difference.n]
        each = corrected(each, len(pairs) * len(selection.datasets))
        several = len(selection.datasets) > 1
        found = corrected(compare_overall(other, each, seed), len(pairs)) if several else each
        if found:
            known = {(one.algorithm, one.baseline) for one in found}
            made.append(Confirmed(refitted, found, each, tuple(pair for pair in pairs if pair not in known)))
    return made
