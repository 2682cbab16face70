"""Does ``diagnose``: whether the components of a run differ from its displacement."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from tabulate import tabulate

import pgrad
from benchmarks.base.errors import ConfigError
from benchmarks.commands import say
from benchmarks.runs import plugins
from benchmarks.runs.config import RunConfig
from benchmarks.runs.training import DivergedError
from benchmarks.studies.analyse import recorded
from benchmarks.sweeps.glance import Glance
from pgrad.analysis.measures import Row

CHECKPOINT = "checkpoint"
"""The function of a user's file."""


def of_rows(rows: Path, picture: Path) -> int:
    """Of a file that a recorder wrote."""
    return _tell(str(rows), lambda: _read(rows), picture)


def _read(path: Path) -> list[Row]:
    if path.suffix != ".parquet":
        return pgrad.analysis.read_jsonl(path)
    import pandas

    table: Any = pandas.read_parquet(path).astype(object)
    rows: list[Row] = table.where(table.notna(), None).to_dict("records")
    return rows


def of_file(file: Path, settings: dict[str, Any], picture: Path) -> int:
    """Of a model and batches that a function in a file of the user's gives."""
    sys.path.insert(0, str(file.resolve().parent))  # as of a program that is run: it may import what lies beside it
    found = runpy.run_path(str(file)).get(CHECKPOINT)
    if not callable(found):
        raise ConfigError(f"{file}: it must define {CHECKPOINT}(), which returns a model, a loss and batches")
    parts = found()
    if not isinstance(parts, (tuple, list)) or len(parts) != 3:
        raise ConfigError(f"{file}: {CHECKPOINT}() must return a model, a loss and batches, got {type(parts).__name__}")
    model, loss, batches = parts
    return _tell(str(file), lambda: pgrad.analysis.walk(model, loss, batches, **settings), picture)


def of_run(key: str, address: str, output: Path, picture: Path) -> int:
    """Of a stored run, which is done once more."""
    with Glance(address) as store:
        run = store.run(key)
    if run.config["dataset"].startswith("wilds:"):
        raise ConfigError(f"run {run.key} is one on WILDS: attach a pgrad.analysis.Recorder to its optimizer instead")
    try:
        plugins.load(next(iter(run.sweeps.values()), {}).get("plugins", ()))
        config = RunConfig.model_validate(run.config)
    except (ImportError, ValidationError) as error:
        raise ConfigError(f"run {run.key} cannot be done again: {error}") from error
    return _tell(f"run {run.key}", lambda: recorded(config, output), picture)


def _tell(what: str, make: Any, picture: Path) -> int:
    try:
        found: list[Row] = make()
        diagnosis = pgrad.analysis.diagnose(found)
    except (ValueError, TypeError, FloatingPointError, DivergedError) as error:
        raise ConfigError(f"{what}: {error}") from error
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
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
