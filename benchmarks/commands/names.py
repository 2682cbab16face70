"""``algorithms``, ``datasets``, ``models``: what there is by name, and all about one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.algorithms import ALGORITHMS, AlgorithmEntry
from benchmarks.base.errors import unknown
from benchmarks.base.search import Choice, Distribution, Grid
from benchmarks.commands import say
from benchmarks.datasets import DATASETS, DatasetEntry
from benchmarks.models import MODELS, ModelEntry, known_model
from benchmarks.models.backbones import PREFIX

__all__ = ["algorithms_command", "datasets_command", "models_command"]

Facts = Mapping[str, str]

BATCHES = {
    "pooled": "one that mixes the training domains",
    "single-domain": "one of a single domain",
    "joint": "one of each training domain at once",
}


def algorithms_command(*names: str) -> int:
    """See `benchmarks.commands.words.data`."""
    return _show(names, ALGORITHMS, _algorithm, ("batches", "cost", "control", "use"))


def datasets_command(*names: str) -> int:
    """See `benchmarks.commands.words.data`."""
    return _show(names, DATASETS, _dataset, ("domains", "metric", "model", "licence"))


def models_command(*names: str) -> int:
    """See `benchmarks.commands.words.data`."""
    own = tuple(name for name in names if not name.startswith(PREFIX))
    failed = _show(own, MODELS, _model, ("description", "use")) if own or not names else 0
    for name in names:
        if name.startswith(PREFIX):
            failed = _timm(name) or failed
    if not names:
        say.line(say.console(), f"Networks of timm are called {PREFIX}NAME; what can be set: docs/models.md.")
    return failed


def _timm(name: str) -> int:
    try:
        known_model(name)
    except ValueError as error:
        return say.refuse(str(error))
    about = {
        "description": "a network of timm",
        "use": "pictures, with pretrained weights (weights, tuning, batch_norm, image_size: see docs/models.md)",
        "source": "timm",
    }
    console = say.console()
    say.line(console, name, style="bold")
    for key, value in about.items():
        say.line(console, f"  {key}: {value}")
    return 0


def _show(names: tuple[str, ...], registry: Mapping[str, Any], facts: Any, columns: tuple[str, ...]) -> int:
    console = say.console()
    if not names:
        found = {name: facts(entry) for name, entry in registry.items()}
        cells = [(name, *(about.get(column, "") for column in columns)) for name, about in found.items()]
        say.rows(console, ("name", *columns), cells, text=columns)
        return 0
    for name in names:
        try:
            entry = registry[name]
        except (KeyError, ValueError) as error:
            text = unknown(name, registry) if isinstance(error, KeyError) else str(error)
            return say.refuse(text)
        say.line(console, name, style="bold")
        for key, value in facts(entry).items():
            if value:
                say.line(console, f"  {key}: {value}")
    return 0


def _algorithm(entry: AlgorithmEntry) -> Facts:
    cost = "D" if entry.batches == "joint" else "1"
    return {
        "description": entry.description,
        "use": entry.use,
        "source": entry.source,
        "batches": entry.batches,
        "a mini-batch is": BATCHES[entry.batches],
        "cost": f"{entry.passes} x {cost}" if entry.passes > 1 else cost,
        "cost is": "gradient evaluations of an update; D is the number of training domains",
        "control": entry.control,
        "defaults": ", ".join(f"{name} {one.default:g}" for name, one in entry.space.items()),
        "search space": "; ".join(f"{name} {_range(one)}" for name, one in entry.space.items()),
    }


def _range(distribution: Distribution) -> str:
    if isinstance(distribution, Grid):
        return "in turn " + ", ".join(f"{value:g}" for value in distribution.values)
    if isinstance(distribution, Choice):
        return "one of " + ", ".join(f"{value:g}" for value in distribution.values)
    return f"{distribution.low:g} .. {distribution.high:g} (log-uniform)"


def _dataset(entry: DatasetEntry) -> Facts:
    measures = ", ".join(entry.measures)
    return {
        "description": entry.description,
        "domains": ", ".join(entry.domains),
        "metric": _name(entry.metric) + (f" (and {measures})" if measures else ""),
        "loss": _name(entry.loss),
        "model": entry.model,
        "licence": entry.licence,
        "source": entry.source,
    }


def _model(entry: ModelEntry) -> Facts:
    return {"description": entry.description, "use": entry.use, "source": entry.source}


def _name(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__).replace("_", " ")
