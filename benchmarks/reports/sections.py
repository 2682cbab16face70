"""The sections of a report: each with its pictures and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.base.wording import count
from benchmarks.reports import draw_runs, draw_scores, tables_runs, tables_scores
from benchmarks.reports.comparisons import Comparison, against_controls
from benchmarks.reports.confirmed import Confirmed
from benchmarks.reports.names import describe_algorithm, describe_dataset
from benchmarks.reports.page import Picture, Section
from benchmarks.reports.refitted import refits
from benchmarks.reports.selection import Selection
from benchmarks.reports.spectra import agreements
from benchmarks.reports.style import RC, Look, looks
from benchmarks.reports.throughput import work

LINES = 24
"""Of a forest plot that is written for papers; the one on the page has all."""

TOGETHER = 7
"""Algorithms in one picture: of more, the baselines and the best."""


def sections_of(
    selection: Selection, found: Sequence[Comparison], overall: Sequence[Comparison], names: Sequence[str], seed: int
) -> list[Section]:
    """All sections of the page.

    Args:
        selection: What the report is about.
        found: All comparisons on single data sets.
        overall: Those over all data sets.
        names: The algorithms of the pictures.
        seed: Of the bootstrap.
    """
    with mpl.rc_context(RC):
        style = looks(selection.algorithms)
        return [
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


def sections_confirmed(found: Sequence[Confirmed]) -> list[Section]:
    """One section, if sweeps were made to confirm something."""
    if not found:
        return []
    text = (
        "These comparisons were named in the sweep file before it ran, and are corrected for one another alone. All "
        "others on this page are exploratory."
    )
    made = []
    for one in found:
        name, title = ("confirmed-refit", "Confirmatory, with refit") if one.refitted else ("confirmed", "Confirmatory")
        made.append(tables_scores.comparisons(one.found, name, title, "what was named"))
        if one.each != one.found:
            each = f"{title}: each data set"
            made.append(tables_scores.comparisons(one.each, f"{name}-each", each, "what was named, on each data set"))
    return [Section("Confirmatory comparisons", [text], [], made)]


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
        "Held-out scores", text, pictures, [tables_scores.accuracies(selection, name) for name in selection.datasets]
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
    made = [tables_scores.comparisons(found)]
    if overall:
        made.insert(0, tables_scores.comparisons(overall, "overall", "Paired differences over all data sets"))
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
    return Section(title, [text], [], [tables_scores.comparisons(found, "controls", title)])


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
    return Section("Aggregates and profiles", [text], [picture], [tables_scores.aggregates(selection, seed)])


def _cost(selection: Selection, names: Sequence[str], style: dict[str, Look]) -> Section:
    caption = "average held-out score against what the chosen runs took; bars are standard errors."
    pictures = _each(selection, names, "cost", caption, draw_runs.cost, style)
    return Section("Cost", [], pictures, [tables_runs.costs(selection)])


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
    return Section("Roll-outs", [], [picture], [tables_runs.rollouts(found)])


def _selection(selection: Selection) -> Section:
    return Section("Methods of selection", [], [], [tables_scores.methods(selection)])


def _refits(selection: Selection) -> list[Section]:
    """None where nothing was trained again."""
    made = refits(selection)
    return [] if made is None else [Section("Refit", [], [], [made])]


def _throughput(selection: Selection) -> Section:
    done = work(list(selection.everything))
    if done is None:
        return Section("Throughput", ["The records do not say which worker did which run when."])
    picture = Picture("workers", "What every worker did; white: no run.", draw_runs.workers(done))
    return Section("Throughput", [done.sentence], [picture])


def _failures(selection: Selection) -> Section:
    if not selection.failed:
        return Section("Failed runs", ["No run failed."])
    return Section(
        "Failed runs", [f"{count(len(selection.failed), 'run')} failed."], [], [tables_runs.failures(selection)]
    )


def _settings(selection: Selection) -> Section:
    text = [f"{name}: {what}." for name in selection.algorithms if (what := describe_algorithm(name))]
    text += [f"{name}: what the selection chooses among {', '.join(of)}." for name, of in selection.families.items()]
    environments = {
        ", ".join(f"{key} {value}" for key, value in record.get("environment", {}).items())
        for record in selection.records
    }
    text += [f"Made with: {each}." for each in sorted(environments)[:5]]
    if len(environments) > 5:
        text.append(f"And {len(environments) - 5} more environments; the records hold them all.")
    return Section("Settings and environment", text, [], [tables_runs.settings(selection)])
