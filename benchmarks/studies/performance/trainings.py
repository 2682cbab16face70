"""What one training for ERM and its averages saves: processor seconds of the runs alone, and together.

Both are done in turns in one process with one thread, on the coloured digits with the settings of the comparison.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from benchmarks.algorithms import ALGORITHMS
from benchmarks.algorithms.averaging import FOLLOWED
from benchmarks.base.search import draw
from benchmarks.runs.config import RunConfig
from benchmarks.runs.outputs import Place
from benchmarks.runs.runner import run
from benchmarks.runs.together import run_together


@dataclass(frozen=True)
class Saved:
    """One followed algorithm, with processor seconds of every round."""

    name: str
    runs: int
    alone: tuple[float, ...]
    together: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """How many times as long the runs take alone, round by round."""
        return [alone / together for alone, together in zip(self.alone, self.together, strict=True)]


def configs(name: str, rollouts: int) -> list[RunConfig]:
    """The algorithm at its defaults, and every average of it."""
    names = [name, *(f"{name}-{each}" for each in FOLLOWED[name].averages)]
    return [
        RunConfig(
            dataset="coloured-digits",
            algorithm=each,
            held_out=("10%",),
            seed=0,
            point=0,
            hparams=draw(ALGORITHMS[each].space, 0, 0),
            rollouts=rollouts,
            evaluate_every=5,
            batch_size=32,
            splits=3,
            width=64,
        )
        for each in names
    ]


def measure(rounds: int, rollouts: int = 80) -> Iterator[Saved]:
    """Each followed algorithm; a first round warms up and does not count."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for name in FOLLOWED:
            own = configs(name, rollouts)
            times = [
                (sum(_seconds([run(one)]) for one in own), _seconds(run_together(own, Place())))
                for _ in range(rounds + 1)
            ][1:]
            yield Saved(name, len(own), tuple(alone for alone, _ in times), tuple(shared for _, shared in times))
    finally:
        torch.set_num_threads(before)


def _seconds(outcomes: list[dict[str, dict[str, float]]]) -> float:
    return sum(outcome["timings"]["cpu_seconds"] for outcome in outcomes)


def table(found: Iterator[Saved]) -> str:
    """In Markdown."""
    lines = [
        "| training | runs | CPU seconds alone | together | ratio | lowest and highest |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for one in found:
        alone, together, ratio = map(statistics.median, (one.alone, one.together, one.ratios))
        ends = f"{min(one.ratios):.2f} to {max(one.ratios):.2f}"
        lines.append(f"| {one.name} | {one.runs} | {alone:.2f} | {together:.2f} | {ratio:.2f} | {ends} |")
    return "\n".join(lines)
