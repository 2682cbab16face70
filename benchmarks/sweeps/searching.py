"""The runs of a search that follow from the results of its earlier ones: proposed points, and runs that go on.

Every held-out set is searched by itself, for every algorithm and seed (or for all seeds together, with
``share_points``), by its own training domains alone: a point goes by the figure of the sweep's first rule that could be
followed in practice. Nothing is kept but the records: a round begins when the one before it has ended, a run of a round
that is there says what its point is, and a sweep that was killed and is begun again asks Optuna the same question.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.base.records import has_diverged, held_out_domains
from benchmarks.base.search import Choice, Distribution, Grid, LogUniform, Space
from benchmarks.base.seeds import seed_from
from benchmarks.runs.config import RunConfig
from benchmarks.runs.rules import LAST
from benchmarks.runs.selection import figures, is_refit
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.sampling import Told, going_on, proposals
from benchmarks.sweeps.search import Round

Record = Mapping[str, Any]
_Place = tuple[str, str, frozenset[str], int, int, int]
"""Data set, algorithm, held-out set, seed, point, roll-outs."""


def searched(sweep: SweepConfig, records: Iterable[Record]) -> list[RunConfig]:
    """The runs that are next in the search on every data set, those of them that are done too; empty after its end.

    Args:
        sweep: The whole.
        records: Of all runs of the search that have ended; others are passed over.
    """
    if not sweep.search.in_rounds:
        return []
    known = {_place(record): record for record in records if not is_refit(record)}
    return [run for dataset in sweep.datasets for run in _of_dataset(sweep, dataset, known)]


def _place(record: Record) -> _Place:
    config = record["config"]
    outside = frozenset(held_out_domains(config["held_out"]))
    length = config.get("until") or config["rollouts"]
    return config["dataset"], config["algorithm"], outside, config["seed"], config["point"], length


def _of_dataset(sweep: SweepConfig, dataset: str, known: Mapping[_Place, Record]) -> list[RunConfig]:
    together = [sweep.seeds] if sweep.share_points else [(seed,) for seed in sweep.seeds]
    studies = [
        _Study(sweep, dataset, algorithm, held_out, seeds, known)
        for seeds in together
        for held_out in sweep.held_out(dataset)
        for algorithm in sweep.algorithms
    ]
    before: list[Round] = []
    for each in sweep.rounds(dataset):
        points = {study: list(each.points) for study in studies}
        for step, length in enumerate(each.lengths):
            if step:
                shorter, number = each.lengths[step - 1], each.numbers[step]
                points = {study: study.going_on(own, shorter, number) for study, own in points.items()}
            if all(study.has(point, length) for study, own in points.items() for point in own):
                continue
            drawn = {study: study.hparams(each, before) for study in studies}
            return list(_alternating(points, drawn, length))
        before.append(each)
    return []


def _alternating(
    points: Mapping[_Study, Sequence[int]], drawn: Mapping[_Study, Mapping[int, dict[str, float]]], length: int
) -> Iterator[RunConfig]:
    """Studies take turns, as the algorithms do in the first round."""
    for turn in range(max(map(len, points.values()))):
        for study, own in points.items():
            for point in own[turn : turn + 1]:
                yield from study.runs(point, drawn[study][point], length)


@dataclass(frozen=True, eq=False)
class _Study:
    """What is searched together: one algorithm with one held-out set, for one seed or for all that share points."""

    sweep: SweepConfig
    dataset: str
    algorithm: str
    held_out: tuple[str, ...]
    seeds: tuple[int, ...]
    known: Mapping[_Place, Record]

    def _records(self, point: int, length: int) -> list[Record | None]:
        outside = frozenset(self.held_out)
        return [self.known.get((self.dataset, self.algorithm, outside, seed, point, length)) for seed in self.seeds]

    def has(self, point: int, length: int) -> bool:
        """Whether all runs of a point with this length have ended."""
        return None not in self._records(point, length)

    def figure(self, point: int, length: int) -> float:
        """What a point has reached with runs of this length, the mean over the seeds; -inf where one has no figure."""
        method, curves = self.sweep.leading.method, []
        for record in self._records(point, length):
            if record is None or record["status"] != "finished":
                return -math.inf
            curves.append(figures(record, method))
        means = [sum(values) / len(values) for values in zip(*curves, strict=True)]
        ranked = [-math.inf if math.isnan(mean) else mean for mean in means]
        return ranked[-1] if method == LAST else max(ranked)

    def going_on(self, points: Sequence[int], length: int, number: int) -> list[int]:
        """Those of the points whose runs of this length were the best."""
        found = going_on([self.figure(point, length) for point in points], self.sweep.search.factor, number)
        return [points[place] for place in found]

    def runs(self, point: int, hparams: Mapping[str, float], length: int) -> Iterator[RunConfig]:
        """Of a point, seed by seed."""
        settings = self.sweep.of_dataset(self.dataset)
        for seed in self.seeds:
            yield self.sweep.run(*(self.dataset, self.algorithm, self.held_out, seed, point), hparams, settings, length)

    def hparams(self, each: Round, before: Sequence[Round]) -> dict[int, dict[str, float]]:
        """Of the points of a round: those that its runs have, else as proposed, else as drawn."""
        tried = {point: self._tried(point, each.lengths) for point in each.points}
        missing = [point for point, own in tried.items() if own is None]
        return {**self._new(each, before, missing), **{p: dict(own) for p, own in tried.items() if own is not None}}

    def _new(self, each: Round, before: Sequence[Round], missing: Sequence[int]) -> dict[int, dict[str, float]]:
        sweep, settings = self.sweep, self.sweep.of_dataset(self.dataset)
        space = self._space()
        if not missing:
            return {}
        if not before or not sweep.search.proposed or not space:
            place = (self.dataset, self.algorithm, self.seeds[0])
            return {point: sweep.hparams(*place, point, settings) for point in missing}
        names: tuple[str | int, ...] = (self.dataset, self.algorithm, "+".join(self.held_out), *self.seeds, each.first)
        told = [self._told(point, one) for one in before for point in one.points]
        found = proposals(sweep.search.kind or "", space, told, len(each.points), seed_from("search", *names))
        fixed = sweep.fixed.get(self.algorithm, {})
        return {point: {**found[point - each.first], **fixed} for point in missing}

    def _space(self) -> Space:
        """What is searched: without what is fixed, with learning rates as they are used."""
        settings, fixed = self.sweep.of_dataset(self.dataset), self.sweep.fixed.get(self.algorithm, {})
        space = self.sweep.space(self.dataset, self.algorithm, settings)
        return {
            name: scaled(distribution, settings.lr_scale) if name == "lr" else distribution
            for name, distribution in space.items()
            if name not in fixed
        }

    def _tried(self, point: int, lengths: Sequence[int]) -> Mapping[str, float] | None:
        for length in lengths:
            for record in self._records(point, length):
                if record is not None:
                    hparams: Mapping[str, float] = record["config"]["hparams"]
                    return hparams
        return None

    def _told(self, point: int, each: Round) -> Told:
        done = [length for length in each.lengths if self.has(point, length)]
        full = self.sweep.of_dataset(self.dataset).rollouts
        shorter = {length: self.figure(point, length) for length in done if length < full}
        last = [record for record in self._records(point, done[-1]) if record is not None]
        return Told(
            hparams=self._tried(point, done) or {},
            figure=self.figure(point, full) if full in done else None,
            shorter=shorter,
            failed=any(record["status"] == "failed" and not has_diverged(record) for record in last),
        )


def scaled(distribution: Distribution, factor: float) -> Distribution:
    """The distribution of values that are multiplied by a factor.

    Example:
        >>> scaled(LogUniform(default=0.5, low=0.25, high=1.0), 0.5)
        LogUniform(default=0.25, low=0.125, high=0.5)
    """
    if isinstance(distribution, LogUniform):
        return LogUniform(factor * distribution.default, factor * distribution.low, factor * distribution.high)
    values = tuple(factor * value for value in distribution.values)
    return Grid(values) if isinstance(distribution, Grid) else Choice(factor * distribution.default, values)
