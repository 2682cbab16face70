"""What one must know to read a report: runs, selection, budgets, repetition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.base.wording import count
from benchmarks.reports.load import Loaded, Run
from benchmarks.reports.selection import Selection
from benchmarks.runs.rules import ORACLE, Rule


def facts_of(loaded: Loaded, selection: Selection, seed: int, names: Sequence[str]) -> list[str]:
    """What one must know to read the rest."""
    finished = sum(record["status"] == "finished" for record in selection.records)
    rule = Rule.named(selection.method)
    others = f"{len(selection.failed)} failed, {len(selection.diverged)} diverged"
    facts = [
        f"{count(len(loaded.records), 'run')}: {finished} finished ones reported on, {others}.",
        f"Selection: {selection.method} ({rule.description}) chooses the point of random search and the "
        "checkpoint. "
        + (
            "It sees the held-out domains: no result of it can be reached in practice." if rule.method == ORACLE else ""
        ),
        f"Baselines: {', '.join(selection.baselines)}. Seed of the bootstrap: {seed}.",
        "The unit of repetition is the seed. Intervals speak of other seeds on the same data, not of other domains.",
    ]
    if len(names) < len(selection.algorithms):
        facts.append(
            f"Pictures show {', '.join(names)}: the baselines and the best of {len(selection.algorithms)} algorithms. "
            "All are in the tables; --compare NAMES makes a report of some."
        )
    for dataset in selection.datasets:
        facts += _repetition(selection, dataset)
    if selection.refitted:
        facts.append("Scores are those of the choices, trained again on training and validation parts.")
    facts += [f"At the edge of the search: {edge.sentence}." for edge in selection.edges]
    if selection.inner:
        facts.append(
            f"{count(len(selection.inner), 'run')} with a larger held-out set were made for cross-validation only; "
            "--held-out names the sets to report on."
        )
    if selection.cut:
        facts.append(
            f"{count(len(selection.cut), 'run')} ended before full length, to see which points go on; their cost is "
            "counted in the section Cost, and nothing is chosen among them."
        )
    if loaded.repeated:
        facts.append(f"{count(loaded.repeated, 'record')} left out: another one of the same run counts.")
    if len(loaded.codes) > 1:
        facts.append(
            f"CAUTION: the runs were made with {len(loaded.codes)} versions of the code: {', '.join(loaded.codes)}."
        )
    return facts + [text for dataset in selection.datasets for text in _imbalance(selection, dataset)]


def cautions_of(loaded: Loaded, selection: Selection) -> list[str]:
    """What one must know before any figure: runs that are missing, intervals that are too narrow."""
    found = []
    if loaded.waiting:
        found.append(
            f"UNFINISHED: {count(loaded.waiting, 'run')} of the sweep have not ended; what is reported can change."
        )
    if Rule.named(selection.method).shared:
        found.append(
            f"ONE CHOICE FOR ALL SEEDS ({selection.method}): intervals, p-values and verdicts speak of other seeds "
            "with these very choices, and are too narrow for the rule itself, whose unit is the held-out set."
        )
    return found


def _repetition(selection: Selection, dataset: str) -> list[str]:
    """Whether mini-batches were drawn with repetition."""
    found = [max(run["diagnostics"]["repetition"]) for run in selection.of_dataset(dataset) if _repeats(run)]
    if not found:
        return []
    text = (
        f"Mini-batches on {dataset} were drawn with repetition in {count(len(found), 'run')}: a roll-out went through "
        f"the examples of the smallest training domain up to {max(found):.3g} times (less with a smaller --batch-size "
        "or --splits)."
    )
    return [text]


def _repeats(run: Run) -> bool:
    return "repetition" in (run.get("diagnostics") or {})


def _imbalance(selection: Selection, dataset: str) -> Iterator[str]:
    """Whether all algorithms had the same chances."""
    budgets: dict[tuple[int, int], list[str]] = {}
    for algorithm in selection.algorithms_on(dataset):
        own = selection.of_algorithm(dataset, algorithm)
        points = len({(record["config"]["algorithm"], record["config"]["point"]) for record in own})
        seeds = len({record["config"]["seed"] for record in own})
        budgets.setdefault((points, seeds), []).append(algorithm)
    if len(budgets) > 1:
        parts = [f"{', '.join(names)}: {points} points, {seeds} seeds" for (points, seeds), names in budgets.items()]
        yield f"CAUTION: not everything had the same budget on {dataset}. " + "; ".join(parts) + "."
