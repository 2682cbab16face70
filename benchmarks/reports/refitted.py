"""What it brings to train the choices again on training and validation parts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.base.metrics import estimate, seed_averages
from benchmarks.reports.selection import Selection
from benchmarks.reports.table import Table
from benchmarks.reports.text import difference, number


def refits(selection: Selection) -> Table | None:
    """Both figures of every algorithm that has refits of what the method of the report chose; None if none has."""
    lines, cells = [], []
    for dataset in selection.datasets:
        for algorithm in selection.algorithms_on(dataset):
            scores = selection.scores(dataset, algorithm)
            again = selection.scores(dataset, algorithm, "refit_accuracy")
            whole = ~np.isnan(scores + again).any(axis=1)
            if not whole.any():
                continue
            without, with_refit = (estimate(seed_averages(one[whole])) for one in (scores, again))
            change = estimate(seed_averages(again[whole] - scores[whole]))
            lines.append(
                {
                    "dataset": dataset,
                    "algorithm": algorithm,
                    "seeds": change.n,
                    "without": without.mean,
                    "with_refit": with_refit.mean,
                    "difference": change.mean,
                    "low": change.low,
                    "high": change.high,
                }
            )
            cells.append(
                {
                    "data set": dataset,
                    "algorithm": algorithm,
                    "seeds": str(change.n),
                    "without": number(without.mean),
                    "with refit": number(with_refit.mean),
                    "difference": difference(change),
                }
            )
    if not lines:
        return None
    note = (
        f"The choices of {selection.method}, and the same trained again on training and validation parts of the "
        "training domains. Averages over the held-out domains, of the seeds whose refits are complete; difference: "
        "mean with its 95 % t-interval over seeds, uncorrected."
    )
    return Table("refit", "Without and with refit", note, pd.DataFrame(lines), pd.DataFrame(cells))
