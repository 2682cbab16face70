"""What is known of the data sets and algorithms that records name.

Records outlive the registries: older ones name algorithms that are there no more, others come from data sets that no
registry holds (WILDS). Whoever asks here gets what there is, and nothing where there is nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.algorithms import ALGORITHMS
from benchmarks.base.judges import JUDGES
from benchmarks.base.metrics import worst_group
from benchmarks.datasets import DATASETS
from benchmarks.datasets.decisions.metrics import agreement

_PERCENT: dict[Callable[..., float], str] = {
    **{judge.metric: judge.label for judge in JUDGES.values()},
    worst_group: "accuracy of the worst group",
    agreement: "agreement with the teacher",
}
_SHARES = ("acc", "F1", "precision", "recall")
"""Parts of the names of metrics that are shares, in WILDS."""


@dataclass(frozen=True)
class Scale:
    """How scores are shown: multiplied by ``factor``, under the name ``label``."""

    factor: float
    label: str


def scale(dataset: str, records: Sequence[Mapping[str, Any]]) -> Scale:
    """Percent for what is a share, the plain figure for the rest.

    Args:
        dataset: Its name.
        records: Its runs. Where no registry has the data set, their configuration or their scores tell.
    """
    named = _official_metric(records)
    if named in JUDGES:  # the setting goes before the data set's own
        return Scale(100.0, f"{JUDGES[named].label}, %")
    if dataset in DATASETS:
        metric = DATASETS[dataset].metric
        if metric in _PERCENT:
            return Scale(100.0, f"{_PERCENT[metric]}, %")
        return Scale(1.0, getattr(metric, "__name__", "score").replace("_", " "))
    if named:
        return Scale(100.0, f"{named}, %") if any(word in named for word in _SHARES) else Scale(1.0, named)
    values = [value for record in records for value in (record.get("curves") or {}).get("held_out", ())]
    share = all(0.0 <= value <= 1.0 for value in values if not math.isnan(value))
    return Scale(100.0, "score, %") if share else Scale(1.0, "score")


def constant_of(dataset: str, name: str) -> str:
    """What the answer that looks at no input is called: `name`, but where the data set has one of its own."""
    if dataset in DATASETS and (own := DATASETS[dataset].constant) is not None:
        return own.__name__.replace("_", " ")
    return name


def describe_dataset(dataset: str, records: Sequence[Mapping[str, Any]]) -> str:
    """One sentence without its full stop; empty if nothing is known."""
    if dataset in DATASETS:
        return DATASETS[dataset].description
    official = _official_metric(records)
    return f"official metric {official}; the split val chooses, the split test is held out" if official else ""


def domain_order(dataset: str) -> dict[str, int]:
    """The place of each domain; empty if it is not known."""
    domains = DATASETS[dataset].domains if dataset in DATASETS else ()
    return {name: number for number, name in enumerate(domains)}


def describe_algorithm(algorithm: str) -> str:
    """One sentence without its full stop; empty if nothing is known."""
    return ALGORITHMS[algorithm].description if algorithm in ALGORITHMS else ""


def control_of(algorithm: str) -> str:
    """What the algorithm is to be compared with; empty if nothing is known."""
    return ALGORITHMS[algorithm].control if algorithm in ALGORITHMS else ""


def _official_metric(records: Sequence[Mapping[str, Any]]) -> str:
    """The one that the configurations of the runs name."""
    return next((str(record["config"]["metric"]) for record in records if record["config"].get("metric")), "")
