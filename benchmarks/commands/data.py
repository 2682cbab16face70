"""Does ``data``: prepares data sets, shows them, lists them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.base.errors import unknown
from benchmarks.commands import say
from benchmarks.commands.ahead import show_findings, show_foreseen
from benchmarks.datasets import DATASETS, DatasetEntry, MultiDomainData, cache, fetch
from benchmarks.datasets.cache import DamagedError, Recipe
from benchmarks.datasets.inventory import Inventory, RefusedError
from benchmarks.datasets.named import with_allowed
from benchmarks.models.default import said
from benchmarks.reports.contact_sheet import draw
from benchmarks.runs.foresight import foresee_alone

__all__ = ["data_command"]

Item = TypeVar("Item")


def data_command(
    *names: str,
    show: bool,
    output: Path,
    folder: Path | None,
    source: Path | None,
    again: bool,
    allow: tuple[str, ...],
) -> int:
    """See `benchmarks.commands.words.data`."""
    console = say.console()
    for variable, value in ((cache.VARIABLE, folder), (fetch.VARIABLE, source)):
        if value is not None:
            os.environ[variable] = str(value.resolve())
    if not names:
        _list(console)
        console.print(f"Prepared sets are kept in {cache.folder()}.", markup=False, soft_wrap=True)
        return 0
    for given in names:
        name = given
        try:
            name = with_allowed(given, [each for word in allow for each in word.split(",")])
            entry = _entry(name)
            data = _prepare(console, name, entry, again)
            if entry.inventory is not None:
                _print_inventory(console, entry.inventory())
            show_foreseen(console, name, foresee_alone(name, entry, data))
            if show:
                path = draw(name, entry, data, output)
                console.print(f"  picture: {path}", markup=False, soft_wrap=True, highlight=False)
        except RefusedError as error:
            _print_inventory(console, error.inventory)
            say.refuse(str(error))
            return 1
        except (RuntimeError, ImportError, ValueError, OSError, subprocess.SubprocessError) as error:
            say.refuse(f"{name}: {error}")
            return 1
    return 0


def _entry(name: str) -> DatasetEntry:
    try:
        return DATASETS[name]
    except KeyError:
        raise ValueError(unknown(name, DATASETS)) from None


def _prepare(console: Console, name: str, entry: DatasetEntry, again: bool) -> MultiDomainData:
    recipe = entry.factory
    if not isinstance(recipe, Recipe):
        data = recipe()
        console.print(f"{name} needs no preparation: {_sizes(data)}", markup=False, soft_wrap=True, highlight=False)
        return data
    if recipe.path.exists() and not again:
        try:
            cache.read(recipe.path)
        except DamagedError as error:
            console.print(f"{error}; it is prepared again", markup=False, soft_wrap=True)
            again = True
    new, start = again or not recipe.path.exists(), time.perf_counter()
    with _Watch(console) as watch, cache.watched(watch):
        recipe.prepare(again)
    data, about = cache.read(recipe.path)
    what = f"prepared in {time.perf_counter() - start:.0f} s" if new else "prepared already and whole"
    console.print(f"{name}: {what}: {_sizes(data)}", markup=False, soft_wrap=True, highlight=False)
    console.print(f"  {entry.description}", markup=False, soft_wrap=True, highlight=False)
    console.print(f"  licence: {entry.licence}", markup=False, soft_wrap=True, highlight=False)
    console.print(f"  source: {entry.source}", markup=False, soft_wrap=True, highlight=False)
    console.print(f"  file: {recipe.path} ({_mebibytes(recipe)})", markup=False, soft_wrap=True, highlight=False)
    console.print(f"  content: SHA-256 {about['digest']}", markup=False, soft_wrap=True, highlight=False)
    model = said(entry.model, entry.pretrained)
    console.print(f"  model: {model}", markup=False, soft_wrap=True, highlight=False)
    for fact, value in about["facts"].items():
        console.print(f"  {fact}: {value}", markup=False, soft_wrap=True, highlight=False)
    return data


def _print_inventory(console: Console, inventory: Inventory) -> None:
    """What stands in the user's files, what was made of it, and what looks wrong."""
    for section in inventory.sections:
        say.line(console, section.title)
        say.rows(console, section.columns, section.rows, text=section.columns[1:])
    show_findings(console, inventory)


def _mebibytes(recipe: Recipe) -> str:
    return f"{recipe.path.stat().st_size / 2**20:.1f} MiB"


def _sizes(data: MultiDomainData) -> str:
    parts = ", ".join(f"{domain.name} {len(domain)}" for domain in data.domains)
    return f"{parts}; an example is {' x '.join(map(str, data.input_shape))}, {data.n_outputs} outputs"


class _Watch:
    """Shows the preparation's progress."""

    def __init__(self, console: Console) -> None:
        bar = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(TextColumn("{task.description}"), *bar, console=console, transient=True)

    def __call__(self, items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
        return iter(self.progress.track(items, total=total, description=escape(what)))

    def __enter__(self) -> _Watch:
        self.progress.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.progress.stop()


def _list(console: Console) -> None:
    columns = ("name", "domains", "examples", "prepared", "licence", "source")
    rows = []
    for name, entry in DATASETS.items():
        examples, state = _state(entry)
        rows.append((name, ", ".join(entry.domains), examples, state, entry.licence, entry.source))
    say.rows(console, columns, rows, text=("domains", "licence", "source"))


def _state(entry: DatasetEntry) -> tuple[str, str]:
    """The number of examples, if it is known without work, and whether the set is prepared."""
    if not isinstance(entry.factory, Recipe):
        return "", "not needed"
    if not entry.factory.path.exists():
        return "", "no"
    try:
        data, _ = cache.read(entry.factory.path)
    except DamagedError:
        return "", "damaged"
    return str(sum(map(len, data.domains))), f"yes, {_mebibytes(entry.factory)}"
