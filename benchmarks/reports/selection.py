"""What a report compares: the choice of the selection method, as matrices ``[seeds, held-out sets]``."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.algorithms import BASELINE, CONTROL
from benchmarks.base.errors import unknown
from benchmarks.base.metrics import Estimate, Matrix, columns, seed_averages
from benchmarks.base.records import held_out_domains
from benchmarks.reports import names, requested
from benchmarks.reports.choice import Choice, choose
from benchmarks.reports.load import Run
from benchmarks.reports.names import Scale
from benchmarks.runs.rules import METHODS, VALIDATION, VALIDATION_LOSS, Rule
from benchmarks.runs.selection import has_losses, is_cut, is_refit, stands
from benchmarks.sweeps.edges import Edge, edges_of


@dataclass(frozen=True)
class Selection:
    """The records and the question.

    Attributes:
        records: Of the runs to report on; without those that only cross-validation needs.
        method: Of selection.
        baselines: The algorithms that the others are compared with.
        inner: The records that were only made for cross-validation.
        refits: The records of choices that were trained again on training and validation parts.
        families: Names that stand for the best of some algorithms, as the method chooses among them.
        confirmatory: Pairs of names, which the sweeps were made to compare; some may have no runs.
        shared: Rules that make one choice for all seeds, of those that the sweeps name.
        refitted: Whether scores are those of `refits`, and not of the chosen checkpoints.
        cut: The records of runs that were cut short, to see which points go on; nothing is chosen among them.
    """

    records: list[Run]
    method: str
    baselines: tuple[str, ...]
    inner: list[Run] = field(default_factory=list)
    refits: list[Run] = field(default_factory=list)
    cut: list[Run] = field(default_factory=list)
    families: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    confirmatory: tuple[tuple[str, str], ...] = ()
    refitted: bool = False
    shared: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        records: Sequence[Run],
        method: str = VALIDATION,
        baselines: Sequence[str] = (),
        held_out: Sequence[str] = (),
        sweeps: Sequence[Mapping[str, Any]] = (),
        refitted: bool = False,
    ) -> Selection:
        """Sorts the records.

        Reported are the held-out sets that `held_out` names (domains joined by +). Without names: those that the
        `sweeps` (configurations) ask for; on data sets of which none is known, all but those that contain another one,
        which were made for cross-validation. Families are those of the `sweeps`, where they have runs, and confirmatory
        comparisons all of theirs.

        Raises:
            ValueError: if the method, a baseline or a held-out set is not known, or if nothing was trained again and
                scores of that are asked for.
        """
        try:
            method = Rule.named(method).name
        except ValueError as error:
            raise ValueError(f"selection: {error}") from None
        refits = [record for record in records if is_refit(record)]
        cut = [record for record in records if is_cut(record)]
        records = [record for record in records if stands(record)]
        algorithms = list(dict.fromkeys(record["config"]["algorithm"] for record in records))
        families = requested.families(sweeps, algorithms)
        for name in baselines:
            if name not in (*algorithms, *families):
                raise ValueError(f"baseline: {unknown(name, [*algorithms, *families])}")
        if refitted and not refits:
            raise ValueError("refit: no run trained a choice again; make the sweep with refit: true")
        chosen = tuple(dict.fromkeys(baselines)) or tuple(name for name in (BASELINE, CONTROL) if name in algorithms)
        chosen = chosen or tuple(algorithms[:1])
        outer, inner = requested.parted(records, held_out, sweeps)
        pairs, shared = requested.confirmatory(sweeps), requested.shared(sweeps)
        return cls(outer, method, chosen, inner, refits, cut, families, pairs, refitted, shared)

    @cached_property
    def datasets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(record["config"]["dataset"] for record in self.records))

    @cached_property
    def algorithms(self) -> tuple[str, ...]:
        """Baselines first, then as the records have them, then families."""
        names = dict.fromkeys((*(record["config"]["algorithm"] for record in self.records), *self.families))
        return (
            *(name for name in self.baselines if name in names),
            *(name for name in names if name not in self.baselines),
        )

    @cached_property
    def constants(self) -> dict[str, Any]:
        """What `benchmarks.reports.constant` found out about each data set."""
        return {}

    def algorithms_on(self, dataset: str) -> tuple[str, ...]:
        """Those that have runs on a data set."""
        return self._sets[dataset].algorithms if dataset in self._sets else ()

    def of_dataset(self, dataset: str) -> list[Run]:
        """The records of a data set."""
        return self._sets[dataset].records if dataset in self._sets else []

    def cut_of(self, dataset: str, algorithm: str) -> list[Run]:
        """The records of an algorithm on a data set that were cut short."""
        place = {"dataset": dataset, "algorithm": algorithm}
        return [run for run in self.cut if all(run["config"][name] == value for name, value in place.items())]

    def of_algorithm(self, dataset: str, algorithm: str) -> list[Run]:
        """The records of an algorithm on a data set."""
        return self._sets[dataset].by_algorithm[algorithm] if dataset in self._sets else []

    @cached_property
    def _sets(self) -> dict[str, _Set]:
        """What is asked for again and again."""
        sets: dict[str, list[Run]] = {}
        for record in self.records:
            sets.setdefault(record["config"]["dataset"], []).append(record)
        return {dataset: _Set.of(dataset, records, self.algorithms, self.families) for dataset, records in sets.items()}

    @property
    def everything(self) -> Iterator[Run]:
        """Reported runs, those of cross-validation, refits, and those that were cut short."""
        return itertools.chain(self.records, self.inner, self.refits, self.cut)

    @cached_property
    def failed(self) -> list[Run]:
        """Failed runs, those of cross-validation, refits and short ones too."""
        return [record for record in self.everything if record["status"] == "failed"]

    @cached_property
    def diverged(self) -> list[Run]:
        """Runs whose result is that they diverged, those of cross-validation, refits and short ones too."""
        return [record for record in self.everything if record["status"] == "diverged"]

    def held_out(self, dataset: str) -> tuple[str, ...]:
        """The held-out sets, in the order of the domains where it is known, else of the records."""
        return self._sets[dataset].held_out

    def seeds(self, dataset: str) -> tuple[int, ...]:
        """All seeds that any algorithm has runs of."""
        return self._sets[dataset].seeds

    def scale(self, dataset: str) -> Scale:
        """Percent for what is a share, the plain figure for the rest."""
        return self._sets[dataset].scale

    def whole(self, dataset: str) -> float:
        """What scores cannot exceed (or fall below zero): 100 of a share in %, 0 where there is no such bound."""
        return 100.0 if self.scale(dataset).label.endswith("%") else 0.0

    def choices(self, method: str) -> dict[tuple[str, str], list[Choice]]:
        """What a method chose, by data set and algorithm: one for each held-out set and seed that it could choose for.

        Raises:
            ValueError: if the method is not known.
        """
        if method not in self._choices:
            self._choices[method] = choose(self.records, self.inner, method, self.refits, self.families)
        return self._choices[method]

    @cached_property
    def _choices(self) -> dict[str, dict[tuple[str, str], list[Choice]]]:
        return {}

    def selected_by(self, method: str) -> pd.DataFrame:
        """One row for each data set, algorithm, held-out set and seed that the method could choose for."""
        rows = [choice.row(method) for own in self.choices(method).values() for choice in own]
        columns = ["dataset", "algorithm", "held_out", "seed", "method", "oracle", "point", "step"]
        figures = ["validation_accuracy", "held_out_accuracy", "refit_accuracy"]
        return pd.DataFrame(rows, columns=[*columns, *figures])

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """The rules that can choose among the records: each method for every seed by itself, then what sweeps share."""
        possible = [
            name
            for name in (*METHODS, *self.shared)
            for rule in [Rule.named(name)]
            if (self.inner or not rule.crossed)
            and (rule.method != VALIDATION_LOSS or has_losses((*self.records, *self.inner)))
        ]
        return tuple(possible)

    @cached_property
    def selected(self) -> pd.DataFrame:
        """What the method of the report chose."""
        return self.selected_by(self.method)

    def chosen_runs(self, dataset: str, algorithm: str) -> list[tuple[Choice, Run]]:
        """What the method of the report chose, each with the record of its run."""
        return [(choice, choice.run) for choice in self.choices(self.method).get((dataset, algorithm), ())]

    @cached_property
    def edges(self) -> list[Edge]:
        """The learning rates whose best value, by the method of the report, is at the end of what was tried."""
        found = self.choices(self.method).items()
        chosen = [choice for (_, name), own in found if name not in self.families for choice in own]
        return edges_of((*self.records, *self.inner), [choice.run["config"] for choice in chosen])

    def scores(self, dataset: str, algorithm: str, column: str = "") -> Matrix:
        """``[seeds, held-out sets]``, scaled; NaN where no run finished."""
        return self.matrix(self.method, dataset, algorithm, column)

    def matrix(self, method: str, dataset: str, algorithm: str, column: str = "") -> Matrix:
        """The same by another method."""
        column = column or ("refit_accuracy" if self.refitted else "held_out_accuracy")
        known = self._matrices.get((method, dataset, algorithm, column))
        if known is None:
            seeds, sets = self._sets[dataset].places
            known = np.full((len(seeds), len(sets)), np.nan)
            for choice in self.choices(method).get((dataset, algorithm), ()):
                known[seeds[choice.seed], sets[choice.held_out]] = getattr(choice, column)
            known *= self.scale(dataset).factor
            known.flags.writeable = False  # all who ask get the same
            self._matrices[method, dataset, algorithm, column] = known
        return known

    @cached_property
    def _matrices(self) -> dict[tuple[str, str, str, str], Matrix]:
        return {}

    def measures(self, dataset: str) -> tuple[str, ...]:
        """The other figures of merit that the records of a data set hold."""
        return self._sets[dataset].measures

    def measured(self, dataset: str, algorithm: str, measure: str) -> Matrix:
        """``[seeds, held-out sets]``, %: another figure of merit, of what the method chose by the metric.

        NaN where it was not taken.
        """
        seeds, sets = self._sets[dataset].places
        values = np.full((len(seeds), len(sets)), np.nan)
        for choice, record in self.chosen_runs(dataset, algorithm):
            curves = (record.get("measures") or {}).get(measure)
            if curves is None:
                continue
            at = record["curves"]["step"].index(choice.step)
            found = [curves[name][at] for name in held_out_domains(choice.held_out)]
            if None not in found:  # a figure may not be defined on a domain
                values[seeds[choice.seed], sets[choice.held_out]] = 100.0 * sum(found) / len(found)
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
    scale: Scale
    measures: tuple[str, ...]
    by_algorithm: dict[str, list[Run]]

    @cached_property
    def places(self) -> tuple[dict[int, int], dict[str, int]]:
        """Of seeds and held-out sets in a matrix."""
        return {seed: i for i, seed in enumerate(self.seeds)}, {name: i for i, name in enumerate(self.held_out)}

    @classmethod
    def of(
        cls, dataset: str, records: list[Run], algorithms: Sequence[str], families: Mapping[str, Sequence[str]]
    ) -> _Set:
        present: dict[str, list[Run]] = {}
        for record in records:
            present.setdefault(record["config"]["algorithm"], []).append(record)
        for family, members in families.items():
            own = [record for member in members for record in present.get(member, ())]
            if own:
                present[family] = own
        held_out = list(dict.fromkeys(record["config"]["held_out"] for record in records))
        order = names.domain_order(dataset)
        held_out.sort(key=lambda one: [order.get(name, len(order)) for name in held_out_domains(one)])
        return cls(
            records=records,
            algorithms=tuple(name for name in algorithms if name in present),
            held_out=tuple(held_out),
            seeds=tuple(sorted({record["config"]["seed"] for record in records})),
            scale=names.scale(dataset, records),
            measures=tuple(dict.fromkeys(name for record in records for name in record.get("measures") or ())),
            by_algorithm=present,
        )


def differences(ours: Matrix, theirs: Matrix) -> Matrix:
    """``[n]``: the difference of every common seed, averaged over the held-out sets."""
    return seed_averages(ours - theirs)
