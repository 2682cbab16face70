"""How the points of a sweep are searched: ranges, kind, pruning, and the rounds that follow from them.

Two things are said apart: the *ranges* (where: see `benchmarks.algorithms.ranges`) and the *kind* (how points are laid
into them). A search whose points are all known before anything runs is one round. Others have several, of which the
first is known and each later one follows from the results of those before: `benchmarks.sweeps.searching` says how.

**Budgets.** ``points: n`` pays for n runs of full length, for every algorithm alike, whatever the kind. With pruning
more points are tried for the same gradient evaluations: a round is a *bracket* of successive halving, points whose runs
are short, of which one in ``factor`` goes on to runs that are ``factor`` times as long. A run that goes on is done from
its start, and what its shorter runs took is counted. How many go on is fixed beforehand; results decide which.

``halving`` has brackets that all begin with the shortest runs; ``hyperband`` (Li et al., JMLR 2018, algorithm 1) goes
through all its brackets, the last of which prunes nothing. The last bracket is made as small as what is left of the
budget; what is left then is less than one run of full length, the same for every algorithm.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from benchmarks.base.config import Count, Frozen

Ranges = Literal["narrow", "wide"]
Kind = Literal["random", "even", "tpe"]
Prune = Literal["none", "halving", "hyperband"]

OPTUNA = ("tpe",)
"""Kinds whose points are proposed by a sampler of Optuna."""


class Search(Frozen):
    """How points are searched.

    Attributes:
        ranges: ``narrow``: those of the algorithms; ``wide``: those of the regime.
        kind: ``random``: every point is drawn by itself; ``even``: points cover every range evenly; ``tpe``: later
            points are proposed by that sampler of Optuna. None for ``random`` in narrow ranges and ``even`` in wide
            ones, which is also how the first points of ``tpe`` are laid.
        prune: ``halving`` or ``hyperband``: short runs for many points, longer ones for the best of them.
        startup: With ``tpe`` and without pruning, points before the first proposal; None for a third of them.
        batch: Points that are then proposed at a time, from the same results; with pruning they are a bracket's.
        factor: Of pruning: one in so many goes on, and runs are so many times as long.

    Example:
        >>> Search().kind, Search(ranges="wide").kind, Search(kind="tpe", prune="hyperband").in_rounds
        ('random', 'even', True)
    """

    ranges: Ranges = "narrow"
    kind: Kind | None = None
    prune: Prune = "none"
    startup: Count | None = None
    batch: Count = 4
    factor: Annotated[int, Field(ge=2)] = 3

    @model_validator(mode="before")
    @classmethod
    def _with_kind(cls, content: Any) -> Any:
        """The kind of the ranges, where none is given."""
        if isinstance(content, dict) and content.get("kind") is None:
            return {**content, "kind": "even" if content.get("ranges") == "wide" else "random"}
        return content

    @model_validator(mode="after")
    def _of_use(self) -> Search:
        """Refuses what would change nothing."""
        usual = {name: field.default for name, field in type(self).model_fields.items()}
        given = [name for name in ("startup", "batch") if getattr(self, name) != usual[name]]
        if given and not self.proposed:
            raise ValueError(f"{given[0]} is for kind: tpe, got kind: {self.kind}; leave it out")
        if given and self.prune != "none":
            raise ValueError(f"{given[0]} is for a search that prunes nothing: with {self.prune} the brackets say it")
        if self.factor != usual["factor"] and self.prune == "none":
            raise ValueError("factor is for prune: halving or hyperband; leave it out")
        return self

    @property
    def proposed(self) -> bool:
        """Whether Optuna proposes points."""
        return self.kind in OPTUNA

    @property
    def in_rounds(self) -> bool:
        """Whether there are runs that follow from the results of others."""
        return self.proposed or self.prune != "none"

    @property
    def even(self) -> bool:
        """Whether the points that nobody proposes cover their ranges evenly."""
        return self.kind == "even" or (self.proposed and self.ranges == "wide")

    def require_optuna(self) -> None:
        """Nothing where it is not needed.

        Raises:
            ValueError: if it is needed and missing.
        """
        if self.in_rounds and importlib.util.find_spec("optuna") is None:
            asked = self.kind if self.proposed else self.prune
            raise ValueError(f"search: {asked} needs Optuna, which is missing: pip install 'pgrad[optuna]' brings it")


@dataclass(frozen=True)
class Round:
    """Points that are begun together.

    Attributes:
        first: Number of its first point.
        lengths: Roll-outs of its runs, ascending: one length, unless it prunes.
        numbers: How many points have runs of each length.

    Example:
        >>> Round(first=0, lengths=(20, 60, 160), numbers=(9, 3, 1)).rollouts
        520
    """

    first: int
    lengths: tuple[int, ...]
    numbers: tuple[int, ...]

    @property
    def points(self) -> range:
        """Numbers of its points."""
        return range(self.first, self.first + self.numbers[0])

    @property
    def rollouts(self) -> int:
        """Of all its runs with one held-out set and seed."""
        return sum(length * number for length, number in zip(self.lengths, self.numbers, strict=True))


def rounds(search: Search, points: int, rollouts: int, every: int) -> tuple[Round, ...]:
    """The rounds of a search, in their order.

    Args:
        search: Of which kind.
        points: Runs of full length that it may cost.
        rollouts: Of a run of full length.
        every: Roll-outs between checkpoints; shorter runs end at one.

    Raises:
        ValueError: if there are too few points for a second round, or too few checkpoints to prune at.
    """
    if search.prune != "none":
        return tuple(_brackets(search, points, rollouts, every))
    startup = points
    if search.proposed:
        startup = max(1, points // 3) if search.startup is None else search.startup
        if startup >= points:
            raise ValueError(
                f"search: {search.kind} proposes points after the first {startup}, and there are no more than "
                f"points={points}: give more points, or a smaller startup"
            )
    later = (
        Round(first, (rollouts,), (min(search.batch, points - first),))
        for first in range(startup, points, search.batch)
    )
    return (Round(0, (rollouts,), (startup,)), *later)


def lengths_of_runs(factor: int, rollouts: int, every: int) -> tuple[int, ...]:
    """Roll-outs of runs of which each is `factor` times the one before, up to the next checkpoint.

    Example:
        >>> lengths_of_runs(3, rollouts=160, every=20), lengths_of_runs(3, rollouts=40, every=40)
        ((20, 60, 160), (40,))
    """
    found = [rollouts]
    for power in range(1, rollouts.bit_length() + 1):
        length = -(-rollouts // (every * factor**power)) * every
        if length >= found[0]:
            break
        found.insert(0, length)
    return tuple(found)


def _brackets(search: Search, points: int, rollouts: int, every: int) -> Iterator[Round]:
    lengths = lengths_of_runs(search.factor, rollouts, every)
    if len(lengths) == 1:
        raise ValueError(
            f"prune: {search.prune} needs a checkpoint to prune at before the end, and evaluate_every={every} of "
            f"rollouts={rollouts} leaves none: evaluate more often"
        )
    most = len(lengths) - 1
    left, first, bracket = points * rollouts, 0, most
    while left >= rollouts:
        factor = search.factor
        wanted = factor**most if search.prune == "halving" else -(-(most + 1) * factor**bracket // (bracket + 1))
        found = _largest(first, lengths[most - bracket :], wanted, factor, left)
        if found is not None:
            yield found
            left -= found.rollouts
            first += found.numbers[0]
        elif search.prune == "halving":  # a run of full length is left, but not two that are compared before
            yield Round(first, (rollouts,), (left // rollouts,))
            return
        bracket = (bracket - 1) % (most + 1) if search.prune == "hyperband" else most


def _largest(first: int, lengths: tuple[int, ...], wanted: int, factor: int, left: int) -> Round | None:
    """The bracket with as many points as are wanted, or with fewer so that it costs no more than what is left.

    None where one point alone could be paid for, which has nothing to be better than.
    """
    for number in range(wanted, int(len(lengths) > 1), -1):
        numbers = [number]
        for _ in lengths[1:]:
            numbers.append(max(1, numbers[-1] // factor))
        found = Round(first, lengths, tuple(numbers))
        if found.rollouts <= left:
            return found
    return None
