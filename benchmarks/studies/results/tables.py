"""The tables of docs/results.md, from the committed records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.algorithms import BASELINE, CONTROL
from benchmarks.base.metrics import Estimate, average, estimate, worst_domain
from benchmarks.reports.load import Run, load
from benchmarks.reports.selection import Selection, differences
from benchmarks.reports.text import difference, number, side
from benchmarks.runs.environment import ROOT
from benchmarks.runs.rules import LEAVE_ONE_OUT, TRAINING_DOMAIN, VALIDATION

FOLDER = Path(__file__).parent
ENDING, PROBE = ".jsonl.xz", "probe-"
PAGE = ROOT / "docs/results.md"
QUESTIONS = (
    ("pgrad", CONTROL),
    ("pgrad", BASELINE),
    (CONTROL, BASELINE),
    ("erm-swad", BASELINE),
    ("erm-sgd", BASELINE),
)
DIRECTIONS = ("full", "k1", "null", "increments", "crossdomain")
BEGIN, END = "<!-- tables: python -m benchmarks results -->", "<!-- end of tables -->"


def selections() -> dict[str, Selection]:
    """One for each file of records, by its name: the ladder, then what begins with ``probe-`` and asks one thing."""
    names = [path.name.removesuffix(ENDING) for path in FOLDER.glob(f"*{ENDING}")]
    names.sort(key=lambda name: (name.startswith(PROBE), name))
    return {name: _study(load([str(FOLDER / f"{name}{ENDING}")]).records) for name in names}


def _study(records: list[Run]) -> Selection:
    """Selected by cross-validation if the records hold runs for it, by training-domain validation else."""
    found = Selection.of(records)
    return Selection.of(records, LEAVE_ONE_OUT) if found.inner else found


def title(name: str, dataset: str) -> str:
    """Of a table: the data set and the file, for a data set may stand in several."""
    return f"{dataset} ({name})"


def control_of(name: str) -> str | None:
    """The matched control of a variant of PGrad: the same roll-outs by their plain displacement; None for others.

    The registry no longer has most of them: their names say what was set another way, and which directions were taken.

    Example:
        >>> control_of("pgrad-beta0-crossdomain"), control_of("pgrad-k1"), control_of("erm-ema")
        ('reptile-beta0', 'reptile', None)
    """
    kind, *parts = name.split("-")
    if kind != "pgrad":
        return None
    return "-".join(["reptile", *(part for part in parts if part not in DIRECTIONS)])


def tables(found: Mapping[str, Selection]) -> str:
    """The ladder in short, every algorithm against its control and against ERM on it, then each data set by itself."""
    ladder = {name: selection for name, selection in found.items() if not name.startswith(PROBE)}
    parts = [_data_set(name, selection, dataset) for name, selection in found.items() for dataset in selection.datasets]
    controls = _every(ladder, "Every variant of PGrad against its matched control", control_of)
    baseline = _every(ladder, "Every algorithm against ERM", lambda name: None if name == BASELINE else BASELINE)
    return "\n\n".join([_short(ladder), controls, baseline, *parts])


def _data_set(name: str, selection: Selection, dataset: str) -> str:
    lines = []
    measures = selection.measures(dataset)
    for algorithm in selection.algorithms_on(dataset):
        scores = selection.scores(dataset, algorithm)
        mean = average(scores)
        line = {
            "algorithm": algorithm,
            "held-out": f"{number(mean.mean)} ± {number(mean.standard_error)}",
            **{name: number(average(selection.measured(dataset, algorithm, name)).mean) for name in measures},
            "worst domain": number(worst_domain(scores).mean),
            "validation": number(average(selection.scores(dataset, algorithm, "validation_accuracy")).mean),
        }
        if selection.method != VALIDATION:
            usual = selection.matrix(VALIDATION, dataset, algorithm)
            line[f"− the same by {TRAINING_DOMAIN}"] = difference(estimate(differences(scores, usual)))
        for other in (BASELINE, CONTROL):
            line[f"− {other}"] = "" if other == algorithm else _against(selection, dataset, algorithm, other)
        lines.append((mean.mean, line))
    lines.sort(key=lambda pair: -pair[0])
    body = pd.DataFrame([line for _, line in lines]).to_markdown(index=False, disable_numparse=True)
    return f"### {title(name, dataset)}\n\n`{name}.yaml`: {budget(selection, dataset)}\n\n{body}"


def budget(selection: Selection, dataset: str) -> str:
    """What the runs on a data set were, in a line."""
    runs = selection.of_dataset(dataset)
    config = runs[0]["config"]
    points = len({run["config"]["point"] for run in runs})
    failed = sum(run["config"]["dataset"] == dataset for run in selection.failed)
    tuning = f", {config['tuning']}" if "tuning" in config else ""
    inner = sum(run["config"]["dataset"] == dataset for run in selection.inner)
    more = f" and {inner} for the cross-validation" if inner else ""
    chosen = "" if selection.method == VALIDATION else f" selected by {selection.method},"
    return (
        f"{selection.scale(dataset).label};{chosen} seeds: {len(selection.seeds(dataset))}, points: {points}, "
        f"held out: {', '.join(selection.held_out(dataset))}; "
        f"{config['rollouts']} roll-outs, {config['splits']} splits, batch {config['batch_size']}, model "
        f"{config['model']} (width {config['width']}{tuning}); {len(runs)} runs{more}, {failed} of them failed."
    )


def _against(selection: Selection, dataset: str, algorithm: str, other: str) -> str:
    return difference(_difference(selection, dataset, algorithm, other))


def _difference(selection: Selection, dataset: str, algorithm: str, other: str) -> Estimate | None:
    if other not in selection.algorithms_on(dataset):
        return None
    return estimate(differences(*selection.common(dataset, algorithm, other)))


def _short(found: Mapping[str, Selection]) -> str:
    """What most readers want to know: a line for each data set."""
    lines = []
    for name, selection in found.items():
        for dataset in selection.datasets:
            pairs = {f"{ours} − {theirs}": _against(selection, dataset, ours, theirs) for ours, theirs in QUESTIONS}
            lines.append({"data set": title(name, dataset), "measured": selection.scale(dataset).label, **pairs})
    body = pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True)
    return f"### In short\n\nDifferences with their 95 % t-intervals over seeds.\n\n{body}"


def _every(found: Mapping[str, Selection], heading: str, other: Callable[[str], str | None]) -> str:
    """A line for each algorithm that is to be compared with an `other`, a column for each data set."""
    lines: dict[str, dict[str, Estimate]] = {}
    accuracies = [
        title(name, each) for name, selection in found.items() for each in selection.datasets if _share(selection, each)
    ]
    for name, selection in found.items():
        for dataset in selection.datasets:
            for algorithm in selection.algorithms_on(dataset):
                reference = other(algorithm)
                own = _difference(selection, dataset, algorithm, reference) if reference is not None else None
                if own is not None:
                    lines.setdefault(algorithm, {})[title(name, dataset)] = own
    rows: list[tuple[float, dict[str, str | None]]] = []
    for algorithm, line in lines.items():
        shares = [line[each] for each in accuracies if each in line]
        mean = float(np.mean([each.mean for each in shares]))
        row = {
            "algorithm": algorithm,
            "against": other(algorithm),
            "mean of the accuracies": number(mean, sign=True),
            "above 0": str(sum(side(each) > 0 for each in shares)),
            "below 0": str(sum(side(each) < 0 for each in shares)),
        }
        rows.append((mean, row | {place: difference(each) for place, each in line.items()}))
    rows.sort(key=lambda pair: -pair[0])
    body = pd.DataFrame([row for _, row in rows]).fillna("").to_markdown(index=False, disable_numparse=True)
    sides = [side(each) for line in lines.values() for each in line.values() if each.n > 1]
    return (
        f"### {heading}\n\n{sides.count(1)} of {len(sides)} intervals lie above zero and {sides.count(-1)} below it "
        f"(bold); of so many 95 % intervals about {round(0.025 * len(sides))} would on either side if there were no "
        f"difference anywhere.\n\n{body}"
    )


def _share(selection: Selection, dataset: str) -> bool:
    return selection.scale(dataset).factor == 100


def main() -> None:
    """Writes the tables anew."""
    write(BEGIN, END, tables(selections()))


def write(begin: str, end: str, text: str) -> None:
    """Replaces what stands between two marks of the page.

    Raises:
        ValueError: if the page lacks one of them.
    """
    page = PAGE.read_text(encoding="utf-8")
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"{PAGE} must hold each of these lines once, to write the tables between them: {begin} {end}")
    before, after = page.split(begin)[0], page.split(end)[1]
    partial = PAGE.with_name(PAGE.name + ".partial")
    partial.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
    partial.replace(PAGE)
