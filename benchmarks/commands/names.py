"""``algorithms``, ``datasets``, ``models``: what there is by name, and all about one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.algorithms import ALGORITHMS, AlgorithmEntry
from benchmarks.base.errors import unknown
from benchmarks.base.search import Choice, Distribution, Grid
from benchmarks.datasets import DATASETS, DatasetEntry
from benchmarks.models import MODELS, ModelEntry, known_model
from benchmarks.models.backbones import PREFIX

__all__ = ["algorithms_command", "datasets_command", "models_command"]

Names = Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")]
Facts = Mapping[str, str]

BATCHES = {
    "pooled": "one that mixes the training domains",
    "single-domain": "one of a single domain",
    "joint": "one of each training domain at once",
}


def algorithms_command(*names: str) -> int:
    """List the algorithms; with names, all about these: source, batches, cost, defaults, search space, control.

    Parameters
    ----------
    names:
        Of algorithms.
    """
    return _show(names, ALGORITHMS, _algorithm, ("batches", "cost", "control", "use"))


def datasets_command(*names: str) -> int:
    """List the data sets; with names, all about these: domains, metric, model, licence, source.

    Parameters
    ----------
    names:
        Of data sets; folder:PATH and table:PATH too.
    """
    return _show(names, DATASETS, _dataset, ("domains", "metric", "model", "licence"))


def models_command(*names: str) -> int:
    """List the models that have a name of their own; those of timm are called timm:NAME.

    Parameters
    ----------
    names:
        Of models.
    """
    own = tuple(name for name in names if not name.startswith(PREFIX))
    failed = _show(own, MODELS, _model, ("description", "use")) if own or not names else 0
    for name in names:
        if name.startswith(PREFIX):
            failed = _timm(name) or failed
    if not names:
        Console().print(f"Networks of timm are called {PREFIX}NAME; what can be set: docs/models.md.", soft_wrap=True)
    return failed


def _timm(name: str) -> int:
    try:
        known_model(name)
    except ValueError as error:
        Console(stderr=True).print(str(error), style="red", markup=False, soft_wrap=True)
        return 2
    Console().print(
        f"{name}\n  description: a network of timm\n  use: pictures, with pretrained weights (weights, tuning, "
        "batch_norm, image_size: see docs/models.md)\n  source: timm",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    return 0


def _show(names: Names, registry: Mapping[str, Any], facts: Any, columns: tuple[str, ...]) -> int:
    console = Console()
    if not names:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("name", no_wrap=True)
        for column in columns:
            table.add_column(column, overflow="fold")
        for name, entry in registry.items():
            found = facts(entry)
            table.add_row(escape(name), *(escape(found.get(column, "")) for column in columns))
        console.print(table)
        return 0
    for name in names:
        try:
            entry = registry[name]
        except (KeyError, ValueError) as error:
            text = unknown(name, registry) if isinstance(error, KeyError) else str(error)
            Console(stderr=True).print(text, style="red", markup=False, soft_wrap=True)
            return 2
        console.print(name, style="bold", markup=False, highlight=False)
        for key, value in facts(entry).items():
            if value:
                console.print(f"  {key}: {value}", markup=False, highlight=False, soft_wrap=True)
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
