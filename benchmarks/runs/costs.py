"""What a rule of selection pays for, in gradient evaluations."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.base.records import held_out_domains
from benchmarks.runs.rules import Rule


@dataclass(frozen=True)
class Cost:
    """What a rule pays for, in gradient evaluations.

    Attributes:
        rule: Its name.
        own: Of the runs with the held-out sets to report on.
        added: Of those that hold one more domain out and are no reported runs; each counts once, however many splits
            need it.
    """

    rule: str
    own: int
    added: int

    @property
    def total(self) -> int:
        return self.own + self.added

    @property
    def factor(self) -> float:
        """How many times as many points a rule could try that needs no added runs."""
        return self.total / self.own if self.own else math.nan

    @property
    def sentence(self) -> str:
        """To read.

        Example:
            >>> print(Cost("last", own=1200, added=0).sentence)
            last: 1,200 gradient evaluations of its own runs
        """
        text = f"{self.rule}: {self.own:,} gradient evaluations of its own runs"
        if not self.added:
            return text
        return (
            f"{text} and {self.added:,} of runs that leave one more domain out: as many as validation with "
            f"{self.factor:.1f} times the points"
        )


def cost(rule: Rule, runs: Iterable[tuple[str, str, int]], reported: Iterable[tuple[str, str]]) -> Cost:
    """The cost of a rule.

    Args:
        rule: Chooses.
        runs: Data set, held-out set and gradient evaluations of every run, each once.
        reported: Data sets and the held-out sets that are reported on.

    Example:
        Two domains of three held out in turn, a run of 10 for each, and one of 5 without both that they share.

        >>> runs = [("set", "a", 10), ("set", "b", 10), ("set", "a+b", 5), ("set", "a+c", 5), ("set", "b+c", 5)]
        >>> cost(Rule("leave-one-domain-out"), runs, [("set", "a"), ("set", "b")]).total
        35
    """
    sets = {(dataset, frozenset(held_out_domains(names))) for dataset, names in reported}
    own = added = 0
    for dataset, names, evaluations in runs:
        outside = frozenset(held_out_domains(names))
        if (dataset, outside) in sets:
            own += evaluations
        elif rule.crossed and any((dataset, outside - {name}) in sets for name in outside):
            added += evaluations
    return Cost(rule.name, own, added)
