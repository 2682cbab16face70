"""What a rule of selection chose, in one pass over the records where it needs one run only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from benchmarks.reports.load import Run
from benchmarks.runs.rules import ORACLE, RECORDED, Rule
from benchmarks.runs.selection import Families, Refits, checkpoints, winners

Choices = dict[tuple[str, str], list["Choice"]]
"""By data set and algorithm."""


class Choice(NamedTuple):
    """The point and the checkpoint of one data set, algorithm or family, held-out set and seed.

    Attributes:
        validation_accuracy: What the choice went by; of ``validation-loss`` the validation accuracy.
        refit_accuracy: Of the run that trained the same again on training and validation parts; NaN without one.
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
    refit_accuracy: float
    run: Run

    def row(self, method: str) -> dict[str, Any]:
        """Without the run, and with the name of the rule."""
        rule = Rule.named(method)
        return {**self._asdict(), "method": rule.name, "oracle": rule.method == ORACLE}


def choose(
    records: Sequence[Run],
    inner: Sequence[Run],
    method: str,
    refits: Sequence[Run] = (),
    families: Families | None = None,
) -> Choices:
    """What the rule chose for the held-out sets of `records`; only cross-validation looks at `inner` as well.

    Args:
        records: To report on.
        inner: That only cross-validation needs.
        method: Name of the rule.
        refits: Choices that were trained again.
        families: Further names to choose for, each the algorithms that are chosen among.

    Raises:
        ValueError: if the rule is not known, and as `benchmarks.runs.selection.Choices.choose`.
    """
    rule, again = Rule.named(method), Refits(refits)
    alone = rule.method in RECORDED and not rule.shared
    known = families or {}
    rows = _best(records, rule.method, again, known) if alone else _by_rule(records, inner, rule, again, known)
    found: Choices = {}
    for choice in rows:
        found.setdefault((choice.dataset, choice.algorithm), []).append(choice)
    return found


def _best(records: Iterable[Run], method: str, refits: Refits, families: Families) -> list[Choice]:
    """As `benchmarks.runs.rules` says: of equals the first algorithm, then the lowest point; not defined is last."""
    by = "held_out" if method == ORACLE else "validation"
    names = _names(records, families)
    best: dict[tuple[Any, ...], tuple[tuple[float, int, int], Run, Mapping[str, Any]]] = {}
    for run in records:
        if run["status"] != "finished":
            continue
        config = run["config"]
        found = selections_of(run)[RECORDED[method]]
        value = found[by]
        for name, order in names[config["algorithm"]]:
            rank = (-math.inf if value is None or math.isnan(value) else value, -order, -config["point"])
            place = (config["dataset"], name, config["held_out"], config["seed"])
            known = best.get(place)
            if known is None or rank > known[0]:
                best[place] = (rank, run, found)
    return [
        _choice(place[1], run, found["step"], found[by], found["held_out"], refits)
        for place, (_, run, found) in best.items()
    ]


def _names(records: Iterable[Run], families: Families) -> dict[str, list[tuple[str, int]]]:
    """Of each algorithm: the names that its runs are chosen for, and its place among those that share one."""
    algorithms = dict.fromkeys(run["config"]["algorithm"] for run in records)
    return {
        algorithm: [(algorithm, 0), *((one, of.index(algorithm)) for one, of in families.items() if algorithm in of)]
        for algorithm in algorithms
    }


def selections_of(run: Run) -> Mapping[str, Mapping[str, Any]]:
    """What each method that needs one run only chose of it, in records of older versions too."""
    return run.get("selections") or checkpoints(run["curves"])


def _choice(
    name: str, run: Run, step: float, validation: float | None, held_out: float | None, refits: Refits
) -> Choice:
    again = refits.accuracy(run["config"], run["curves"]["step"].index(step)) if refits else None
    return Choice(
        **{each: run["config"][each] for each in ("dataset", "held_out", "seed", "point")},
        algorithm=name,
        step=step,
        validation_accuracy=math.nan if validation is None else validation,
        held_out_accuracy=math.nan if held_out is None else held_out,
        refit_accuracy=math.nan if again is None else again,
        run=run,
    )


def _by_rule(
    records: Sequence[Run], inner: Sequence[Run], rule: Rule, refits: Refits, families: Families
) -> list[Choice]:
    reported = {(run["config"]["dataset"], run["config"]["held_out"]) for run in records}
    found = winners([*records, *inner] if rule.crossed else records, rule, families)
    return [
        _choice(winner.algorithm, cast(Run, chosen.run), chosen.step, chosen.validation, chosen.held_out, refits)
        for winner in found
        if (winner.dataset, winner.held_out) in reported
        for chosen in [winner.selected]
    ]
