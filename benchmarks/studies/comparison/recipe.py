"""One recipe, fixed on half of the rungs and confirmed on the others.

How it is found was written when only the coloured digits had been run, which are one of the others.

The first five rungs of tuned.yaml are for fixing, the other five for confirming. Every figure is of a choice by its
rule that was trained again on training and validation parts. Means are over the rungs whose score is a share (points);
the cross sections stand beside them, and no half waits for them.

1. Algorithm: of all algorithms and families, by training-domain validation, the one with the highest mean difference to
   SWAD-averaged ERM (`erm-swad`) over the rungs for fixing.
2. Rule: of all rules that rules.yaml compares, for its family `averaged`, the one with the highest mean difference to
   training-domain validation over the rungs for fixing.
3. The other rungs see two comparisons, the algorithm with `erm-swad` and the rule with validation. What is not above
   its baseline there is not recommended: then it is `erm-swad`, or validation.

The unit of what validation chooses for each seed is the seed. The seeds of a rung share the choice of a ``-shared``
rule: where rules are compared the unit is the held-out set, averaged over seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.base.metrics import Estimate, Matrix, mean_of_means, seed_averages
from benchmarks.reports.selection import Selection
from benchmarks.reports.text import difference
from benchmarks.runs.environment import ROOT
from benchmarks.runs.rules import VALIDATION
from benchmarks.studies.comparison import tables
from benchmarks.studies.comparison.tables import WRITTEN, in_points

PAGE = ROOT / "docs/results/recipe.md"
BASELINE = "erm-swad"
FAMILY = "averaged"
REFIT = "refit_accuracy"
LEAST = 2
"""Rungs for fixing, and for confirming, of which something is said."""

Differences = dict[str, Matrix]
"""By rung: one difference for each unit."""


@dataclass(frozen=True)
class Halves:
    """The rungs that are done.

    Attributes:
        fixing: Those on which a recipe is fixed.
        confirming: The others.
        missing: Of those for fixing and for confirming that count, because their score is a share, how many are not.
    """

    fixing: tuple[str, ...]
    confirming: tuple[str, ...]
    missing: tuple[int, int]

    @classmethod
    def of(cls, selection: Selection) -> Halves:
        """As tuned.yaml orders them."""
        settings = tables.sweep_of("tuned")["datasets"]
        rungs, done = list(settings), set(selection.datasets)
        halves = rungs[: len(rungs) // 2], rungs[len(rungs) // 2 :]
        fixing, confirming = (tuple(name for name in own if name in done) for own in halves)
        counted = {name for name, own in settings.items() if (own or {}).get("regime") != "regression"}
        first, second = (len(counted.difference(done).intersection(own)) for own in halves)
        return cls(fixing, confirming, (first, second))


def against_baseline(selection: Selection, algorithm: str) -> Differences:
    """Of an algorithm or family and `BASELINE`, both by validation and trained again, for each seed of every rung."""
    return {
        name: seed_averages(
            selection.scores(name, algorithm, REFIT) - selection.scores(name, BASELINE, REFIT),
        )
        for name in selection.datasets
        if {algorithm, BASELINE} <= set(selection.algorithms_on(name))
    }


def against_validation(selection: Selection, rule: str) -> Differences:
    """Of `FAMILY` by a rule and by validation, for each held-out set of every rung (the mean over its seeds)."""
    return {
        name: np.nanmean(
            selection.matrix(rule, name, FAMILY, REFIT) - selection.matrix(VALIDATION, name, FAMILY, REFIT), axis=0
        )
        for name in selection.datasets
        if FAMILY in selection.algorithms_on(name)
    }


def over(found: Differences, rungs: Sequence[str]) -> Estimate:
    """The mean over rungs of the mean over units."""
    return mean_of_means([found[name] for name in rungs if name in found])


def best(found: dict[str, Differences], rungs: Sequence[str]) -> str:
    """The name with the highest mean; of equals the first."""
    return max(found, key=lambda name: over(found[name], rungs).mean)


def page(tuned: Selection, rules: Selection | None) -> str:
    """What is fixed, on what, and whether the other rungs confirm it."""
    halves = Halves.of(tuned)
    parts = [WRITTEN, "# The recipe", _done("Tuned", halves)]
    names = [name for name in dict.fromkeys((*tuned.algorithms, *tuned.families)) if name != BASELINE]
    parts.append(
        _part(tuned, halves, "Algorithm", {name: against_baseline(tuned, name) for name in names}, f"`{BASELINE}`")
    )
    if rules is not None:
        halves = Halves.of(rules)
        parts.append(_done("Rules", halves))
        found = {rule: against_validation(rules, rule) for rule in compared_rules()}
        parts.append(_part(rules, halves, "Rule", found, "`validation`"))
    return "\n\n".join(parts) + "\n"


def compared_rules() -> list[str]:
    """Those of rules.yaml but validation and what cheats."""
    asked = tables.sweep_of("rules")["selection"]
    return [rule for rule in asked if rule not in (VALIDATION, "oracle")]


def _done(what: str, halves: Halves) -> str:
    named = [", ".join(own) or "none" for own in (halves.fixing, halves.confirming)]
    return f"{what}: for fixing {named[0]}; for confirming {named[1]}."


def _part(selection: Selection, halves: Halves, what: str, found: dict[str, Differences], baseline: str) -> str:
    fixing, confirming = (in_points(selection, own) for own in (halves.fixing, halves.confirming))
    lines = [f"## {what}"]
    if len(fixing) < LEAST:
        lines.append(f"Fewer than {LEAST} rungs for fixing are done: nothing is fixed yet.")
        return "\n\n".join(lines)
    chosen = best(found, fixing)
    word = "Fixed" if not halves.missing[0] else f"Ahead on {_of(fixing, halves.missing[0])}, nothing fixed yet"
    lines.append(f"{word}: **{chosen}**, {difference(over(found[chosen], fixing))} points against {baseline}.")
    if any(halves.missing):
        lines.append(f"Nothing is confirmed yet: {_of(confirming, halves.missing[1])} for confirming are done.")
    else:
        later = over(found[chosen], confirming)
        words = "confirmed" if later.low > 0 else "not confirmed"
        lines.append(f"On the other rungs: {difference(later)} points, {words}.")
    rungs = [name for name in (*halves.fixing, *halves.confirming) if name in selection.datasets]
    text = _table(found, what.lower(), fixing, confirming, rungs).to_markdown(index=False, disable_numparse=True)
    lines.append(f"Differences to {baseline}, both trained again; on the other rungs only the fixed one counts.")
    lines.append(text)
    return "\n\n".join(lines)


def _of(done: Sequence[str], missing: int) -> str:
    return f"{len(done)} of {len(done) + missing} rungs that count"


def _table(
    found: dict[str, Differences], what: str, fixing: Sequence[str], confirming: Sequence[str], rungs: Sequence[str]
) -> pd.DataFrame:
    def mean(rows: Differences, own: Sequence[str]) -> str:
        return difference(over(rows, own)) if own else ""

    return pd.DataFrame(
        [
            {
                what: name,
                "fixing": mean(rows, fixing),
                "confirming": mean(rows, confirming),
                **{rung: mean(rows, [rung] if rung in rows else []) for rung in rungs},
            }
            for name, rows in sorted(found.items(), key=lambda item: -over(item[1], fixing).mean)
        ]
    )


def found_rules() -> Selection | None:
    """The rungs of rules.yaml that are done, None before the first."""
    return tables.found("rules") if tables.records_of("rules") else None


def main() -> None:
    """Writes the page."""
    PAGE.write_text(page(tables.found("tuned"), found_rules()), encoding="utf-8")
