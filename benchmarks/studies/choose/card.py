"""The model card: what the model is, what to expect of it, where it fails, how it was made, how to use it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from benchmarks.base.wording import count
from benchmarks.models.settings import FULL
from benchmarks.runs.model_folder import Description
from benchmarks.studies.choose.expectation import NOTHING, Interval, Left, Verdict


def number(value: float, about: Description) -> str:
    """A figure of the measure: shares as percentages, quantities as they are.

    Example:
        >>> from benchmarks.runs.model_folder import NetworkShape
        >>> net = NetworkShape(model="mlp", input_shape=(1,), n_outputs=2)
        >>> number(0.8125, Description(network=net, reading={}, classes=("no", "yes")))
        '81.2'
    """
    if math.isnan(value):
        return "not defined"
    return f"{100 * value:.1f}" if about.classes else f"{value:.4g}"


def interval(ends: Interval, about: Description) -> str:
    """In brackets; empty where nothing can be said."""
    return f"[{number(ends.low, about)}, {number(ends.high, about)}]" if ends.known else ""


def unit(about: Description) -> str:
    """Behind the name of the measure."""
    return ", %" if about.classes else ""


def expected(about: Description, verdict: Verdict) -> str:
    """What to expect on a domain that nobody has seen, in one or two sentences."""
    taken, measure = verdict.taken, about.choice["metric"]
    text = f"On an unseen domain expect {measure.replace('_', ' ')} {number(taken.mean, about)}"
    text += f"{'%' if about.classes else ''}"
    if taken.of_next.known:
        text += f"; 95 of 100 further domains like these lie in {interval(taken.of_next, about)}"
    worst = taken.worst
    return f"{text}; the worst of {len(taken.domains)} was {worst.name} with {number(worst.value, about)}."


def compared(about: Description, verdict: Verdict) -> str:
    """The choice against plain ERM, in a sentence."""
    difference = f"{number(verdict.difference, about)} {interval(verdict.of_difference, about)}".strip()
    if verdict.same:
        return (
            "What was chosen with all domains is plain ERM at its default itself, so its figures are those to expect; "
            f"choices made without one domain differed from it by {difference} over domains."
        )
    if not verdict.better:
        return (
            "Nothing in the search beat plain ERM at its default on domains that were left out (difference "
            f"{difference} over domains), so this is plain ERM. Its figures were looked at to decide that."
        )
    unclear = verdict.of_difference.known and verdict.of_difference.low <= 0.0
    clear = ", an interval that holds zero: the gain may be chance" if unclear else ""
    return f"Over plain ERM at its default the choice gained {difference} on domains that were left out{clear}."


def domain_rows(about: Description, verdict: Verdict) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The table of left-out domains: its columns, and a row for each with the mean below."""
    measure = about.choice["metric"].replace("_", " ") + unit(about)
    columns = ["left out", "examples", measure, "95 % inside it", "plain ERM", _plain_name(about), "validation said"]
    rows = []
    domains = verdict.taken.domains
    for name, one in domains.items():
        figures = (verdict.default.domains[name].value, one.constant, one.promised)
        first = [name, f"{one.examples:,}", number(one.value, about), interval(one.inside, about)]
        rows.append([*first, *(number(each, about) for each in figures)])
    means = (verdict.default.mean, _mean(map(_constant, domains.values())), _mean(map(_promised, domains.values())))
    first = ["mean", "", number(verdict.taken.mean, about), interval(verdict.taken.of_mean, about)]
    rows.append([*first, *(number(each, about) for each in means)])
    if about.classes:
        errors = [one.calibration for one in domains.values()]
        columns.append("calibration error, %")
        for row, error in zip(rows, [*errors, _mean(errors)], strict=True):
            row.append(number(error, about))
    return tuple(columns), [tuple(row) for row in rows]


def _constant(one: Left) -> float:
    return one.constant


def _promised(one: Left) -> float:
    return one.promised


def _plain_name(about: Description) -> str:
    return "majority class" if about.classes else "mean target"


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def failures(about: Description, verdict: Verdict) -> list[str]:
    """Where the model fails: the worst domain, and the class that is found least there."""
    worst = verdict.taken.worst
    told = [f"The worst domain was **{worst.name}**: {number(worst.value, about)}{' %' if about.classes else ''}."]
    if not about.classes:
        return told
    found = []
    for one in verdict.taken.domains.values():
        said, truth = one.outputs[0].argmax(dim=1), one.labels[0]
        for place, name in enumerate(about.classes):
            own = truth == place
            if int(own.sum()) >= 5:
                found.append((float((said[own] == place).double().mean()), one.name, name, int(own.sum())))
    for share, domain, name, many in sorted(found)[:3]:
        told.append(f"Of {count(many, 'example')} of *{name}* in {domain}, {100 * share:.0f} % were found.")
    return told


def card(about: Description, verdict: Verdict, notes: Sequence[str], lines: str, script: bool) -> str:
    """The text of ``model_card.md``.

    Args:
        about: Of the model.
        verdict: On what was left out.
        notes: What else the person has to know.
        lines: Python that predicts; empty for none.
        script: Whether there is a ``train.py``.
    """
    data = about.data
    domains = ", ".join(f"{name} ({size:,})" for name, size in data["domains"].items())
    target = about.reading.get("target", "the class" if about.classes else "the quantity")
    classes = f" Classes: {', '.join(about.classes)}." if about.classes else ""
    columns, rows = domain_rows(about, verdict)
    text = [
        "# Model card",
        "",
        f"Predicts {target} from {_inputs(about)}.{classes}",
        "",
        f"{expected(about, verdict)} {compared(about, verdict)}",
        "",
        "## What to expect",
        "",
        f"| {' | '.join(columns)} |",
        f"|{'|'.join([' --- '] * len(columns))}|",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        "Each domain was left out in turn: choice and training were made without it, and it was looked at once. The",
        "brackets of a domain are a bootstrap over its groups (its examples, where it has none); those of the mean a",
        't-interval over domains. "Validation said" is what held-back parts of the training domains promised of the',
        "same models: it is not to be believed on a domain of another kind.",
        *(["", "![What was reached on each domain, and whether confidence can be believed](expectation.png)"]),
        "",
        "## Where it fails",
        "",
        *(f"- {each}" for each in failures(about, verdict)),
        *([f"- {each}" for each in notes]),
        "",
        *_without_labels(verdict),
        "## How it was made",
        "",
        f"- Data: `{data['name']}`; domains {domains}. SHA-256 {data['digest']}.",
        _trained(about),
        _searched(about),
        f"- With {', '.join(f'{name} {value}' for name, value in about.versions.items())}.",
        "- `held_out.parquet` has the predictions of every example by the model that was trained without its domain.",
        *(["- `train.py` makes the model again with torch and pgrad alone."] if script else []),
        "",
        "## How to use it",
        "",
        "    pgrad-bench predict FOLDER DATA --output predictions.csv",
    ]
    if lines:
        text += ["", "Or in Python, in the folder:", "", "```python", lines, "```"]
    return "\n".join(text) + "\n"


def _trained(about: Description) -> str:
    choice = about.choice
    hparams = ", ".join(f"{name} {value:g}" for name, value in choice["hparams"].items())
    text = f"- Model: {choice['model']}{_weights(about)}, trained by `{choice['algorithm']}` ({hparams}) for "
    return f"{text}{choice['rollouts']} of {choice['of']} roll-outs, on all examples of all domains."


def _searched(about: Description) -> str:
    choice = about.choice
    rungs = " and ".join(map(str, choice["candidates"]))
    text = f"- Chosen by leaving one domain out in turn, in {count(len(choice['candidates']), 'rung')} of {rungs} "
    text += f"candidates, with {count(choice['seeds'], 'seed')}; {choice['minutes']:g} min were given"
    return f"{text}{', and ' + choice['stopped'] if choice['stopped'] else ''}."


def _inputs(about: Description) -> str:
    if about.reading["scheme"] == "table":
        names = [column["name"] for column in about.reading["columns"]]
        return f"the columns {', '.join(names)}"
    if about.reading["scheme"] == "folder":
        return f"pictures, scaled to {about.reading['size']} pixels"
    return "inputs of the shape " + " x ".join(map(str, about.network.input_shape))


def _weights(about: Description) -> str:
    weights, tuning = about.choice.get("weights", "none"), about.choice.get("tuning")
    if weights == "none":
        return ""
    how = "all of it fine-tuned" if tuning == FULL else "frozen under a head"
    if about.choice.get("batch_norm") == "frozen-statistics":
        how += " but the statistics of BatchNorm"
    return f" with the weights of {weights}, {how}"


def _without_labels(verdict: Verdict) -> list[str]:
    told = verdict.taken.confidence
    if told is None:
        return []
    which = "closer than" if told.helps else "no closer than"
    return [
        "## Without labels",
        "",
        "The accuracy that average thresholded confidence estimates for a domain was off by",
        f"{100 * told.error:.1f} points on the left-out domains, {which} the plain guess that a domain is as easy as",
        f"the others on average ({100 * told.plain_error:.1f} points).",
        "Where the truth is known (docs/choose.md) it was no closer over many domains, so `predict` does not print it.",
        "",
    ]


__all__ = ["NOTHING", "card", "compared", "domain_rows", "expected", "interval", "number"]
