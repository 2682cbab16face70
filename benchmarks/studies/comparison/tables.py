"""The tables of docs/results/tuned.md, from the committed records and the sweep file that named what is confirmed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from benchmarks.base.metrics import average, estimate, seed_averages
from benchmarks.reports.confirmed import confirmed
from benchmarks.reports.load import load
from benchmarks.reports.selection import Selection
from benchmarks.reports.tables_scores import comparisons
from benchmarks.reports.text import difference, number
from benchmarks.runs.environment import ROOT
from benchmarks.runs.rules import ORACLE, VALIDATION

FOLDER = Path(__file__).parent
PAGE = ROOT / "docs/results/tuned.md"
WRITTEN = "<!-- Written by python -m benchmarks results; the words are on docs/results.md. -->"
COLUMNS = ("algorithm", "difference", "t-interval", "ahead", "p", "p (Holm)", "verdict")


def found() -> Selection:
    """The rungs that are done, by training-domain validation."""
    sweep = yaml.safe_load((FOLDER / "tuned.yaml").read_text(encoding="utf-8"))
    records = load(sorted(map(str, (FOLDER / "records").glob("*.jsonl.xz")))).records
    return Selection.of(records, VALIDATION, sweeps=[sweep])


def page(selection: Selection) -> str:
    """What was to be confirmed, then every algorithm on every rung."""
    sweep = yaml.safe_load((FOLDER / "tuned.yaml").read_text(encoding="utf-8"))
    done = ", ".join(selection.datasets)
    parts = [WRITTEN, "# Tuned baselines", f"Rungs that are done: {done}, of {len(sweep['datasets'])}."]
    for one in confirmed(selection, seed=0):
        made = comparisons(one.found, title="Confirmatory" + (", with refit" if one.refitted else ""))
        text = made.text[["data set", "baseline", *COLUMNS]]
        parts.append(f"## {made.title}\n\n{text.to_markdown(index=False, disable_numparse=True)}")
    parts += [_rung(selection, dataset) for dataset in selection.datasets]
    return "\n\n".join(parts) + "\n"


def _rung(selection: Selection, dataset: str) -> str:
    rows = []
    for algorithm in selection.algorithms_on(dataset):
        scores, again = (selection.scores(dataset, algorithm, f"{name}_accuracy") for name in ("held_out", "refit"))
        both = seed_averages(again - scores)
        best = average(selection.matrix(ORACLE, dataset, algorithm))
        inside = average(selection.scores(dataset, algorithm, "validation_accuracy"))
        rows.append(
            {
                "algorithm": algorithm,
                "validation": number(inside.mean),
                "held out": f"{number(average(scores).mean)} ± {number(average(scores).standard_error)}",
                "with refit": f"{number(average(again).mean)} ± {number(average(again).standard_error)}",
                "refit brings": difference(estimate(both)) if np.isfinite(both).any() else "",
                "oracle": number(best.mean),
            }
        )
    text = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)
    return f"## {dataset}\n\n{text}"


def main() -> None:
    """Writes the page."""
    PAGE.write_text(page(found()), encoding="utf-8")
