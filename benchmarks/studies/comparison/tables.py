"""The tables of the comparison, from the committed records and the sweep files that named what is confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare

from benchmarks.base.metrics import Matrix, average, estimate, seed_averages
from benchmarks.base.records import VALIDATION_LOSS_CURVE
from benchmarks.reports.confirmed import confirmed
from benchmarks.reports.load import Run, load
from benchmarks.reports.selection import Selection
from benchmarks.reports.tables_scores import comparisons
from benchmarks.reports.text import difference, number
from benchmarks.runs.environment import ROOT
from benchmarks.runs.rules import ORACLE, VALIDATION
from benchmarks.studies.sweep_files import content_of

FOLDER = Path(__file__).parent
SWEEPS = {
    "tuned": "Tuned baselines",
    "rethought": "Two domains held out at a time",
    "fine-tuning": "A whole network fine-tuned",
    "fine-tuning-longer": "A whole network fine-tuned for longer",
    "higher-rates": "SGD inside at higher rates",
}
"""Sweep files that have a page of their own once a rung is done, and its heading."""

WRITTEN = "<!-- Written by python -m benchmarks results; the words are on docs/results.md. -->"
LEAST = 3
"""Algorithms for Friedman's test."""

FEW = 4
"""Points of a search that are shown one by one."""

EQUAL = 9
"""Digits behind the point in which seeds' averages must differ to be ranked apart."""

COLUMNS = ("algorithm", "difference", "t-interval", "unit", "ahead", "p", "p (Holm)", "verdict")


def sweep_of(name: str) -> dict[str, Any]:
    """The content of a sweep file."""
    return content_of(FOLDER / f"{name}.yaml")


def records_of(name: str) -> list[Path]:
    """A file of records for each rung that is done."""
    return sorted((FOLDER / "records" / name).glob("*.jsonl.xz"))


def page_of(name: str) -> Path:
    """Where the tables stand."""
    return ROOT / f"docs/results/{name}.md"


def done() -> list[str]:
    """Those of `SWEEPS` that have records."""
    return [name for name in SWEEPS if records_of(name)]


def found(name: str) -> Selection:
    """The rungs that are done, by training-domain validation, in the order of tuned.yaml."""
    paths = {path.name.removesuffix(".jsonl.xz"): path for path in records_of(name)}
    records = load([str(paths[rung]) for rung in sweep_of("tuned")["datasets"] if rung in paths]).records
    return Selection.of(records, VALIDATION, sweeps=[sweep_of(name)])


def page(name: str, selection: Selection) -> str:
    """What was to be confirmed, then every algorithm on every rung."""
    rungs = ", ".join(selection.datasets)
    parts = [WRITTEN, f"# {SWEEPS[name]}", f"Rungs that are done: {rungs}, of {len(sweep_of(name)['datasets'])}."]
    parts += _confirmatory(selection, "Confirmatory")
    if len(selection.datasets) > 1:
        parts += _confirmatory(selection, "Confirmatory, each rung", each=True)
    shares = in_points(selection, selection.datasets)
    if 1 < len(shares) < len(selection.datasets):
        counted = [record for record in selection.records if record["config"]["dataset"] in shares]
        parts += _confirmatory(replace(selection, records=counted), "The same on the rungs whose score is a share")
    for rule in sweep_of(name)["selection"]:
        if rule != selection.method:
            parts += _confirmatory(replace(selection, method=rule), f"The same pairs by {rule}, exploratory")
    parts.append(
        "Means of what validation chose on each rung: `points` were tried for each seed and held-out domain (more "
        "where the best lay at the edge of a range, which was widened; of a family as many as its most widened member "
        "had); `length` is where it stopped, as a part of the run; `gap` how far validation stands above the domains "
        "that were held out; ± one standard error over seeds."
    )
    parts += [_rung(selection, dataset) for dataset in selection.datasets]
    return "\n\n".join(parts) + "\n"


def in_points(selection: Selection, rungs: Sequence[str]) -> list[str]:
    """The rungs whose score is a share."""
    return [name for name in rungs if selection.whole(name)]


def _confirmatory(selection: Selection, title: str, each: bool = False) -> list[str]:
    parts = []
    for one in confirmed(selection, seed=0):
        made = comparisons(one.each if each else one.found, title=title + (", with refit" if one.refitted else ""))
        text = made.text[[name for name in ("data set", "baseline", *COLUMNS) if name in made.text]]
        parts.append(f"## {made.title}\n\n{text.to_markdown(index=False, disable_numparse=True)}")
    return parts


def _rung(selection: Selection, dataset: str) -> str:
    rows = []
    for algorithm in selection.algorithms_on(dataset):
        scores, again = (selection.scores(dataset, algorithm, f"{name}_accuracy") for name in ("held_out", "refit"))
        both = seed_averages(again - scores)
        best = average(selection.matrix(ORACLE, dataset, algorithm))
        validation = selection.scores(dataset, algorithm, "validation_accuracy")
        length = [choice.step / run["curves"]["step"][-1] for choice, run in selection.chosen_runs(dataset, algorithm)]
        rows.append(
            {
                "algorithm": algorithm,
                "points": str(len({run["config"]["point"] for run in selection.of_algorithm(dataset, algorithm)})),
                "length": f"{np.mean(length):.0%}",
                "validation": number(average(validation).mean),
                "gap": _spread(validation - scores),
                "held out": _spread(scores),
                "with refit": _spread(again),
                "refit brings": difference(estimate(both)) if np.isfinite(both).any() else "",
                "oracle": number(best.mean),
            }
        )
    text = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)
    edges = "".join(f" Still at the edge: {one.sentence}." for one in selection.edges if one.dataset == dataset)
    said = f"{_alike(selection, dataset)}{edges}{_begun(selection, dataset)}".strip()
    return "\n\n".join(filter(None, (f"## {dataset}", said, text, _each_point(selection, dataset))))


def _each_point(selection: Selection, dataset: str) -> str:
    """What each point of a small search gives, at the length that validation chooses for it."""
    points = sorted({record["config"]["point"] for record in selection.of_dataset(dataset)})
    if not 1 < len(points) <= FEW:
        return ""
    rows: dict[str, dict[str, str]] = {name: {"algorithm": name} for name in selection.algorithms_on(dataset)}
    for point in points:
        one = replace(selection, records=[each for each in selection.records if each["config"]["point"] == point])
        for name in one.algorithms_on(dataset):
            rates = {run["config"]["hparams"]["lr"] for run in one.of_algorithm(dataset, name)}
            scores = (average(one.scores(dataset, name, f"{of}_accuracy")).mean for of in ("validation", "held_out"))
            figures = " / ".join(number(score) for score in scores)
            rows[name][f"point {point}"] = f"{figures} ({', '.join(f'{rate:.2g}' for rate in sorted(rates))})"
    text = pd.DataFrame(list(rows.values())).to_markdown(index=False, disable_numparse=True)
    return f"Each point by itself: validation / held out (learning rate).\n\n{text}"


def _begun(selection: Selection, dataset: str) -> str:
    """How many of the chosen models of SWAD are those of plain ERM, because the validation loss had no valley."""

    def place(run: Run) -> tuple[Any, ...]:
        own = run["config"]
        return own["held_out"], own["seed"], own["hparams"]["lr"], own["hparams"]["weight_decay"]

    if not {"erm", "erm-swad"} <= set(selection.algorithms_on(dataset)):
        return ""
    plain = {place(run): run for run in selection.of_algorithm(dataset, "erm") if run["status"] == "finished"}
    chosen = selection.chosen_runs(dataset, "erm-swad")
    same = 0
    for choice, run in chosen:
        at, other = list(run["curves"]["step"]).index(choice.step), plain.get(place(run))
        same += other is not None and _figures(run, at) == _figures(other, at)
    found = f"at least {same} of {len(chosen)}"
    return f" Chosen models of `erm-swad` that are plain ERM, for no valley had begun: {found}."


def _figures(run: Run, at: int) -> tuple[Any, Any]:
    """Of a checkpoint; None where nothing could choose it, so that they were not kept."""
    return run["diagnostics"][VALIDATION_LOSS_CURVE][at], run["curves"]["held_out"][at]


def _spread(scores: Matrix) -> str:
    """The mean and its standard error over seeds; nothing where nothing ran."""
    found = average(scores)
    return f"{number(found.mean)} ± {number(found.standard_error)}" if np.isfinite(scores).any() else ""


def _alike(selection: Selection, dataset: str) -> str:
    """Whether the algorithms differ at all: Friedman's test, families left out for they repeat their members."""
    algorithms = [name for name in selection.algorithms_on(dataset) if name not in selection.families]
    found = []
    for name, words in (("held_out", "as they were chosen"), ("refit", "trained again")):
        scores = [selection.scores(dataset, each, f"{name}_accuracy") for each in algorithms]
        means = [seed_averages(each).round(EQUAL) for each in scores if np.isfinite(each).any()]
        if len(means) >= LEAST:
            found.append(f"p = {friedmanchisquare(*means).pvalue:.2g} {words} ({len(means)})")
    return f"Whether algorithms differ at all (Friedman's test, seeds as blocks): {', '.join(found)}." if found else ""


def main() -> None:
    """Writes the pages."""
    for name in done():
        page_of(name).write_text(page(name, found(name)), encoding="utf-8")
