"""Does ``diagnose``: whether the components of a run differ from its displacement."""

from __future__ import annotations

from pathlib import Path

from tabulate import tabulate

import pgrad
from benchmarks.commands import say
from pgrad.analysis.measures import Row


def diagnose_command(rows: Path, picture: Path) -> int:
    """See `benchmarks.commands.words.analysis`."""
    found = pgrad.analysis.read_jsonl(rows)
    diagnosis = pgrad.analysis.diagnose(found)
    table = [(name, *(f"{value:.4f}" for value in values)) for name, values in diagnosis.quantiles.items()]
    console = say.console()
    say.line(console, f"{diagnosis.rollouts} roll-outs: {diagnosis.verdict}\n")
    say.raw(console, tabulate(table, headers=("", "5 %", "median", "95 %"), tablefmt="github", disable_numparse=True))
    _draw(found, picture)
    say.line(console, f"\n{picture}")
    return 0


def _draw(rows: list[Row], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained", dpi=150)
    one, other = figure.subplots(1, 2)
    window = max(len(rows) // 20, 1)
    pgrad.analysis.figures.cosine_over_training(rows, window=window, ax=one)
    pgrad.analysis.figures.spectrum_over_training(rows, window=window, ax=other)
    figure.savefig(path)
