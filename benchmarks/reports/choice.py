"""What a method of selection chose, in one pass over the records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.reports.load import Run
from benchmarks.runs.protocol import LEAVE_ONE_OUT, ORACLE, checkpoints, select_all

Choices = dict[tuple[str, str], list["Choice"]]
"""By data set and algorithm."""


class Choice(NamedTuple):
    """The point and the checkpoint of one data set, algorithm, held-out set and seed.

    Attributes:
        validation_accuracy: What the choice went by.
        run: That the point was chosen of.
    """

    dataset: str
    algorithm: str
    held_out: str
    seed: int
    point: int
    step: float
    validation_accuracy: float
    held_out_accuracy: float
    run: Run

    def row(self, method: str) -> dict[str, Any]:
        """Without the run, and with the method."""
        return {**self._asdict(), "method": method, "oracle": method == ORACLE}


def choose(records: Sequence[Run], inner: Sequence[Run], method: str) -> Choices:
    """What the method chose for the held-out sets of `records`; only cross-validation looks at `inner` as well.

    Raises:
        ValueError: if the method is not known.
    """
    rows = _cross_validated(records, inner) if method == LEAVE_ONE_OUT else _best(records, method)
    found: Choices = {}
    for choice in rows:
        found.setdefault((choice.dataset, choice.algorithm), []).append(choice)
    return found


def _best(records: Iterable[Run], method: str) -> list[Choice]:
    """As `benchmarks.runs.protocol.select` says: of equals the lowest point, and what is not defined comes last."""
    by = "held_out" if method == ORACLE else "validation"
    best: dict[tuple[Any, ...], tuple[tuple[float, int], Run, Mapping[str, Any]]] = {}
    for run in records:
        if run["status"] != "finished":
            continue
        config = run["config"]
        found = selections_of(run)[method]
        value = found[by]
        rank = (-math.inf if value is None or math.isnan(value) else value, -config["point"])
        place = (config["dataset"], config["algorithm"], config["held_out"], config["seed"])
        known = best.get(place)
        if known is None or rank > known[0]:
            best[place] = (rank, run, found)
    return [_choice(run, found["step"], found[by], found["held_out"]) for _, run, found in best.values()]


def selections_of(run: Run) -> Mapping[str, Mapping[str, Any]]:
    """What each method that needs one run only chose of it, in records of older versions too."""
    return run.get("selections") or checkpoints(run["curves"])


def _choice(run: Run, step: float, validation: float | None, held_out: float | None) -> Choice:
    return Choice(
        **{name: run["config"][name] for name in ("dataset", "algorithm", "held_out", "seed", "point")},
        step=step,
        validation_accuracy=math.nan if validation is None else validation,
        held_out_accuracy=math.nan if held_out is None else held_out,
        run=run,
    )


def _cross_validated(records: Sequence[Run], inner: Sequence[Run]) -> list[Choice]:
    names = ("dataset", "algorithm", "held_out", "seed", "point")
    places = {tuple(run["config"][name] for name in names): run for run in records}
    rows = select_all([*records, *inner], LEAVE_ONE_OUT)
    return [
        _choice(places[place], row["step"], row["validation_accuracy"], row["held_out_accuracy"])
        for row in rows
        if (place := tuple(row[name] for name in names)) in places
    ]
