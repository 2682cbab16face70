"""What the rules of `benchmarks.runs.rules` choose among the records of runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.base.records import VALIDATION_LOSS_CURVE, held_out_domains
from benchmarks.runs.rules import (
    BOTH,
    LAST,
    LEAVE_ONE_OUT,
    ORACLE,
    TRAINING_DOMAIN,
    VALIDATION,
    VALIDATION_LOSS,
    Rule,
)

Record = Mapping[str, Any]
Families = Mapping[str, Sequence[str]]
"""Name of a family -> its algorithms, among which a rule chooses as well."""


@dataclass(frozen=True)
class Selected:
    """What a rule chose for one seed and held-out set.

    Attributes:
        point: Of random search.
        step: Gradient evaluations at the checkpoint.
        validation: The accuracy that the choice went by; of ``validation-loss`` the validation accuracy.
        held_out: Mean accuracy on the held-out domains.
        number: Of the checkpoint, from 0.
        run: The record that it was chosen of.
    """

    point: int
    step: float
    validation: float
    held_out: float
    number: int = field(default=0, compare=False)
    run: Record = field(default_factory=dict, compare=False, repr=False)


def checkpoints(curves: Mapping[str, Sequence[float | None]]) -> dict[str, dict[str, Any]]:
    """The checkpoint that each method chooses which needs one run only, by its name in records."""
    index = {
        TRAINING_DOMAIN: first_best(curves["validation"]),
        LAST: len(curves["step"]) - 1,
        ORACLE: first_best(curves["held_out"]),
    }
    return {
        method: {**{name: curves[name][i] for name in ("step", "validation", "held_out")}, "oracle": method == ORACLE}
        for method, i in index.items()
    }


def first_best(values: Sequence[float | None]) -> int:
    """The place of the highest value, of equals the first; what is not defined is the lowest."""
    return max(range(len(values)), key=lambda i: (_rank(values[i]), -i))


def _rank(value: float | None) -> float:
    """What is not defined is the lowest."""
    return -math.inf if value is None or math.isnan(value) else value


def is_refit(record: Record) -> bool:
    """Whether a record is of a run that a choice was trained again by; no rule chooses it."""
    return record["config"].get("refit") is not None


def is_cut(record: Record) -> bool:
    """Whether a record is of a run that ends before its full length, to see which points go on; no rule chooses it."""
    return record["config"].get("until") is not None


def stands(record: Record) -> bool:
    """Whether a rule can choose a record, if its run has finished: one of the search, of full length."""
    return not is_refit(record) and not is_cut(record)


Place = tuple[frozenset[str], int]
Name = tuple[str, int]


class Choices:
    """The finished runs of one data set and of the algorithms to choose among, ready to be asked.

    Args:
        records: Of the data set; others than those of `algorithms`, failed runs, refits and runs that were cut
            short are passed over.
        algorithms: Names; of equals the first one is chosen.
    """

    def __init__(self, records: Iterable[Record], algorithms: Sequence[str]) -> None:
        self.order = {name: number for number, name in enumerate(algorithms)}
        self.runs: dict[Place, dict[Name, Record]] = {}
        for record in records:
            config = record["config"]
            if record["status"] == "finished" and config["algorithm"] in self.order and stands(record):
                place = frozenset(held_out_domains(config["held_out"])), config["seed"]
                self.runs.setdefault(place, {})[config["algorithm"], config["point"]] = record

    def choose(self, rule: Rule, held_out: str) -> dict[int, Selected]:
        """What the rule chooses for a held-out set, by seed; without the seeds for which it could not choose.

        Raises:
            ValueError: if the records lack the curve of validation losses that the rule goes by, or seeds that are to
                share a choice tried other points.
        """
        outside = frozenset(held_out_domains(held_out))
        seeds = sorted(seed for names, seed in self.runs if names == outside)
        if rule.shared:
            return self._best(rule.method, outside, seeds)
        return {seed: chosen for each in seeds for seed, chosen in self._best(rule.method, outside, [each]).items()}

    def _best(self, method: str, outside: frozenset[str], seeds: Sequence[int]) -> dict[int, Selected]:
        """One choice for these seeds, seed by seed."""
        best: tuple[tuple[float, int, int, int], Name] | None = None
        for name in self.runs[outside, seeds[0]] if seeds else ():
            curves = [self._goes_by(method, outside, seed, name) for seed in seeds]
            known = [curve for curve in curves if curve is not None]
            if len(known) < len(seeds) or len({len(curve) for curve in known}) != 1:
                continue
            self._require_alike(outside, seeds, name)
            means = [sum(values) / len(values) for values in zip(*known, strict=True)]
            number = len(means) - 1 if method == LAST else first_best(means)
            rank = (_rank(means[number]), -self.order[name[0]], -name[1], -number)
            if best is None or rank > best[0]:
                best = rank, name
        if best is None:
            return {}
        (_, _, _, minus_number), name = best
        return {seed: self._selected(method, outside, seed, name, -minus_number) for seed in seeds}

    def _require_alike(self, outside: frozenset[str], seeds: Sequence[int], name: Name) -> None:
        found = [self.runs[outside, seed][name]["config"].get("hparams") for seed in seeds]
        for seed, hparams in zip(seeds, found, strict=True):
            if hparams != found[0]:
                raise ValueError(
                    f"seeds that share a choice must try the same points, got point {name[1]} of {name[0]} with "
                    f"{found[0]} for seed {seeds[0]} and {hparams} for seed {seed}; search with share_points: true, or "
                    "choose for each seed"
                )

    def _selected(self, method: str, outside: frozenset[str], seed: int, name: Name, number: int) -> Selected:
        run = self.runs[outside, seed][name]
        goes_by = self._goes_by(VALIDATION if method == VALIDATION_LOSS else method, outside, seed, name) or []
        curves = run["curves"]
        return Selected(name[1], curves["step"][number], goes_by[number], curves["held_out"][number], number, run)

    def _goes_by(self, method: str, outside: frozenset[str], seed: int, name: Name) -> list[float] | None:
        """The figure at each checkpoint, NaN where it is not defined; None if a run that it needs is missing."""
        run = self.runs.get((outside, seed), {}).get(name)
        if run is None:
            return None
        if method == LEAVE_ONE_OUT:
            return self._left_out(run, outside, seed, name)
        if method == BOTH:
            inside, left_out = _numbers(run["curves"]["validation"]), self._left_out(run, outside, seed, name)
            return None if left_out is None else [(a + b) / 2 for a, b in zip(inside, left_out, strict=True)]
        return figures(run, method)

    def _left_out(self, run: Record, outside: frozenset[str], seed: int, name: Name) -> list[float] | None:
        curves = []
        for domain in run["domain_curves"]:
            if domain in outside:
                continue
            other = self.runs.get((outside | {domain}, seed), {}).get(name)
            if other is None or len(other["domain_curves"][domain]) != len(run["curves"]["step"]):
                return None
            curves.append(_numbers(other["domain_curves"][domain]))
        return [sum(values) / len(values) for values in zip(*curves, strict=True)]


def figures(run: Record, method: str) -> list[float]:
    """What a method that needs one run only goes by, at each checkpoint; NaN where it is not defined.

    Raises:
        ValueError: if the record lacks the curve of validation losses that the method goes by.
    """
    if method == VALIDATION_LOSS:
        return [-loss for loss in _losses(run)]
    return _numbers(run["curves"]["held_out" if method == ORACLE else "validation"])


def _numbers(values: Iterable[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _losses(run: Record) -> list[float]:
    found = (run.get("diagnostics") or {}).get(VALIDATION_LOSS_CURVE)
    if found is None or len(found) != len(run["curves"]["step"]):
        config = run["config"]
        raise ValueError(
            f"selection by {VALIDATION_LOSS} needs the validation loss at every checkpoint, which the record of "
            f"{config['algorithm']} on {config['dataset']}, held out {config['held_out']}, seed {config['seed']}, "
            f"point {config['point']} does not have: it was made by an earlier version; do the runs again, or choose "
            f"by {VALIDATION}"
        )
    return _numbers(found)


def has_losses(records: Iterable[Record]) -> bool:
    """Whether all finished runs can be chosen by their validation loss."""
    return all(
        VALIDATION_LOSS_CURVE in (record.get("diagnostics") or {})
        for record in records
        if record["status"] == "finished" and stands(record)
    )


def select(records: Iterable[Record], method: str = VALIDATION) -> Selected | None:
    """The best point among the finished runs of one algorithm, seed and held-out set; the lowest of equals.

    None if no run finished. Cross-validation needs other held-out sets as well: see `cross_validate`.

    Raises:
        ValueError: if the method needs more than these runs.
    """
    rule = Rule.named(method)
    if rule.crossed or rule.shared:
        raise ValueError(
            f"method must be one of {VALIDATION}, {VALIDATION_LOSS}, {LAST}, {ORACLE} for the runs of one seed and "
            f"held-out set, got {method!r}"
        )
    found = list(records)
    for config in (record["config"] for record in found[:1]):
        return Choices(found, [config["algorithm"]]).choose(rule, config["held_out"]).get(config["seed"])
    return None


def cross_validate(records: Iterable[Record], held_out: str) -> Selected | None:
    """Leave-one-domain-out validation among the runs of one data set, algorithm and seed; None if it cannot choose.

    Args:
        records: Runs with every held-out set.
        held_out: The set to report on, as records name it.
    """
    found = list(records)
    algorithms = dict.fromkeys(record["config"]["algorithm"] for record in found)
    chosen = Choices(found, list(algorithms)).choose(Rule(LEAVE_ONE_OUT), held_out)
    return next(iter(chosen.values()), None)


@dataclass(frozen=True)
class Winner:
    """What a rule chose for one data set, algorithm or family, held-out set and seed."""

    dataset: str
    algorithm: str
    held_out: str
    seed: int
    selected: Selected


def winners(records: Iterable[Record], rule: Rule, families: Families | None = None) -> Iterator[Winner]:
    """What a rule chooses wherever it can choose.

    Runs that cross-validation added, with one more domain held out, give choices of their own under the other methods.

    Args:
        records: Of any data sets and algorithms; refits and runs that were cut short are passed over.
        rule: Chooses.
        families: Further names to choose for, each the algorithms that are chosen among.

    Raises:
        ValueError: as `Choices.choose`.
    """
    by_dataset: dict[str, dict[str, list[Record]]] = {}
    for record in records:
        if stands(record):
            config = record["config"]
            by_dataset.setdefault(config["dataset"], {}).setdefault(config["algorithm"], []).append(record)
    for dataset, own in by_dataset.items():
        groups = {**{name: (name,) for name in own}, **(families or {})}
        for name, members in groups.items():
            of_group = [record for member in members for record in own.get(member, ())]
            table = Choices(of_group, members)
            for held_out in dict.fromkeys(record["config"]["held_out"] for record in of_group):
                for seed, selected in table.choose(rule, held_out).items():
                    yield Winner(dataset, name, held_out, seed, selected)


def select_all(
    records: Iterable[Record], method: str = VALIDATION, families: Families | None = None
) -> list[dict[str, Any]]:
    """What the rule of this name chose for each data set, algorithm (or family), held-out set and seed.

    Both figures come from here: ``held_out_accuracy`` is that of the chosen checkpoint, ``refit_accuracy`` that of the
    run which trained the same choice again on training and validation parts, None where there is none.

    Returns:
        Rows with ``dataset``, ``algorithm``, ``held_out``, ``seed``, ``method``, ``oracle``, ``chosen`` (the algorithm:
        of a family one of its own), ``point``, ``step``, ``validation_accuracy`` (what the choice went by),
        ``held_out_accuracy`` and ``refit_accuracy``.

    Raises:
        ValueError: if there is no such rule, and as `Choices.choose`.
    """
    rule, kept = Rule.named(method), list(records)
    refits = Refits(kept)
    rows = []
    for winner in winners(kept, rule, families):
        found, config = winner.selected, winner.selected.run["config"]
        rows.append(
            {
                "dataset": winner.dataset,
                "algorithm": winner.algorithm,
                "held_out": winner.held_out,
                "seed": winner.seed,
                "method": rule.name,
                "oracle": rule.method == ORACLE,
                "chosen": config["algorithm"],
                "point": found.point,
                "step": found.step,
                "validation_accuracy": found.validation,
                "held_out_accuracy": found.held_out,
                "refit_accuracy": refits.accuracy(config, found.number),
            }
        )
    return rows


class Refits:
    """The runs that trained a choice again, by the choice.

    Args:
        records: Others than refits are passed over.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        found = ((record["config"], record) for record in records if is_refit(record))
        self._runs = {_refit_place(config, config["refit"]): record for config, record in found}

    def __bool__(self) -> bool:
        return bool(self._runs)

    def accuracy(self, config: Mapping[str, Any], number: int) -> float | None:
        """Of the run that trained again what a run had learnt at a checkpoint; None if there is none that finished.

        Args:
            config: Of the run that was chosen.
            number: Of the checkpoint.
        """
        if not self._runs:  # runs of other programs do not say how long a roll-out is
            return None
        again = self._runs.get(_refit_place(config, rollouts_until(config, number)))
        if again is None or again["status"] != "finished":
            return None
        accuracy: float | None = again["curves"]["held_out"][-1]
        return accuracy


def _refit_place(config: Mapping[str, Any], rollouts: int) -> tuple[Any, ...]:
    return *(config[name] for name in ("dataset", "algorithm", "held_out", "seed", "point")), rollouts


def rollouts_until(config: Mapping[str, Any], number: int) -> int:
    """Roll-outs until a checkpoint of a run.

    Example:
        >>> [rollouts_until({"rollouts": 50, "evaluate_every": 20}, number) for number in range(3)]
        [20, 40, 50]
    """
    return int(min((number + 1) * config["evaluate_every"], config["rollouts"]))
