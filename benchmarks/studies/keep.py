"""Keeps the records of a sweep file beside it, compressed, with what choices by the file's rules need.

    python -m benchmarks.studies.keep runs/tuned benchmarks/studies/comparison/tuned.yaml rotated-digits
    python -m benchmarks.studies.keep runs/rules benchmarks/studies/comparison/rules.yaml rotated-digits --points 18
    python -m benchmarks.studies.keep runs/decisions benchmarks/studies/decisions/history.yaml --measures

Every run that the file asks for must be there, those of its later stages (widened, trained again) too.

Curves are most of what the records weigh, and the sweep's command makes them again. So a checkpoint that no rule can
choose has None for a figure, as has a figure that no rule goes by; losses have as few digits as leave every choice
what it is. (Scores are not rounded: which of two is higher may hang on their last digit.) Of a run that was trained
again its end is kept. Other figures of merit than the data set's own, and those of single training domains, are kept
on demand.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import cyclopts

from benchmarks.base.records import ASKED, VALIDATION_LOSS_CURVE, Record, held_out_domains
from benchmarks.reports.load import Run
from benchmarks.runs.rules import LAST, ORACLE, Rule
from benchmarks.runs.selection import figures, first_best, is_refit, select_all
from benchmarks.studies.sweep_files import of_sweep, sweep_of
from benchmarks.sweeps.store.transfer import write_lines

DIGITS = range(6, 18)
"""Fewest first; a number of double precision is told by the last."""

Curve = Sequence[float | None]


@dataclass(frozen=True)
class Asked:
    """What the rules of a sweep file ask of the records of a rung.

    Attributes:
        rules: Names; what cheats is always among them.
        outside: The held-out sets that are reported on, by data set; more domains are held out for cross-validation
            alone.
        measures: Whether other figures of merit and those of single training domains are asked for as well.
    """

    rules: tuple[str, ...]
    outside: frozenset[tuple[str, frozenset[str]]]
    measures: bool = False

    @classmethod
    def of(cls, records: Sequence[Run], rules: Sequence[str], measures: bool = False) -> Asked:
        """Of the smallest held-out sets of every data set."""
        sets = {_place(record["config"]) for record in records}
        smallest = frozenset(
            (of, each) for of, each in sets if not any(own == of and less < each for own, less in sets)
        )
        return cls(tuple(dict.fromkeys((*rules, ORACLE))), smallest, measures)

    @cached_property
    def single(self) -> bool:
        """Whether every rule looks at one run alone, so that only its best checkpoints can be chosen."""
        return not any(rule.shared or rule.crossed for rule in map(Rule.named, self.rules))

    def short(self, record: Mapping[str, Any], digits: int) -> Run:
        """The record with what is asked.

        Example:
            >>> curves = {"step": [9, 18], "loss": [0.69, 0.61], "validation": [0.25, 0.75], "held_out": [0.1, 0.2]}
            >>> domain_curves = {"a": [0.25, 0.75], "b": [0.1, 0.2]}
            >>> diagnostics = {"validation loss": [0.70368086, 0.69273401]}
            >>> timings = {"wall_seconds": 0.12345, "cpu_seconds": 0.12345}
            >>> record = {
            ...     "config": {"dataset": "d", "held_out": "b"},
            ...     "status": "finished",
            ...     "curves": curves,
            ...     "attempts": [],
            ...     "domain_curves": domain_curves,
            ...     "diagnostics": diagnostics,
            ...     "timings": timings,
            ... }
            >>> found = Asked.of([record], ["validation"]).short(record, digits=3)
            >>> found["curves"]
            {'step': [9, 18], 'loss': [None, 0.61], 'validation': [None, 0.75], 'held_out': [None, 0.2]}
            >>> found["domain_curves"], found["diagnostics"]
            ({'a': [None, None], 'b': [None, 0.2]}, {'validation loss': [None, 0.693]})
        """
        kept = {**record, "timings": _short(record["timings"])}
        kept["attempts"] = [_short(each) for each in record["attempts"]]
        kept.pop("selections", None)
        kept.pop("selection", None)
        curves = record.get("curves")
        if not curves:
            return kept
        place, again = _place(record["config"]), is_refit(record)
        crossed = place not in self.outside
        places = self._places(record) if record["status"] == "finished" else range(len(curves["step"]))

        def part(values: Curve, needed: bool = True) -> list[float | None]:
            found = [value if needed and i in places else None for i, value in enumerate(values)]
            return found[-1:] if again else found

        kept["curves"] = {
            "step": curves["step"][-1:] if again else curves["step"],
            "loss": part([_rounded(value, 3) for value in curves["loss"]], not crossed),
            "validation": part(curves["validation"], not crossed),
            "held_out": part(curves["held_out"], not crossed),
        }
        domains, measures = record.get("domain_curves") or {}, record.get("measures") or {}
        kept["domain_curves"] = {name: part(own, self.measures or name in place[1]) for name, own in domains.items()}
        of_measures = measures.items() if self.measures else ()
        kept["measures"] = {name: {domain: part(own) for domain, own in each.items()} for name, each in of_measures}
        diagnostics = dict(record.get("diagnostics") or {})
        diagnostics.pop(ASKED, None)
        if VALIDATION_LOSS_CURVE in diagnostics:
            losses = [_rounded(value, digits) for value in diagnostics[VALIDATION_LOSS_CURVE]]
            diagnostics[VALIDATION_LOSS_CURVE] = part(losses, not crossed)
        kept["diagnostics"] = diagnostics
        return kept

    def _places(self, record: Mapping[str, Any]) -> Collection[int]:
        """The checkpoints that can be chosen."""
        last = len(record["curves"]["step"]) - 1
        if is_refit(record):
            return {last}
        if not self.single:
            return range(last + 1)
        found = {last}
        for rule in map(Rule.named, self.rules):
            if rule.method != LAST:
                found.add(first_best(figures(record, rule.method)))
        return found


def _place(config: Mapping[str, Any]) -> tuple[str, frozenset[str]]:
    return config["dataset"], frozenset(held_out_domains(config["held_out"]))


def _rounded(value: float | None, digits: int) -> float | None:
    return value if value is None or not math.isfinite(value) else float(f"{value:.{digits}g}")


def _short(values: Mapping[str, Any]) -> dict[str, Any]:
    """Lengths of time in hundredths, points in time in whole seconds."""
    digits = {"started": 0, "ended": 0}
    return {
        name: round(value, digits.get(name, 2)) if isinstance(value, float) else value for name, value in values.items()
    }


def _chosen(records: Sequence[Run], asked: Asked, families: Mapping[str, Sequence[str]]) -> list[tuple[Any, ...]]:
    columns = ("dataset", "algorithm", "held_out", "seed", "method", "chosen", "point", "step", "refit_accuracy")
    return [
        tuple(row[name] for name in columns)
        for rule in asked.rules
        for row in select_all(records, rule, families)
        if _place(row) in asked.outside
    ]


def keep(
    records: Sequence[Run],
    path: Path,
    rules: Sequence[str],
    families: Mapping[str, Sequence[str]] | None = None,
    measures: bool = False,
) -> int:
    """Writes the short records and returns the number of digits.

    Args:
        records: Of one sweep file.
        path: The file.
        rules: Of selection, that are asked.
        families: Among whose algorithms is chosen as well.
        measures: Whether all figures of merit are kept, and those of single training domains.
    """
    asked = Asked.of(records, rules, measures)
    choices = _chosen(records, asked, families or {})
    for digits in DIGITS:
        kept = [asked.short(record, digits) for record in records]
        if _chosen(kept, asked, families or {}) == choices:
            break
    write_lines(cast(Sequence[Record], kept), path)
    return digits


def main(
    source: str,
    file: Path,
    *rungs: str,
    points: int | None = None,
    algorithms: Sequence[str] = (),
    measures: bool = False,
) -> None:
    """Keep what a sweep file asked for.

    Parameters
    ----------
    source:
        Folder of the sweep.
    file:
        The sweep file.
    rungs:
        Data sets, each of which gets a file of records of its own; without them all those of the sweep file get one.
    points:
        As the sweep was given them, where not those of the file.
    algorithms:
        The same.
    measures:
        Keep all figures of merit, and those of single training domains.
    """
    try:
        sweep = sweep_of(file, rungs, points=points, algorithms=tuple(algorithms))
        records = of_sweep(sweep, source)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    folder = file.parent / "records"
    paths = {folder / file.stem / f"{rung}.jsonl.xz": [rung] for rung in rungs} or {
        folder / f"{file.stem}.jsonl.xz": list(sweep.datasets)
    }
    for path, names in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        own = [record for record in records if record["config"]["dataset"] in names]
        digits = keep(own, path, sweep.selection, sweep.families, measures)
        print(f"{len(own)} records, losses of {digits} digits, in {path}, {path.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    cyclopts.run(main)
