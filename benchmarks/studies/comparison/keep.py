"""Keeps a finished rung beside this file: its records, compressed, with losses of few digits.

    python -m benchmarks.studies.comparison.keep runs/tuned rotated-digits                 # of tuned.yaml
    python -m benchmarks.studies.comparison.keep runs/rules rotated-digits --sweep rules   # of rules.yaml

Losses are most of what the records weigh, and have digits that nobody reads. Choices, by their loss too, stay what they
are: there are as many digits as that takes. Other figures of merit than the data set's own are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import cyclopts

from benchmarks.base.errors import unknown
from benchmarks.base.records import Record
from benchmarks.reports.load import Run, load_records
from benchmarks.runs.rules import VALIDATION, VALIDATION_LOSS
from benchmarks.runs.selection import select_all
from benchmarks.studies.comparison.tables import FOLDER
from benchmarks.sweeps.store.transfer import write_lines

DIGITS = range(6, 18)
"""Fewest first; a number of double precision is told by the last."""

LOSS = "validation loss"


def short(record: Mapping[str, Any], digits: int) -> Run:
    """The record with losses of so many digits, and one figure of merit.

    Example:
        >>> record = {"curves": {"loss": [0.69273401], "step": [9]}, "diagnostics": {"validation loss": [0.0068608668]}}
        >>> short(record, digits=5)
        {'curves': {'loss': [0.69273], 'step': [9]}, 'diagnostics': {'validation loss': [0.0068609]}, 'measures': {}}
    """
    curves, diagnostics = dict(record.get("curves") or {}), dict(record.get("diagnostics") or {})
    for values, name in ((curves, "loss"), (diagnostics, LOSS)):
        if name in values:
            values[name] = [_rounded(value, digits) for value in values[name]]
    return {**record, "curves": curves, "diagnostics": diagnostics, "measures": {}}


def _rounded(value: float | None, digits: int) -> float | None:
    return value if value is None or not math.isfinite(value) else float(f"{value:.{digits}g}")


def _chosen(records: Sequence[Run], rule: str) -> list[tuple[Any, ...]]:
    columns = ("dataset", "algorithm", "held_out", "seed", "chosen", "point", "step", "refit_accuracy")
    return [tuple(row[name] for name in columns) for row in select_all(records, rule)]


def keep(records: Sequence[Run], path: Path) -> int:
    """Writes the short records and returns the number of digits."""
    rules = (VALIDATION, VALIDATION_LOSS)
    choices = [_chosen(records, rule) for rule in rules]
    for digits in DIGITS:
        kept = [short(record, digits) for record in records]
        if [_chosen(kept, rule) for rule in rules] == choices:
            break
    write_lines(cast(Sequence[Record], kept), path)
    return digits


def main(source: str, rung: str, *, sweep: Literal["tuned", "rules", "rethought", "fine-tuning"] = "tuned") -> None:
    """Keep a rung.

    Parameters
    ----------
    source:
        Folder of the sweep.
    rung:
        Name of the data set.
    sweep:
        Which file's rung it is.
    """
    records = load_records(source)
    own = [record for record in records if record["config"]["dataset"] == rung]
    if not own:
        raise SystemExit(f"rung: {unknown(rung, sorted({record['config']['dataset'] for record in records}))}")
    folder = FOLDER / "records" / sweep
    folder.mkdir(exist_ok=True)
    path = folder / f"{rung}.jsonl.xz"
    digits = keep(own, path)
    size = path.stat().st_size / 2**20
    print(f"{len(own)} records, losses of {digits} digits, in {path.relative_to(FOLDER)}, {size:.1f} MiB")


if __name__ == "__main__":
    cyclopts.run(main)
