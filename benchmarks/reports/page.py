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
from benchmarks.reports.load import Loaded
from benchmarks.reports.names import describe_algorithm, describe_dataset
from benchmarks.reports.selection import Study
from benchmarks.reports.spectra import agreements
from benchmarks.reports.style import RC, Look, looks
from benchmarks.reports.tables import Table
from benchmarks.reports.throughput import work
from benchmarks.runs.protocol import METHODS

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
    """Everything there is to say."""

    title: str
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


def build(loaded: Loaded, study: Study, seed: int = 0) -> Report:
    """Computes and draws the report; `seed` is that of the bootstrap."""
    with mpl.rc_context(RC):
        style = looks(study.algorithms)
        found = compare(study, seed)
        sections = [
            _scores(study, style),
            _differences(study, found, style),
            _controls(compare_with_controls(study, seed), style),
            _curves(study, style),
            _inside_outside(study, style),
            _aggregates(study, style, seed),
            _cost(study, style),
            _sensitivity(study, style),
            _rollouts(study, style),
            _selection(study),
            _throughput(study),
            _failures(study),
            _settings(study),
        ]
    return Report(", ".join(study.datasets), _facts(loaded, study, seed, len(found)), found, sections)


def _facts(loaded: Loaded, study: Study, seed: int, comparisons: int) -> list[str]:
    """What one must know to read the rest."""
    finished = sum(record["status"] == "finished" for record in study.records)
    facts = [
        f"{len(loaded.records)} runs, {len(study.failed)} of them failed; {finished} finished ones are reported on.",
        f"Selection: {study.method} ({METHODS[study.method]}) chooses the point of random search and the checkpoint. "
        + (
            "It sees the held-out domains: no result of it can be reached in practice."
            if study.method == "oracle"
            else ""
        ),
        f"Baselines: {', '.join(study.baselines)}. Seed of the bootstrap: {seed}.",
        "The unit of repetition is the seed. Intervals speak of other seeds on the same data, not of other domains.",
    ]
    for dataset in study.datasets:
        least = comparisons * 2.0 ** (1 - len(study.seeds(dataset)))
        if comparisons and least >= LEVEL:
            facts.append(
                f"CAUTION: with {len(study.seeds(dataset))} seeds on {dataset} and {comparisons} comparisons no "
                f"corrected p-value there is sure to fall below {min(least, 1.0):.3g}, however large a difference is: "
                "“better” and “worse” need more seeds or fewer comparisons."
            )
    if study.inner:
        facts.append(f"{len(study.inner)} runs with a larger held-out set were made for cross-validation only.")
    if loaded.repeated:
        facts.append(f"{loaded.repeated} records were left out: another one of the same run counts.")
    if len(loaded.codes) > 1:
        facts.append(
            f"CAUTION: the runs were made with {len(loaded.codes)} versions of the code: {', '.join(loaded.codes)}."
        )
    return facts + [text for dataset in study.datasets for text in _imbalance(study, dataset)]


def _imbalance(study: Study, dataset: str) -> Iterator[str]:
    """Whether all algorithms had the same chances."""
    budgets: dict[tuple[int, int], list[str]] = {}
    for algorithm in study.algorithms_on(dataset):
        own = [record for record in study.of_dataset(dataset) if record["config"]["algorithm"] == algorithm]
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
    study: Study, name: str, caption: str, draw: Callable[..., Figure | None], style: dict[str, Look]
) -> list[Picture]:
    """A picture for each data set and group of algorithms."""
    pictures = []
    for dataset in study.datasets:
        for number, group in enumerate(_groups(study.algorithms_on(dataset)), start=1):
            figure = draw(study, dataset, group, style)
            if figure is not None:
                pictures.append(Picture(f"{name}-{dataset}-{number}", f"{dataset}: {caption}", figure))
    return pictures


def _scores(study: Study, style: dict[str, Look]) -> Section:
    caption = "mean over seeds on every held-out domain and, shaded, on average; bars are 95 % t-intervals."
    pictures = _each(study, "accuracy", caption, draw_scores.accuracies, style)
    known = {name: describe_dataset(name, study.of_dataset(name)) for name in study.datasets}
    text = [f"{name}: {what}." for name, what in known.items() if what]
    return Section("Held-out scores", text, pictures, [tables.accuracies(study, name) for name in study.datasets])


def _differences(study: Study, found: list[Comparison], style: dict[str, Look]) -> Section:
    if not found:
        return Section("Paired differences", ["There is nothing to compare: only one algorithm has runs."])
    pictures = []
    for baseline in study.baselines:
        own = [one for one in found if one.baseline == baseline]
        if own:
            caption = (
                f"Average difference to {baseline} with its 95 % t-interval over seeds; grey ticks: held-out domains."
            )
            pictures.append(Picture(f"differences-{baseline}", caption, draw_scores.differences(own, style)))
    return Section("Paired differences", [], pictures, [tables.comparisons(found)])


def _controls(found: list[Comparison], style: dict[str, Look]) -> Section:
    title = "Against the matched control"
    if not found:
        return Section(title, ["No algorithm has runs beside its control."])
    text = ["A control is the same in everything but in what the algorithm is named after: walk, batches, budget."]
    pictures = []
    for dataset in dict.fromkeys(one.dataset for one in found):
        own = [one for one in found if one.dataset == dataset]
        caption = f"{dataset}: average difference to the control, with its 95 % t-interval over seeds."
        pictures.append(Picture(f"controls-{dataset}", caption, draw_scores.differences(own, style)))
    return Section(title, text, pictures, [tables.comparisons(found, "controls", title)])


def _curves(study: Study, style: dict[str, Look]) -> Section:
    caption = (
        "scores along training of the chosen points: mean over seeds and held-out domains, band of ± 1 standard error."
    )
    return Section("Learning curves", [], _each(study, "curves", caption, draw_scores.curves, style))


def _inside_outside(study: Study, style: dict[str, Look]) -> Section:
    pictures = [
        Picture(
            f"inside-outside-{number}",
            "What the selection went by against what it reached: a dot for each held-out domain and seed. "
            "Dotted, where drawn: both are equal.",
            draw_scores.inside_outside(study, group, style),
        )
        for number, group in enumerate(_groups(study.algorithms), start=1)
    ]
    return Section("In-domain and out-of-domain", [], pictures)


def _aggregates(study: Study, style: dict[str, Look], seed: int) -> Section:
    text = ["Interquartile mean, performance profile and probability of improvement as defined in arXiv:2108.13264."]
    caption = "Share of runs (seed and held-out domain) above a score; bands: 95 % bootstrap over seeds."
    pictures = [
        Picture(f"profiles-{number}", caption, draw_scores.profiles(study, group, style, seed))
        for number, group in enumerate(_groups(study.algorithms), start=1)
    ]
    return Section("Aggregates and profiles", text, pictures, [tables.aggregates(study, seed)])


def _cost(study: Study, style: dict[str, Look]) -> Section:
    caption = "average held-out score against what the chosen runs took; bars are standard errors."
    return Section("Cost", [], _each(study, "cost", caption, draw_runs.cost, style), [tables.costs(study)])


def _sensitivity(study: Study, style: dict[str, Look]) -> Section:
    caption = (
        "a dot for each seed and point of the search: mean over the held-out domains at the checkpoint that validation "
        "chose. Large dots are the defaults."
    )
    pictures = _each(study, "sensitivity", caption, draw_runs.sensitivity, style)
    none = [] if pictures else ["Every algorithm has one set of hyper-parameters: nothing to see."]
    return Section("Sensitivity to hyper-parameters", none, pictures)


def _rollouts(study: Study, style: dict[str, Look]) -> Section:
    found = agreements(study)
    if not found:
        return Section("Roll-outs", ["No run recorded a spectrum."])
    caption = (
        "Share of every principal direction in the variance of a roll-out, and cosine of the principal gradient g with "
        "the way back (a dot for each chosen run). Dashed: a random walk of as many steps."
    )
    return Section(
        "Roll-outs", [], [Picture("rollouts", caption, draw_runs.rollouts(found, style))], [tables.rollouts(found)]
    )


def _selection(study: Study) -> Section:
    return Section("Methods of selection", [], [], [tables.methods(study)])


def _throughput(study: Study) -> Section:
    done = work([*study.records, *study.inner])
    if done is None:
        return Section("Throughput", ["The records do not say which worker did which run when."])
    picture = Picture("workers", "What every worker did; white: no run.", draw_runs.workers(done))
    return Section("Throughput", [done.sentence], [picture])


def _failures(study: Study) -> Section:
    if not study.failed:
        return Section("Failed runs", ["No run failed."])
    return Section("Failed runs", [f"{len(study.failed)} runs failed."], [], [tables.failures(study)])


def _settings(study: Study) -> Section:
    text = [f"{name}: {what}." for name in study.algorithms if (what := describe_algorithm(name))]
    environments = {
        ", ".join(f"{key} {value}" for key, value in record.get("environment", {}).items()) for record in study.records
    }
    text += [f"Made with: {each}." for each in sorted(environments)[:5]]
    if len(environments) > 5:
        text.append(f"And {len(environments) - 5} more environments; the records hold them all.")
    return Section("Settings and environment", text, [], [tables.settings(study)])
