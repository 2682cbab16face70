"""The page: sections of text, tables and pictures in one file that needs nothing else."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.reports import draw_runs, draw_scores, tables
from benchmarks.reports.answer import Answer, answers
from benchmarks.reports.comparisons import Comparison, against_controls, compare, compare_overall
from benchmarks.reports.constant import warnings_of
from benchmarks.reports.forest import Forest, plotted
from benchmarks.reports.load import Loaded, Run
from benchmarks.reports.names import describe_algorithm, describe_dataset
from benchmarks.reports.refitted import refits
from benchmarks.reports.selection import Selection
from benchmarks.reports.spectra import agreements
from benchmarks.reports.style import RC, Look, looks, without_warnings
from benchmarks.reports.tables import Table
from benchmarks.reports.template import rendered
from benchmarks.reports.text import count
from benchmarks.reports.throughput import work
from benchmarks.runs.rules import ORACLE, Rule
from benchmarks.sweeps.edges import Edge

TOGETHER = 7
"""Algorithms in one picture: of more, the baselines and the best."""

LINES = 24
"""Of a forest plot that is written for papers; the one on the page has all."""


@dataclass(frozen=True)
class Picture:
    """One picture: the name of its files, what it shows, and the drawing; `box` is matplotlib's, of what is drawn."""

    name: str
    caption: str
    figure: Figure
    box: str | None = None

    @property
    def uri(self) -> str:
        """The picture as SVG in a data address; text is drawn as paths, so that no font is needed."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode()

    @cached_property
    def svg(self) -> bytes:
        """The file."""
        buffer = io.BytesIO()
        with mpl.rc_context(RC), without_warnings():
            self.figure.savefig(buffer, format="svg", bbox_inches=self.box, metadata={"Date": None})
        return buffer.getvalue()


@dataclass(frozen=True)
class Section:
    """One part of the page; `files` are pictures that are written and not shown, for the page has the same as text."""

    title: str
    text: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    files: list[Picture] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """Where links to it lead."""
        return self.title.lower().replace(" ", "-").replace(",", "")


@dataclass(frozen=True)
class Report:
    """Everything there is to say, the answer first.

    Attributes:
        title: Of the page.
        warnings: What stands before everything else: where nothing was learnt.
        answer: What stands at the top, with its picture; None where there is nothing to compare.
        others: Answers on each data set and against further baselines, with their pictures.
        facts: What one must know to read the rest.
        verdicts: All of them, over all data sets first; of the data sets on which something was learnt.
        edges: Learning rates whose best value is at the end of what was tried.
        more_seeds: The command that adds the seeds that verdicts need; empty if they have enough.
        refresh: Seconds after which the page loads itself again; 0 for never.
        progress: How far the sweep is; empty if it is done.
        sections: The rest.
    """

    title: str
    warnings: list[str]
    answer: tuple[Answer, Forest] | None
    others: list[tuple[Answer, Forest]]
    facts: list[str]
    verdicts: list[Comparison]
    sections: list[Section]
    edges: tuple[Edge, ...] = ()
    more_seeds: str = ""
    refresh: int = 0
    progress: str = ""

    @property
    def told(self) -> list[Comparison]:
        """Verdicts that the page has in words: all of a few, else those that show or lean to something."""
        chosen = sorted(self.verdicts, key=lambda one: (one.rank, math.inf if math.isnan(one.p_value) else one.p_value))
        return chosen if len(chosen) <= LINES else [one for one in chosen if one.rank < 2]

    def html(self) -> str:
        """The page."""
        return rendered("page.html.j2", report=self)

    def tables(self) -> Iterator[Table]:
        """Those of all sections."""
        for section in self.sections:
            yield from section.tables


def build(loaded: Loaded, selection: Selection, seed: int = 0) -> Report:
    """Computes and draws the report; `seed` is that of the bootstrap."""
    found = compare(selection, seed)
    overall = compare_overall(selection, found, seed)
    plots = [(one, plotted(selection, one)) for one in answers(selection, found, overall)]
    first = plots[0] if plots else None
    names = _shown(selection, first[0].ranked if first else [])
    with mpl.rc_context(RC):
        style = looks(selection.algorithms)
        sections = [
            _scores(selection, names, style),
            _differences(selection, found, overall, style),
            _controls(against_controls(found)),
            _curves(selection, names, style),
            _inside_outside(selection, names, style),
            _aggregates(selection, names, style, seed),
            _cost(selection, names, style),
            _sensitivity(selection, names, style),
            _rollouts(selection, names, style),
            _selection(selection),
            *_refits(selection),
            _throughput(selection),
            _failures(selection),
            _settings(selection),
        ]
    warnings = warnings_of(selection)
    return Report(
        title=", ".join(selection.datasets),
        warnings=warnings,
        answer=first,
        others=plots[1:],
        facts=_facts(loaded, selection, seed, names),
        verdicts=[one for one in (*overall, *found) if one.learnt],
        sections=sections,
        edges=tuple(selection.edges),
    )


def _shown(selection: Selection, ranked: Sequence[Comparison]) -> tuple[str, ...]:
    """The algorithms of the pictures: all, or the baselines and the best."""
    names = selection.algorithms
    if len(names) <= TOGETHER:
        return names
    chosen = [*selection.baselines, *(one.algorithm for one in ranked)] if ranked else names
    return tuple(list(dict.fromkeys(chosen))[:TOGETHER])


def _facts(loaded: Loaded, selection: Selection, seed: int, names: Sequence[str]) -> list[str]:
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
    facts += [f"At the edge of the search: {edge.sentence}." for edge in selection.edges]
    if selection.inner:
        facts.append(
            f"{count(len(selection.inner), 'run')} with a larger held-out set were made for cross-validation only; "
            "--held-out names the sets to report on."
        )
    if loaded.repeated:
        facts.append(f"{count(loaded.repeated, 'record')} left out: another one of the same run counts.")
    if len(loaded.codes) > 1:
        facts.append(
            f"CAUTION: the runs were made with {len(loaded.codes)} versions of the code: {', '.join(loaded.codes)}."
        )
    return facts + [text for dataset in selection.datasets for text in _imbalance(selection, dataset)]


def _repetition(selection: Selection, dataset: str) -> list[str]:
    """Whether mini-batches were drawn with repetition."""
    found = [max(run["diagnostics"]["repetition"]) for run in selection.of_dataset(dataset) if _repeats(run)]
    if not found:
        return []
    text = (
        f"Mini-batches on {dataset} were drawn with repetition in {len(found)} runs: a roll-out went through the "
        f"examples of the smallest training domain up to {max(found):.3g} times (less with a smaller --batch-size "
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
        points = len({record["config"]["point"] for record in own})
        seeds = len({record["config"]["seed"] for record in own})
        budgets.setdefault((points, seeds), []).append(algorithm)
    if len(budgets) > 1:
        parts = [f"{', '.join(names)}: {points} points, {seeds} seeds" for (points, seeds), names in budgets.items()]
        yield f"CAUTION: not everything had the same budget on {dataset}. " + "; ".join(parts) + "."


def _each(
    selection: Selection,
    names: Sequence[str],
    name: str,
    caption: str,
    draw: Callable[..., Figure | None],
    style: dict[str, Look],
) -> list[Picture]:
    """A picture for each data set."""
    pictures = []
    for dataset in selection.datasets:
        there = [one for one in names if one in selection.algorithms_on(dataset)]
        figure = draw(selection, dataset, there, style) if there else None
        if figure is not None:
            pictures.append(Picture(f"{name}-{dataset}", f"{dataset}: {caption}", figure))
    return pictures


def _scores(selection: Selection, names: Sequence[str], style: dict[str, Look]) -> Section:
    caption = "mean over seeds on every held-out domain and, shaded, on average; bars are 95 % intervals."
    pictures = _each(selection, names, "accuracy", caption, draw_scores.accuracies, style)
    known = {name: describe_dataset(name, selection.of_dataset(name)) for name in selection.datasets}
    text = [f"{name}: {what}." for name, what in known.items() if what]
    return Section(
        "Held-out scores", text, pictures, [tables.accuracies(selection, name) for name in selection.datasets]
    )


def _differences(
    selection: Selection, found: Sequence[Comparison], overall: Sequence[Comparison], style: dict[str, Look]
) -> Section:
    if not found:
        return Section("Paired differences", ["There is nothing to compare: only one algorithm has runs."])
    files = []
    for dataset in selection.datasets:
        own = _best(one for one in found if (one.dataset, one.baseline) == (dataset, selection.baselines[0]))
        if own:
            files.append(_forest_file(f"differences-{dataset}", own, style))
    made = [tables.comparisons(found)]
    if overall:
        made.insert(0, tables.comparisons(overall, "overall", "Paired differences over all data sets"))
    return Section("Paired differences", [], [], made, files)


def _best(found: Iterable[Comparison]) -> list[Comparison]:
    return sorted((one for one in found if one.difference.n), key=lambda one: -one.difference.mean)[:LINES]


def _forest_file(name: str, own: Sequence[Comparison], style: dict[str, Look]) -> Picture:
    caption = (
        "Average difference with its 95 % t-interval over seeds; grey ticks: held-out domains; grey cross, where "
        "known: the predictor that looks at no input."
    )
    return Picture(name, caption, draw_scores.differences(own, style), "tight")  # words stand beside the axes


def _controls(found: Sequence[Comparison]) -> Section:
    title = "Against the matched control"
    if not found:
        return Section(title, ["No algorithm has runs beside its control."])
    text = (
        "A control is the same in everything but in what the algorithm is named after: inner steps, batches, budget. "
        "These lines are some of the paired differences, with the same verdicts."
    )
    return Section(title, [text], [], [tables.comparisons(found, "controls", title)])


def _curves(selection: Selection, names: Sequence[str], style: dict[str, Look]) -> Section:
    caption = (
        "scores along training of the chosen points: mean over seeds and held-out domains, band of ± 1 standard error."
    )
    return Section("Learning curves", [], _each(selection, names, "curves", caption, draw_scores.curves, style))


def _inside_outside(selection: Selection, names: Sequence[str], style: dict[str, Look]) -> Section:
    caption = (
        "What the selection went by against what it reached: a dot for each held-out domain and seed. "
        "Dotted, where drawn: both are equal."
    )
    figure = draw_scores.inside_outside(selection, names, style)
    return Section("In-domain and out-of-domain", [], [Picture("inside-outside", caption, figure)])


def _aggregates(selection: Selection, names: Sequence[str], style: dict[str, Look], seed: int) -> Section:
    text = (
        "Interquartile mean, performance profile and probability of improvement as defined in arXiv:2108.13264. Scores "
        "are normalised on every held-out domain first, to the mean 0 and the standard deviation 1 of all its scores: "
        "else the middle half of all scores has none of an easy or a hard domain."
    )
    caption = "Share of runs (seed and held-out domain) above a normalised score; bands: 95 % bootstrap over seeds."
    picture = Picture("profiles", caption, draw_scores.profiles(selection, names, style, seed))
    return Section("Aggregates and profiles", [text], [picture], [tables.aggregates(selection, seed)])


def _cost(selection: Selection, names: Sequence[str], style: dict[str, Look]) -> Section:
    caption = "average held-out score against what the chosen runs took; bars are standard errors."
    pictures = _each(selection, names, "cost", caption, draw_runs.cost, style)
    return Section("Cost", [], pictures, [tables.costs(selection)])


def _sensitivity(selection: Selection, names: Sequence[str], style: dict[str, Look]) -> Section:
    caption = (
        "a dot for each seed and point of the search: mean over the held-out domains at the checkpoint that validation "
        "chose. Large dots are the defaults."
    )
    pictures = _each(selection, names, "sensitivity", caption, draw_runs.sensitivity, style)
    none = [] if pictures else ["Every algorithm has one set of hyper-parameters: nothing to see."]
    return Section("Sensitivity to hyper-parameters", none, pictures)


def _rollouts(selection: Selection, names: Sequence[str], style: dict[str, Look]) -> Section:
    found = agreements(selection)
    if not found:
        return Section("Roll-outs", ["No run recorded a spectrum."])
    caption = (
        "Share of every principal direction in the variance of a roll-out, and cosine of the principal gradient g with "
        "theta_0 - theta_T (a dot for each chosen run). Dashed: a random walk of as many steps."
    )
    drawn = [one for one in found if one.algorithm in names] or found[:TOGETHER]
    picture = Picture("rollouts", caption, draw_runs.rollouts(drawn, style))
    return Section("Roll-outs", [], [picture], [tables.rollouts(found)])


def _selection(selection: Selection) -> Section:
    return Section("Methods of selection", [], [], [tables.methods(selection)])


def _refits(selection: Selection) -> list[Section]:
    """None where nothing was trained again."""
    made = refits(selection)
    return [] if made is None else [Section("Refit", [], [], [made])]


def _throughput(selection: Selection) -> Section:
    done = work([*selection.records, *selection.inner, *selection.refits])
    if done is None:
        return Section("Throughput", ["The records do not say which worker did which run when."])
    picture = Picture("workers", "What every worker did; white: no run.", draw_runs.workers(done))
    return Section("Throughput", [done.sentence], [picture])


def _failures(selection: Selection) -> Section:
    if not selection.failed:
        return Section("Failed runs", ["No run failed."])
    return Section("Failed runs", [f"{count(len(selection.failed), 'run')} failed."], [], [tables.failures(selection)])


def _settings(selection: Selection) -> Section:
    text = [f"{name}: {what}." for name in selection.algorithms if (what := describe_algorithm(name))]
    environments = {
        ", ".join(f"{key} {value}" for key, value in record.get("environment", {}).items())
        for record in selection.records
    }
    text += [f"Made with: {each}." for each in sorted(environments)[:5]]
    if len(environments) > 5:
        text.append(f"And {len(environments) - 5} more environments; the records hold them all.")
    return Section("Settings and environment", text, [], [tables.settings(selection)])
