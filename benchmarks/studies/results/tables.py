"""The tables beside docs/results.md, and the picture on it, from the committed records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.algorithms import BASELINE, CONTROL
from benchmarks.base.metrics import Estimate, average, estimate, worst_domain
from benchmarks.reports.files import put
from benchmarks.reports.load import Run, load
from benchmarks.reports.page import Picture
from benchmarks.reports.selection import Selection, differences
from benchmarks.reports.text import difference, number, side
from benchmarks.runs.environment import ROOT
from benchmarks.runs.rules import LEAVE_ONE_OUT, TRAINING_DOMAIN, VALIDATION
from benchmarks.studies.results.picture import PICTURE, draw

FOLDER = Path(__file__).parent
ENDING, PROBE = ".jsonl.xz", "probe-"
PAGE = ROOT / "docs/results.md"
BESIDE = ROOT / "docs/results"
QUESTIONS = (
    ("pgrad", CONTROL),
    ("pgrad", BASELINE),
    (CONTROL, BASELINE),
    ("erm-swad", BASELINE),
    ("erm-sgd", BASELINE),
)
DIRECTIONS = ("full", "k1", "null", "increments", "crossdomain")
WRITTEN = "<!-- Written by python -m benchmarks results; the words are on docs/results.md. -->"


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


def ladder(found: Mapping[str, Selection]) -> dict[str, Selection]:
    """Without the files that ask one thing."""
    return {name: selection for name, selection in found.items() if not name.startswith(PROBE)}


def pages(found: Mapping[str, Selection]) -> dict[str, str]:
    """By the names of the files: the ladder in short, every algorithm on it against its control and against ERM, a page
    for each file of records, and one for all that ask one thing."""
    rungs = ladder(found)
    made = {
        "short": _short(rungs),
        "controls": _every(rungs, "Every variant of PGrad against its matched control", control_of),
        "against-erm": _every(
            rungs, "Every algorithm against ERM", lambda name: None if name == BASELINE else BASELINE
        ),
    }
    for name, selection in rungs.items():
        own = [_data_set(name, selection, dataset) for dataset in selection.datasets]
        made[name] = "\n\n".join([f"# Every algorithm: {name}", *own])
    probes = [
        _data_set(name, selection, dataset)
        for name, selection in found.items()
        if name not in rungs
        for dataset in selection.datasets
    ]
    made["probes"] = "\n\n".join(["# Probes", *probes])
    return {f"{name}.md": f"{WRITTEN}\n\n{text}\n" for name, text in made.items()}


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
    return f"## {title(name, dataset)}\n\n`{name}.yaml`: {budget(selection, dataset)}\n\n{body}"


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
    measured = {
        title(name, each): selection.scale(each).label
        for name, selection in found.items()
        for each in selection.datasets
    }
    lines = [
        {"data set": place, "measured": measured[place], **{name: difference(each) for name, each in own.items()}}
        for place, own in answered(found).items()
    ]
    body = pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True)
    return f"# In short\n\nDifferences with their 95 % t-intervals over seeds.\n\n{body}"


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
        f"# {heading}\n\n{sides.count(1)} of {len(sides)} intervals lie above zero and {sides.count(-1)} below it "
        f"(bold); of so many 95 % intervals about {round(0.025 * len(sides))} would on either side if there were no "
        f"difference anywhere.\n\n{body}"
    )


def _share(selection: Selection, dataset: str) -> bool:
    return selection.scale(dataset).factor == 100


def main() -> None:
    """Writes the tables and the picture anew."""
    found = selections()
    for name, text in pages(found).items():
        put(BESIDE / name, text.encode())
    put(BESIDE / PICTURE, Picture("short", "", draw(answered(found))).svg)


def answered(found: Mapping[str, Selection]) -> dict[str, dict[str, Estimate | None]]:
    """Setting -> question -> difference, on the ladder; None where a setting lacks one of the two."""
    return {
        title(name, dataset): {
            f"{ours} − {theirs}": _difference(selection, dataset, ours, theirs) for ours, theirs in QUESTIONS
        }
        for name, selection in ladder(found).items()
        for dataset in selection.datasets
    }


def write(page: Path, begin: str, end: str, text: str) -> None:
    """Replaces what stands between two marks of a page.

    Raises:
        ValueError: if the page lacks one of them.
    """
    old = page.read_text(encoding="utf-8")
    if old.count(begin) != 1 or old.count(end) != 1:
        raise ValueError(f"{page} must hold each of these lines once, to write the tables between them: {begin} {end}")
    before, after = old.split(begin)[0], old.split(end)[1]
    put(page, f"{before}{begin}\n\n{text}\n\n{end}{after}".encode())
