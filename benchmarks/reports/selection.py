"""What a report compares: the choice of the selection method, as matrices ``[seeds, held-out sets]``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.algorithms import BASELINE, CONTROL
from benchmarks.base.errors import unknown
from benchmarks.base.metrics import Estimate, Matrix, columns, seed_averages
from benchmarks.base.records import held_out_domains
from benchmarks.reports import names
from benchmarks.reports.load import Run
from benchmarks.reports.names import Scale
from benchmarks.runs.rules import METHODS, VALIDATION, VALIDATION_LOSS, Rule
from benchmarks.runs.selection import has_losses, is_refit, select_all


@dataclass(frozen=True)
class Selection:
    """The records and the question.

    Attributes:
        records: Of the runs to report on; without those that only cross-validation needs.
        method: Of selection.
        baselines: The algorithms that the others are compared with.
        inner: The records that were only made for cross-validation.
        refits: The records of choices that were trained again on training and validation parts.
    """

    records: list[Run]
    method: str
    baselines: tuple[str, ...]
    inner: list[Run] = field(default_factory=list)
    refits: list[Run] = field(default_factory=list)

    @classmethod
    def of(cls, records: Sequence[Run], method: str = VALIDATION, baselines: Sequence[str] = ()) -> Selection:
        """Sorts the records.

        A held-out set that contains another one of the same data set was made for cross-validation: it is not reported.

        Raises:
            ValueError: if the method or a baseline is not known.
        """
        try:
            method = Rule.named(method).name
        except ValueError as error:
            raise ValueError(f"selection: {error}") from None
        refits = [record for record in records if is_refit(record)]
        records = [record for record in records if not is_refit(record)]
        algorithms = list(dict.fromkeys(record["config"]["algorithm"] for record in records))
        for name in baselines:
            if name not in algorithms:
                raise ValueError(f"baseline: {unknown(name, algorithms)}")
        chosen = tuple(dict.fromkeys(baselines)) or tuple(name for name in (BASELINE, CONTROL) if name in algorithms)
        sets: dict[str, set[frozenset[str]]] = {}
        for record in records:
            sets.setdefault(record["config"]["dataset"], set()).add(_held_out(record))
        outer: list[Run] = []
        inner: list[Run] = []
        for record in records:
            own = _held_out(record)
            contains = any(other < own for other in sets[record["config"]["dataset"]])
            (inner if contains else outer).append(record)
        return cls(outer, method, chosen or tuple(algorithms[:1]), inner, refits)

    @cached_property
    def datasets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(record["config"]["dataset"] for record in self.records))

    @cached_property
    def algorithms(self) -> tuple[str, ...]:
        """Baselines first, then as the records have them."""
        names = dict.fromkeys(record["config"]["algorithm"] for record in self.records)
        return (
            *(name for name in self.baselines if name in names),
            *(name for name in names if name not in self.baselines),
        )

    def algorithms_on(self, dataset: str) -> tuple[str, ...]:
        """Those that have runs on a data set."""
        return self._sets[dataset].algorithms if dataset in self._sets else ()

    def of_dataset(self, dataset: str) -> list[Run]:
        """The records of a data set."""
        return self._sets[dataset].records if dataset in self._sets else []

    @cached_property
    def _sets(self) -> dict[str, _Set]:
        """What is asked for again and again."""
        sets: dict[str, list[Run]] = {}
        for record in self.records:
            sets.setdefault(record["config"]["dataset"], []).append(record)
        return {dataset: _Set.of(dataset, records, self.algorithms) for dataset, records in sets.items()}

    @cached_property
    def failed(self) -> list[Run]:
        """Failed runs, those of cross-validation and refits too."""
        return [record for record in (*self.records, *self.inner, *self.refits) if record["status"] == "failed"]

    def held_out(self, dataset: str) -> tuple[str, ...]:
        """The held-out sets, in the order of the domains where it is known, else of the records."""
        return self._sets[dataset].held_out

    def seeds(self, dataset: str) -> tuple[int, ...]:
        """All seeds that any algorithm has runs of."""
        return self._sets[dataset].seeds

    def scale(self, dataset: str) -> Scale:
        """Percent for what is a share, the plain figure for the rest."""
        return names.scale(dataset, self.of_dataset(dataset))

    def selected_by(self, method: str) -> pd.DataFrame:
        """One row for each data set, algorithm, held-out set and seed that the method could choose for."""
        records = [*self.records, *self.inner] if Rule.named(method).crossed else self.records
        columns = ["dataset", "algorithm", "held_out", "seed", "method", "oracle", "chosen", "point", "step"]
        figures = ["validation_accuracy", "held_out_accuracy", "refit_accuracy"]
        frame = pd.DataFrame(select_all([*records, *self.refits], method), columns=[*columns, *figures])
        reported = {(record["config"]["dataset"], record["config"]["held_out"]) for record in self.records}
        keep = [pair in reported for pair in zip(frame["dataset"], frame["held_out"], strict=True)]
        return frame.loc[np.array(keep, dtype=bool)].reset_index(drop=True)

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """The methods that can choose among the records, each seed by itself."""
        possible = [
            name
            for name in METHODS
            if (self.inner or not Rule.named(name).crossed)
            and (name != VALIDATION_LOSS or has_losses((*self.records, *self.inner)))
        ]
        return tuple(possible)

    @cached_property
    def selected(self) -> pd.DataFrame:
        """What the method of the report chose."""
        return self.selected_by(self.method)

    @cached_property
    def _by_place(self) -> dict[tuple[Any, ...], Run]:
        names = ("dataset", "algorithm", "held_out", "seed", "point")
        return {tuple(record["config"][name] for name in names): record for record in self.records}

    def chosen_runs(self, dataset: str, algorithm: str) -> list[tuple[Any, Run]]:
        """The rows of `selected`, each with the record of its run."""
        rows = self.selected[(self.selected["dataset"] == dataset) & (self.selected["algorithm"] == algorithm)]
        return [
            (row, self._by_place[row.dataset, row.algorithm, row.held_out, row.seed, row.point])
            for row in rows.itertuples()
        ]

    def scores(self, dataset: str, algorithm: str, column: str = "held_out_accuracy") -> Matrix:
        """``[seeds, held-out sets]``, scaled; NaN where no run finished."""
        return self.matrix(self.selected, dataset, algorithm, column)

    def matrix(self, selected: pd.DataFrame, dataset: str, algorithm: str, column: str = "held_out_accuracy") -> Matrix:
        """The same for another selection."""
        rows = selected[(selected["dataset"] == dataset) & (selected["algorithm"] == algorithm)]
        table = rows.pivot_table(index="seed", columns="held_out", values=column)
        table = table.reindex(index=list(self.seeds(dataset)), columns=list(self.held_out(dataset)))
        return self.scale(dataset).factor * np.asarray(table, dtype=np.float64)

    def measures(self, dataset: str) -> tuple[str, ...]:
        """The other figures of merit that the records of a data set hold."""
        return tuple(
            dict.fromkeys(name for record in self.of_dataset(dataset) for name in record.get("measures") or ())
        )

    def measured(self, dataset: str, algorithm: str, measure: str) -> Matrix:
        """``[seeds, held-out sets]``, %: another figure of merit, of what the method chose by the metric.

        NaN where it was not taken.
        """
        seeds, sets = self.seeds(dataset), self.held_out(dataset)
        values = np.full((len(seeds), len(sets)), np.nan)
        for row, record in self.chosen_runs(dataset, algorithm):
            curves = (record.get("measures") or {}).get(measure)
            if curves is None:
                continue
            at = record["curves"]["step"].index(row.step)
            found = [curves[name][at] for name in held_out_domains(row.held_out)]
            if None not in found:  # a figure may not be defined on a domain
                values[seeds.index(row.seed), sets.index(row.held_out)] = 100.0 * sum(found) / len(found)
        return values

    def common(self, dataset: str, algorithm: str, baseline: str) -> tuple[Matrix, Matrix]:
        """The rows of both matrices whose seeds are complete on both sides."""
        ours, theirs = self.scores(dataset, algorithm), self.scores(dataset, baseline)
        whole = ~np.isnan(ours + theirs).any(axis=1)
        return ours[whole], theirs[whole]

    def by_domain(self, dataset: str, algorithm: str) -> dict[str, Estimate]:
        """The mean over seeds on each held-out set."""
        return columns(self.held_out(dataset), self.scores(dataset, algorithm))

    def rivals(self, dataset: str, baseline: str) -> tuple[str, ...]:
        """The algorithms to compare with a baseline: without the baselines before it, which it was compared with."""
        present = self.algorithms_on(dataset)
        done = self.baselines[: self.baselines.index(baseline) + 1]
        return tuple(name for name in present if name not in done) if baseline in present else ()


@dataclass(frozen=True)
class _Set:
    """The records of one data set, and what occurs in them."""

    records: list[Run]
    algorithms: tuple[str, ...]
    held_out: tuple[str, ...]
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, dataset: str, records: list[Run], algorithms: Sequence[str]) -> _Set:
        present = {record["config"]["algorithm"] for record in records}
        held_out = list(dict.fromkeys(record["config"]["held_out"] for record in records))
        order = names.domain_order(dataset)
        held_out.sort(key=lambda one: [order.get(name, len(order)) for name in held_out_domains(one)])
        return cls(
            records=records,
            algorithms=tuple(name for name in algorithms if name in present),
            held_out=tuple(held_out),
            seeds=tuple(sorted({record["config"]["seed"] for record in records})),
        )


def differences(ours: Matrix, theirs: Matrix) -> Matrix:
    """``[n]``: the difference of every common seed, averaged over the held-out sets."""
    return seed_averages(ours - theirs)


def _held_out(record: Run) -> frozenset[str]:
    return frozenset(held_out_domains(record["config"]["held_out"]))
