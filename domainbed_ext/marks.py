"""Stars in DomainBed's tables, on averages over fewer domains than the data set has, which it prints like whole ones.

Its script groups the records once for each method of selection, scores each group (a trial, an algorithm, a test
domain), and prints a table for each data set and one of averages. That is looked at from outside; a group without a
score is a gap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Marks"]

Cell = tuple[str, str]  # a data set and an algorithm


class Marks:
    """Looks on while the script runs.

    Args:
        reporting: DomainBed's module, whose grouping is looked at.
        misc: its module that prints rows of tables.
        datasets: its data sets.
    """

    def __init__(self, reporting: Any, misc: Any, datasets: Any) -> None:
        self.reporting, self.misc, self.datasets = reporting, misc, datasets
        self.groups: list[dict[str, Any]] = []
        self.scores: dict[Cell, set[tuple[int, int]]] = defaultdict(set)  # trial and domain
        self.tables = 0
        self.method = ""
        self.gaps: dict[tuple[str, Cell], str] = {}
        self.latex = False

    @contextmanager
    def made(self, model_selection: Any) -> Iterator[None]:
        """Inside, averages over fewer domains get a star."""
        base = model_selection.SelectionMethod
        kept = self.reporting.get_grouped_records, base.sweep_acc, self.misc.print_row
        group, score, print_row = kept[0], base.sweep_acc.__func__, kept[2]

        def get_grouped_records(records: Any) -> Any:
            found = group(records)
            self.groups, self.tables = list(found), 0
            self.scores.clear()
            return found

        def sweep_acc(method: Any, records: Any) -> Any:
            found = score(method, records)
            self.method = method.name
            if found is not None:
                of = next(each for each in self.groups if each["records"] is records)
                self.scores[of["dataset"], of["algorithm"]].add((of["trial_seed"], of["test_env"]))
            return found

        def row(cells: list[Any], colwidth: int = 10, latex: bool = False) -> None:
            self.latex = latex
            print_row(self._marked(list(cells)), colwidth=colwidth, latex=latex)

        self.reporting.get_grouped_records, base.sweep_acc, self.misc.print_row = (
            get_grouped_records,
            classmethod(sweep_acc),
            row,
        )
        try:
            yield
        finally:
            self.reporting.get_grouped_records, self.misc.print_row = kept[0], kept[2]
            base.sweep_acc = classmethod(score)

    def explain(self) -> None:
        """What the stars stand for, after the tables."""
        if self.gaps:
            lines = ["* over fewer domains than the data set has, so that these are not comparable with whole ones:"]
            lines += [f"  {method}: {cell[0]}, {cell[1]}: {text}" for (method, cell), text in self.gaps.items()]
            print("\n" + "\n".join(f"% {line}" if self.latex else line for line in lines))

    def _marked(self, cells: list[Any]) -> list[Any]:
        if "Algorithm" in str(cells[0]):
            self.tables += 1
            return cells
        names = self._names()
        if self.tables <= len(names):  # of a data set: its domains, and their average
            if self._gap(names[self.tables - 1], cells[0]):
                cells[-1] = self._star(cells[-1])
            return cells
        gaps = [self._gap(name, cells[0]) for name in names]
        cells[1:-1] = [self._star(cell) if gap else cell for cell, gap in zip(cells[1:-1], gaps, strict=True)]
        if any(gaps):
            cells[-1] = self._star(cells[-1])
        return cells

    def _names(self) -> list[str]:
        """The data sets in the order of the tables."""
        found = {group["dataset"] for group in self.groups}
        return [name for name in self.datasets.DATASETS if name in found]

    def _gap(self, dataset: str, algorithm: str) -> str:
        """Which domains are missing in which trial; empty for none, or if there is no score at all."""
        there = self.scores.get((dataset, algorithm), set())
        names = self.datasets.get_dataset_class(dataset).ENVIRONMENTS
        texts = []
        for trial in sorted({trial for trial, _ in there}):
            lacking = [name for env, name in enumerate(names) if (trial, env) not in there]
            if lacking:
                texts.append(f"trial {trial} lacks {', '.join(lacking)}")
        text = "; ".join(texts)
        if text:
            self.gaps[self.method, (dataset, algorithm)] = text
        return text

    def _star(self, cell: Any) -> Any:
        return cell if cell == "X" else f"{cell} $^*$" if self.latex else f"{cell} *"
