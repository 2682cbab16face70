"""Best points at the edge of their range, and the runs that look beyond it.

A learning rate is *at the edge* if at least half of the points that a rule chose (one for each held-out set and seed)
have the lowest value that was tried for it, or at least half the highest. Values that only failed count as tried: where
larger steps diverged there is nothing to look for. Three different values must have been tried at least.

Widening tries `POINTS` more points for that algorithm on that data set, spread over the next decade beyond the edge;
the other hyper-parameters are those of further points of the search. A round begins when the one before it has ended,
and follows from its records alone: a sweep that is killed and begun again makes the same rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.algorithms.ranges import LEARNING_RATES
from benchmarks.base.records import held_out_domains
from benchmarks.base.search import Grid, LogUniform
from benchmarks.runs.config import RunConfig
from benchmarks.runs.rules import VALIDATION, Rule
from benchmarks.runs.selection import is_refit, winners
from benchmarks.sweeps.config import SweepConfig

POINTS = 4
"""Of a round, for every learning rate at an edge."""

DECADE = 10.0
LEAST = 3
"""Different values without which a range has no inside."""

Side = Literal["low", "high"]
Record = Mapping[str, Any]
_ENDS: tuple[tuple[Side, Callable[[Iterable[float]], float]], ...] = (("low", min), ("high", max))


@dataclass(frozen=True)
class Edge:
    """A learning rate whose best value is at the end of what was tried.

    Attributes:
        dataset, algorithm, name: Whose, and of which hyper-parameter.
        side: Which end.
        value: The lowest or highest value that was tried, over all seeds.
        hits: Choices that have it.
        choices: Choices in all.
    """

    dataset: str
    algorithm: str
    name: str
    side: Side
    value: float
    hits: int
    choices: int

    @property
    def sentence(self) -> str:
        """To read.

        Example:
            >>> Edge("rotated-digits", "erm", "lr", "low", 1e-4, hits=4, choices=6).sentence
            'erm on rotated-digits: 4 of 6 chosen points have the lowest lr that was tried (0.0001): search below it'
        """
        end, way = ("lowest", "below") if self.side == "low" else ("highest", "above")
        return (
            f"{self.algorithm} on {self.dataset}: {self.hits} of {self.choices} chosen points have the {end} "
            f"{self.name} that was tried ({self.value:.3g}): search {way} it"
        )


def edges(records: Iterable[Record], rule: str = VALIDATION) -> list[Edge]:
    """The learning rates at the edge of what was tried, in the order of the records.

    Args:
        records: Of any data sets; held-out sets that contain another one are for cross-validation, and not looked at.
        rule: Name of the rule that chooses.

    Raises:
        ValueError: as `benchmarks.runs.selection.winners`.
    """
    kept = [record for record in records if not is_refit(record)]
    sets: dict[str, set[frozenset[str]]] = {}
    for record in kept:
        config = record["config"]
        sets.setdefault(config["dataset"], set()).add(frozenset(held_out_domains(config["held_out"])))
    outer = (
        winner.selected.run["config"]
        for winner in winners(kept, Rule.named(rule))
        for outside in [frozenset(held_out_domains(winner.held_out))]
        if not any(other < outside for other in sets[winner.dataset])
    )
    return edges_of(kept, outer)


def edges_of(records: Iterable[Record], chosen: Iterable[Mapping[str, Any]]) -> list[Edge]:
    """The same where something else has chosen.

    Args:
        records: Of all runs of the search.
        chosen: Configurations of the runs whose points were chosen, one for each held-out set and seed.
    """
    tried: dict[tuple[str, str, str], dict[int, set[float]]] = {}
    for record in records:
        config = record["config"]
        for name in LEARNING_RATES:
            if name in config.get("hparams", {}):
                values = tried.setdefault((config["dataset"], config["algorithm"], name), {})
                values.setdefault(config["seed"], set()).add(config["hparams"][name])
    places: dict[tuple[str, str], list[tuple[int, Mapping[str, float]]]] = {}
    for config in chosen:
        own = config["seed"], config.get("hparams", {})
        places.setdefault((config["dataset"], config["algorithm"]), []).append(own)
    found = []
    for (dataset, algorithm, name), by_seed in tried.items():
        points = places.get((dataset, algorithm), [])
        if not points or min(map(len, by_seed.values())) < LEAST:
            continue
        for side, end in _ENDS:
            hits = sum(hparams.get(name) == end(by_seed[seed]) for seed, hparams in points)
            if 2 * hits >= len(points):
                value = end(end(values) for values in by_seed.values())
                found.append(Edge(dataset, algorithm, name, side, value, hits, len(points)))
    return found


def beyond(end: float, side: Side) -> list[float]:
    """Values evenly spread over the decade beyond the end of a range.

    Example:
        >>> [round(value, 4) for value in beyond(1.0, "high")], [round(value, 4) for value in beyond(1.0, "low")]
        ([1.3335, 2.3714, 4.217, 7.4989], [0.7499, 0.4217, 0.2371, 0.1334])
    """
    factor = DECADE if side == "high" else 1 / DECADE
    return [end * factor ** ((number + 0.5) / POINTS) for number in range(POINTS)]


class _Rounds:
    """The rounds of a sweep so far: points and ranges of every algorithm on every data set."""

    def __init__(self, sweep: SweepConfig) -> None:
        self.sweep = sweep
        tried = {dataset: sweep.rounds(dataset)[-1].points.stop for dataset in sweep.datasets}
        self.points = {(dataset, name): number for dataset, number in tried.items() for name in sweep.algorithms}
        self.ends: dict[tuple[str, str, str, Side], float] = {}

    def begin(self, found: Sequence[Edge]) -> list[RunConfig]:
        """The runs of the next round."""
        return [run for edge in found for run in self._runs(edge)]

    def _runs(self, edge: Edge) -> list[RunConfig]:
        sweep, place = self.sweep, (edge.dataset, edge.algorithm)
        if edge.name in sweep.fixed.get(edge.algorithm, {}):
            return []
        settings, reported = sweep.of_dataset(edge.dataset), set(sweep.held_out(edge.dataset))
        values = beyond(self._end(edge), edge.side)
        self.ends[(*place, edge.name, edge.side)] = self._end(edge) * (DECADE if edge.side == "high" else 1 / DECADE)
        first = self.points[place]
        self.points[place] += POINTS
        return [
            sweep.run(*place, held_out, seed, point, {**drawn, edge.name: value}, settings)
            for seed in sweep.seeds
            for held_out in sweep.training_sets(edge.dataset)
            for point, value in enumerate(values, first)
            if held_out in reported or sweep.cross_points is None
            for drawn in [sweep.hparams(*place, seed, point, settings)]
        ]

    def _end(self, edge: Edge) -> float:
        """Of the range: the decade begins there, whichever values were drawn."""
        known = self.ends.get((edge.dataset, edge.algorithm, edge.name, edge.side))
        if known is not None:
            return known
        settings = self.sweep.of_dataset(edge.dataset)
        distribution = self.sweep.space(edge.dataset, edge.algorithm, settings)[edge.name]
        scale = settings.lr_scale if edge.name == "lr" else 1.0
        if isinstance(distribution, LogUniform):
            return scale * (distribution.low if edge.side == "low" else distribution.high)
        if isinstance(distribution, Grid):
            return scale * (min if edge.side == "low" else max)(distribution.values)
        return edge.value


def widening(sweep: SweepConfig, records: Iterable[Record]) -> list[RunConfig]:
    """The runs of the first round that `records` do not hold whole; empty if there is nothing to widen, or no more.

    Args:
        sweep: Says how many rounds there may be, and by its first rule that does not cheat what is best.
        records: Of all runs of the sweep itself, and of rounds before.
    """
    kept, rounds = list(records), _Rounds(sweep)
    done = {record["key"] for record in kept}
    for _ in range(sweep.widen):
        before = [record for record in kept if record["config"]["point"] < rounds.points[_place(record)]]
        runs = rounds.begin(edges(before, sweep.leading.name))
        if not runs or not {run.key() for run in runs} <= done:
            return runs
    return []


def _place(record: Record) -> tuple[str, str]:
    return record["config"]["dataset"], record["config"]["algorithm"]
