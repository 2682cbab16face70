"""The tables of the studies of decisions, from the committed records and the sweep files beside this file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.base.metrics import Estimate, Matrix, average, bounded, estimate, seed_averages
from benchmarks.reports.confirmed import confirmed
from benchmarks.reports.constant import constant_of
from benchmarks.reports.load import load
from benchmarks.reports.selection import Selection
from benchmarks.reports.text import between, difference, number
from benchmarks.runs.environment import ROOT
from benchmarks.runs.rules import VALIDATION
from benchmarks.studies.decisions.played import played
from benchmarks.studies.sweep_files import content_of

FOLDER = Path(__file__).parent
PAGE = ROOT / "docs/results/decisions.md"
WRITTEN = "<!-- Written by python -m benchmarks results; the words are on docs/decisions.md. -->"

BABYAI, CRITIC, JOBS, PIXELS = "babyai", "babyai?learn=done&loss=filtered&critic=", "job-scheduling", "babyai-pixels"
PAIRS: dict[str, tuple[tuple[str, str], ...]] = {
    "held-out": (),
    "history": (
        (f"{BABYAI}?attempts=shuffled", BABYAI),
        (f"{BABYAI}?attempts=alone", BABYAI),
        (f"{BABYAI}?learn=teacher", BABYAI),
    ),
    "critics": tuple((f"{CRITIC}two-hot{units}", f"{CRITIC}squared{units}") for units in ("", "&units=different")),
    "filtered": tuple(
        (f"{name}?learn=done&log={log}&loss=filtered", f"{name}?learn=done&log={log}")
        for name, log in ((JOBS, "good"), (JOBS, "mixed"), (JOBS, "poor"), (PIXELS, "poor"))
    ),
}
"""By sweep file, in the order of the page: which data set is compared with which."""

ERROR = "value error"


def sweep_of(study: str) -> dict[str, Any]:
    """The content of a sweep file."""
    return content_of(FOLDER / f"{study}.yaml")


def records_of(study: str) -> Path:
    """Its records."""
    return FOLDER / "records" / f"{study}.jsonl.xz"


def done() -> list[str]:
    """The studies that have records."""
    return [study for study in PAIRS if records_of(study).exists()]


def found(study: str) -> Selection:
    """What training-domain validation chose."""
    return Selection.of(load([str(records_of(study))]).records, VALIDATION, sweeps=[sweep_of(study)])


def page() -> str:
    """All studies that were run."""
    parts = [WRITTEN, "# Decisions"]
    for study in done():
        selection = found(study)
        parts += [f"## {study}.yaml", _sizes(study, selection), _table(_agreement(selection))]
        parts += _answers(study, selection)
    return "\n\n".join(parts) + "\n"


def against(selection: Selection, algorithm: str, ours: str, theirs: str) -> Matrix:
    """Of two data sets with the same domains, seed by seed: the mean over held-out domains of the difference."""
    return seed_averages(selection.scores(ours, algorithm) - selection.scores(theirs, algorithm))


def gaps(selection: Selection, dataset: str, algorithm: str) -> dict[str, tuple[float, float, Estimate]]:
    """By domain: on its validation part where it is trained on, on all of it where it is held out, and the difference.

    The first is the mean over the choices that hold another domain out.
    """
    seeds, domains = selection.seeds(dataset), selection.held_out(dataset)
    inside = np.full((len(seeds), len(domains), len(domains)), np.nan)
    for choice, record in selection.chosen_runs(dataset, algorithm):
        at = record["curves"]["step"].index(choice.step)
        for number_, domain in enumerate(domains):
            if domain != choice.held_out:
                place = seeds.index(choice.seed), number_, domains.index(choice.held_out)
                inside[place] = 100.0 * record["domain_curves"][domain][at]
    known = np.nanmean(inside, axis=2)
    outside = selection.scores(dataset, algorithm)
    return {
        domain: (known[:, i].mean(), outside[:, i].mean(), estimate(outside[:, i] - known[:, i]))
        for i, domain in enumerate(domains)
    }


def _answers(study: str, selection: Selection) -> Iterator[str]:
    if PAIRS[study]:
        yield "Difference between two sets, for each algorithm; interval over seeds."
        yield _table(list(_compared(study, selection)))
    else:
        yield "In training: the validation part of the domain, in the runs that hold another one out. `erm-ema`."
        yield _table(list(_gaps(selection)))
    yield "Named before it ran, over the data sets; corrected for one another:"
    yield _table(list(_confirmatory(selection)))
    if any(ERROR in selection.measures(dataset) for dataset in selection.datasets):
        yield "Error of the value on the held-out domains, in % of that of the best constant."
        yield _table(list(_errors(selection)))
    lines = played(FOLDER / f"{study}.yaml")
    if lines:
        yield f"The chosen models play the held-out domain, {lines[0]['episodes']} episodes each; interval over seeds:"
        yield _table(list(_success(pd.DataFrame(lines))))


def _sizes(study: str, selection: Selection) -> str:
    sweep = sweep_of(study)
    sets = "; ".join(f"`{name}`: {', '.join(selection.held_out(name))}" for name in selection.datasets)
    return (
        f"{sweep['points']} points, {sweep['seeds']} seeds, chosen by training-domain validation; "
        f"{len(selection.records)} runs, {len(selection.failed)} of them failed. Held out: {sets}. Agreement with the "
        "teacher there, %, mean and 95 % interval over seeds:"
    )


def _agreement(selection: Selection) -> list[dict[str, str]]:
    rows = []
    for dataset in selection.datasets:
        constant = constant_of(selection, dataset)
        row = {"data set": f"`{dataset}`"}
        for algorithm in selection.algorithms_on(dataset):
            told = bounded(average(selection.scores(dataset, algorithm)), 100.0)
            row[algorithm] = f"{number(told.mean)} {between(told)}"
        row["most frequent"] = number(average(constant.held_out).mean) if constant else "n/a"
        rows.append(row)
    return rows


def _compared(study: str, selection: Selection) -> Iterator[dict[str, str]]:
    for ours, theirs in PAIRS[study]:
        if {ours, theirs} <= set(selection.datasets):
            every = {name: against(selection, name, ours, theirs) for name in selection.algorithms_on(ours)}
            told = {name: difference(estimate(values)) for name, values in every.items()}
            yield {"set": f"`{ours}`", "against": f"`{theirs}`", **told}


def _gaps(selection: Selection) -> Iterator[dict[str, str]]:
    for dataset in selection.datasets:
        for domain, (inside, outside, gap) in gaps(selection, dataset, "erm-ema").items():
            row = {"data set": f"`{dataset}`", "domain": domain}
            yield {**row, "in training": number(inside), "held out": number(outside), "gap": difference(gap)}


def _confirmatory(selection: Selection) -> Iterator[dict[str, str]]:
    for one in confirmed(selection, seed=0):
        for each in one.found:
            row = {"algorithm": f"`{each.algorithm}`", "against": f"`{each.baseline}`"}
            yield {**row, "difference": difference(each.difference), "p (Holm)": number(each.p_holm, 3)}


def _errors(selection: Selection) -> Iterator[dict[str, str]]:
    for dataset in selection.datasets:
        if ERROR in selection.measures(dataset):
            row = {"data set": f"`{dataset}`"}
            for algorithm in selection.algorithms_on(dataset):
                told = average(selection.measured(dataset, algorithm, ERROR))
                row[algorithm] = f"{number(told.mean)} {between(told)}"
            yield row


def _success(lines: pd.DataFrame) -> Iterator[dict[str, str]]:
    for place, own in lines.groupby(["dataset", "algorithm"], sort=False):
        dataset, algorithm = map(str, place)
        means = own.groupby("seed")[["model", "teacher", "random"]].mean()
        told = bounded(estimate(means["model"].to_numpy()), 1.0)
        others = {name: number(means[name].mean(), 2) for name in ("teacher", "random")}
        outcome = f"{number(told.mean, 2)} {between(told, 2)}"
        yield {"data set": f"`{dataset}`", "algorithm": algorithm, "outcome": outcome, **others}


def _table(rows: Sequence[dict[str, str]]) -> str:
    return pd.DataFrame(rows).fillna("").to_markdown(index=False, disable_numparse=True)


def main() -> None:
    """Writes the page."""
    if done():
        PAGE.write_text(page(), encoding="utf-8")
