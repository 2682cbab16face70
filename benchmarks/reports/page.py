"""The page: sections of text, tables and pictures in one file that needs nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources

import jinja2
import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.reports import draw_runs, draw_scores, tables
from benchmarks.reports.comparisons import LEVEL, Comparison, compare, compare_with_controls
from benchmarks.reports.constant import warnings_of
from benchmarks.reports.load import Loaded, Run
from benchmarks.reports.names import describe_algorithm, describe_dataset
from benchmarks.reports.selection import Selection
from benchmarks.reports.spectra import agreements
from benchmarks.reports.style import RC, Look, looks
from benchmarks.reports.tables import Table
from benchmarks.reports.throughput import work
from benchmarks.runs.rules import ORACLE, Rule
from benchmarks.sweeps.edges import edges

TOGETHER = 7
"""Algorithms in one picture; more are shown in several pictures, each with the first baseline."""


@dataclass(frozen=True)
class Picture:
    """One picture: the name of its files, what it shows, and the drawing."""

    name: str
    caption: str
    figure: Figure

    @property
    def uri(self) -> str:
        """The picture as SVG in a data address; text is drawn as paths, so that no font is needed."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg).decode()

    @cached_property
    def svg(self) -> bytes:
        """The file."""
        buffer = io.BytesIO()
        with mpl.rc_context(RC):
            self.figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
        return buffer.getvalue()


@dataclass(frozen=True)
class Section:
    """One part of the page."""

    title: str
    text: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """Where links to it lead."""
        return self.title.lower().replace(" ", "-").replace(",", "")


@dataclass(frozen=True)
class Report:
    """Everything there is to say.

    Attributes:
        title: Of the page.
        warnings: What stands before everything else: where nothing was learnt.
        facts: What one must know to read the rest.
        verdicts: Of the data sets on which something was learnt.
        sections: The rest.
    """

    title: str
    warnings: list[str]
    facts: list[str]
    verdicts: list[Comparison]
    sections: list[Section]

    def html(self) -> str:
        """The page."""
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
        template = (resources.files(__package__) / "page.html.j2").read_text(encoding="utf-8")
        return environment.from_string(template).render(report=self)

    def tables(self) -> Iterator[Table]:
        """Those of all sections."""
        for section in self.sections:
            yield from section.tables


def build(loaded: Loaded, selection: Selection, seed: int = 0) -> Report:
    """Computes and draws the report; `seed` is that of the bootstrap."""
    with mpl.rc_context(RC):
        style = looks(selection.algorithms)
        found = compare(selection, seed)
        sections = [
            _scores(selection, style),
            _differences(selection, found, style),
            _controls(compare_with_controls(selection, seed), style),
            _curves(selection, style),
            _inside_outside(selection, style),
            _aggregates(selection, style, seed),
            _cost(selection, style),
            _sensitivity(selection, style),
            _rollouts(selection, style),
            _selection(selection),
            _throughput(selection),
            _failures(selection),
            _settings(selection),
        ]
    warnings = warnings_of(selection)
    verdicts = [one for one in found if one.learnt]
    return Report(
        ", ".join(selection.datasets), warnings, _facts(loaded, selection, seed, len(found)), verdicts, sections
    )


def _facts(loaded: Loaded, selection: Selection, seed: int, comparisons: int) -> list[str]:
    """What one must know to read the rest."""
    finished = sum(record["status"] == "finished" for record in selection.records)
    rule = Rule.named(selection.method)
    facts = [
        f"{len(loaded.records)} runs, {len(selection.failed)} of them failed; reported on: {finished} finished ones.",
        f"Selection: {selection.method} ({rule.description}) chooses the point of random search and the "
        "checkpoint. "
        + (
            "It sees the held-out domains: no result of it can be reached in practice." if rule.method == ORACLE else ""
        ),
        f"Baselines: {', '.join(selection.baselines)}. Seed of the bootstrap: {seed}.",
        "The unit of repetition is the seed. Intervals speak of other seeds on the same data, not of other domains.",
    ]
    for dataset in selection.datasets:
        least = comparisons * 2.0 ** (1 - len(selection.seeds(dataset)))
        if comparisons and least >= LEVEL:
            facts.append(
                f"CAUTION: with {len(selection.seeds(dataset))} seeds on {dataset} and {comparisons} comparisons no "
                f"corrected p-value there is sure to fall below {min(least, 1.0):.3g}, however large a difference is: "
                "“better” and “worse” need more seeds or fewer comparisons."
            )
        facts += _repetition(selection, dataset)
    facts += [f"At the edge of the search: {edge.sentence}." for edge in edges(loaded.records, selection.method)]
    if selection.inner:
        facts.append(f"{len(selection.inner)} runs with a larger held-out set were made for cross-validation only.")
    if loaded.repeated:
        facts.append(f"{loaded.repeated} records were left out: another one of the same run counts.")
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
        own = [record for record in selection.of_dataset(dataset) if record["config"]["algorithm"] == algorithm]
        points = len({record["config"]["point"] for record in own})
        seeds = len({record["config"]["seed"] for record in own})
        budgets.setdefault((points, seeds), []).append(algorithm)
    if len(budgets) > 1:
        parts = [f"{', '.join(names)}: {points} points, {seeds} seeds" for (points, seeds), names in budgets.items()]
        yield f"CAUTION: not everything had the same budget on {dataset}. " + "; ".join(parts) + "."


def _groups(algorithms: Sequence[str]) -> list[tuple[str, ...]]:
    """Algorithms that go into one picture."""
    if len(algorithms) <= TOGETHER:
        return [tuple(algorithms)]
    first, others = algorithms[:1], algorithms[1:]
    return [(*first, *others[i : i + TOGETHER - 1]) for i in range(0, len(others), TOGETHER - 1)]


def _each(
    selection: Selection, name: str, caption: str, draw: Callable[..., Figure | None], style: dict[str, Look]
) -> list[Picture]:
    """A picture for each data set and group of algorithms."""
    pictures = []
    for dataset in selection.datasets:
        for number, group in enumerate(_groups(selection.algorithms_on(dataset)), start=1):
            figure = draw(selection, dataset, group, style)
            if figure is not None:
                pictures.append(Picture(f"{name}-{dataset}-{number}", f"{dataset}: {caption}", figure))
    return pictures


def _scores(selection: Selection, style: dict[str, Look]) -> Section:
    caption = "mean over seeds on every held-out domain and, shaded, on average; bars are 95 % t-intervals."
    pictures = _each(selection, "accuracy", caption, draw_scores.accuracies, style)
    known = {name: describe_dataset(name, selection.of_dataset(name)) for name in selection.datasets}
    text = [f"{name}: {what}." for name, what in known.items() if what]
    return Section(
        "Held-out scores", text, pictures, [tables.accuracies(selection, name) for name in selection.datasets]
    )


def _differences(selection: Selection, found: list[Comparison], style: dict[str, Look]) -> Section:
    if not found:
        return Section("Paired differences", ["There is nothing to compare: only one algorithm has runs."])
    pictures = []
    for baseline in selection.baselines:
        own = [one for one in found if one.baseline == baseline]
        if own:
            caption = (
                f"Average difference to {baseline} with its 95 % t-interval over seeds; grey ticks: held-out domains; "
                "grey cross, where known: the predictor that looks at no input."
            )
            pictures.append(Picture(f"differences-{baseline}", caption, draw_scores.differences(own, style)))
    return Section("Paired differences", [], pictures, [tables.comparisons(found)])


def _controls(found: list[Comparison], style: dict[str, Look]) -> Section:
    title = "Against the matched control"
    if not found:
        return Section(title, ["No algorithm has runs beside its control."])
    text = [
        "A control is the same in everything but in what the algorithm is named after: inner steps, batches, budget."
    ]
    pictures = []
    for dataset in dict.fromkeys(one.dataset for one in found):
        own = [one for one in found if one.dataset == dataset]
        caption = (
            f"{dataset}: average difference to the control, with its 95 % t-interval over seeds; grey cross, where "
            "known: the predictor that looks at no input."
        )
        pictures.append(Picture(f"controls-{dataset}", caption, draw_scores.differences(own, style)))
    return Section(title, text, pictures, [tables.comparisons(found, "controls", title)])


def _curves(selection: Selection, style: dict[str, Look]) -> Section:
    caption = (
        "scores along training of the chosen points: mean over seeds and held-out domains, band of ± 1 standard error."
    )
    return Section("Learning curves", [], _each(selection, "curves", caption, draw_scores.curves, style))


def _inside_outside(selection: Selection, style: dict[str, Look]) -> Section:
    pictures = [
        Picture(
            f"inside-outside-{number}",
            "What the selection went by against what it reached: a dot for each held-out domain and seed. "
            "Dotted, where drawn: both are equal.",
            draw_scores.inside_outside(selection, group, style),
        )
        for number, group in enumerate(_groups(selection.algorithms), start=1)
    ]
    return Section("In-domain and out-of-domain", [], pictures)


def _aggregates(selection: Selection, style: dict[str, Look], seed: int) -> Section:
    text = ["Interquartile mean, performance profile and probability of improvement as defined in arXiv:2108.13264."]
    caption = "Share of runs (seed and held-out domain) above a score; bands: 95 % bootstrap over seeds."
    pictures = [
        Picture(f"profiles-{number}", caption, draw_scores.profiles(selection, group, style, seed))
        for number, group in enumerate(_groups(selection.algorithms), start=1)
    ]
    return Section("Aggregates and profiles", text, pictures, [tables.aggregates(selection, seed)])


def _cost(selection: Selection, style: dict[str, Look]) -> Section:
    caption = "average held-out score against what the chosen runs took; bars are standard errors."
    return Section("Cost", [], _each(selection, "cost", caption, draw_runs.cost, style), [tables.costs(selection)])


def _sensitivity(selection: Selection, style: dict[str, Look]) -> Section:
    caption = (
        "a dot for each seed and point of the search: mean over the held-out domains at the checkpoint that validation "
        "chose. Large dots are the defaults."
    )
    pictures = _each(selection, "sensitivity", caption, draw_runs.sensitivity, style)
    none = [] if pictures else ["Every algorithm has one set of hyper-parameters: nothing to see."]
    return Section("Sensitivity to hyper-parameters", none, pictures)


def _rollouts(selection: Selection, style: dict[str, Look]) -> Section:
    found = agreements(selection)
    if not found:
        return Section("Roll-outs", ["No run recorded a spectrum."])
    caption = (
        "Share of every principal direction in the variance of a roll-out, and cosine of the principal gradient g with "
        "theta_0 - theta_T (a dot for each chosen run). Dashed: a random walk of as many steps."
    )
    return Section(
        "Roll-outs", [], [Picture("rollouts", caption, draw_runs.rollouts(found, style))], [tables.rollouts(found)]
    )


def _selection(selection: Selection) -> Section:
    return Section("Methods of selection", [], [], [tables.methods(selection)])


def _throughput(selection: Selection) -> Section:
    done = work([*selection.records, *selection.inner])
    if done is None:
        return Section("Throughput", ["The records do not say which worker did which run when."])
    picture = Picture("workers", "What every worker did; white: no run.", draw_runs.workers(done))
    return Section("Throughput", [done.sentence], [picture])


def _failures(selection: Selection) -> Section:
    if not selection.failed:
        return Section("Failed runs", ["No run failed."])
    return Section("Failed runs", [f"{len(selection.failed)} runs failed."], [], [tables.failures(selection)])


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
