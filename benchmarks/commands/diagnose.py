"""``diagnose``: whether the components of a run differ from its displacement."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from tabulate import tabulate

import pgrad
from pgrad.analysis.measures import Row


def diagnose_command(
    rows: Annotated[Path, Parameter(validator=cyclopts.validators.Path(exists=True, dir_okay=False))],
    *,
    picture: Path | None = None,
) -> None:
    """Is this a run where the components differ from the displacement? One table, one picture.

    Parameters
    ----------
    rows:
        A file that `to_jsonl` of a `pgrad.analysis.Recorder` wrote.
    picture:
        File for the picture; by default beside the rows, with the ending png.
    """
    found = pgrad.analysis.read_jsonl(rows)
    diagnosis = pgrad.analysis.diagnose(found)
    table = [(name, *(f"{value:.4f}" for value in values)) for name, values in diagnosis.quantiles.items()]
    print(f"{diagnosis.rollouts} roll-outs: {diagnosis.verdict}\n")
    print(tabulate(table, headers=("", "5 %", "median", "95 %"), tablefmt="github", disable_numparse=True))
    _draw(found, picture or rows.with_suffix(".png"))


def _draw(rows: list[Row], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained", dpi=150)
    one, other = figure.subplots(1, 2)
    window = max(len(rows) // 20, 1)
    pgrad.analysis.figures.cosine_over_training(rows, window=window, ax=one)
    pgrad.analysis.figures.spectrum_over_training(rows, window=window, ax=other)
    figure.savefig(path)
    print(f"\n{path}")
