"""Who is still in the race at each rung, which Optuna's pruner says, and what is chosen: functions of records alone.

For each outer set by itself (see `benchmarks.studies.choose`); a search that is killed and begun again comes to the
same standing, for nothing else is remembered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.studies.choose.candidates import Candidate, Outer, Space
from benchmarks.sweeps.sampling import going_on

Records = Mapping[str, Mapping[str, Any]]
"""Finished runs by their key."""


@dataclass(frozen=True)
class Chosen:
    """What was chosen without an outer set.

    Attributes:
        candidate: It.
        rung: Whose runs it was chosen by.
        number: Of the checkpoint, from 0.
        figure: Mean of the measure over the domains that were left out in turn.
    """

    candidate: Candidate
    rung: int
    number: int
    figure: float


def figures(space: Space, records: Records, candidate: Candidate, outer: Outer, rung: int) -> list[float] | None:
    """The figure of a candidate for an outer set at each checkpoint; None if a run of it has not finished.

    A domain on which the measure is not defined (an AUC of one class) is left out of the mean.
    """
    curves = []
    for held_out in space.held_out(outer):
        (left_out,) = held_out - outer or (None,)
        for seed in space.seeds(rung):
            record = records.get(space.run(candidate, held_out, seed, rung).key())
            if record is None:
                return None
            curve = record["curves"]["validation"] if left_out is None else record["domain_curves"][left_out]
            if None not in curve:
                curves.append(curve)
    return [sum(values) / len(values) for values in zip(*curves, strict=True)] if curves else None


def best(space: Space, records: Records, candidates: Sequence[Candidate], outer: Outer, rung: int) -> list[Chosen]:
    """The candidates that have a figure, best first, each at its best checkpoint; of equals the first one."""
    found = []
    for candidate in candidates:
        values = figures(space, records, candidate, outer, rung)
        if values is not None and not any(map(math.isnan, values)):
            number = max(range(len(values)), key=lambda i: (values[i], -i))
            found.append(Chosen(candidate, rung, number, values[number]))
    return sorted(found, key=lambda one: -one.figure)


def standing(space: Space, records: Records, rung: int) -> dict[Outer, list[Candidate]]:
    """The candidates of a rung for each outer set, when the rungs before have ended; the default is always one."""
    entering = {outer: space.candidates() for outer in space.outers()}
    for earlier in range(space.rungs.start, rung):
        for outer, candidates in entering.items():
            ranked = best(space, records, candidates, outer, earlier)
            going = going_on([one.figure for one in ranked], space.recipe.rungs[earlier].factor, len(ranked))
            kept = {space.default, *(ranked[place].candidate for place in going)}
            entering[outer] = [candidate for candidate in candidates if candidate in kept]
    return entering
