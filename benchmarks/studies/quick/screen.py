"""What a comparison shows in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from benchmarks.datasets import DATASETS
from benchmarks.studies.quick.spectra import rollout_summary
from benchmarks.studies.quick.tables import NOTES, Row, headline
from benchmarks.sweeps.coordinator import Snapshot, Watch
from benchmarks.sweeps.heartbeat import Heartbeat


@contextmanager
def progress(console: Console) -> Iterator[Watch]:
    """A progress bar, or lines where there is no terminal; gives the function that is told how far it is."""
    if not console.is_terminal:
        yield Heartbeat(lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True))
        return
    columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("runs", total=None)

        def watch(now: Snapshot) -> None:
            bar.update(task, completed=now.done, total=now.total)

        yield watch


def warnings(console: Console, texts: Iterable[str]) -> None:
    """Where nothing was learnt; before all else."""
    for text in texts:
        console.print(text, markup=False, highlight=False, soft_wrap=True, style="bold red")


def tables(console: Console, rows: Sequence[Row]) -> None:
    """One table for each data set, and what the figures mean."""
    for dataset in dict.fromkeys(row.dataset for row in rows):
        frame = headline(row for row in rows if row.dataset == dataset)
        console.print(f"\n[bold]{escape(dataset)}[/bold]: {escape(DATASETS[dataset].description)}")
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, int(console.width >= 100), 0, 0))
        for number, name in enumerate(frame.columns):
            wide = "[" in name  # a difference: only its column may be wrapped
            table.add_column(_in_two_lines(name), justify="right" if number else "left", no_wrap=not wide)
        for cells in frame.itertuples(index=False):
            name, *figures = cells
            table.add_row(escape(name.replace(" ", "\n")), *map(_in_two_lines, figures))
        console.print(table)
    for note in NOTES:
        console.print(f"[dim]{escape(note)}[/dim]")


def _in_two_lines(cell: str) -> str:
    """A figure over its spread, so that the table fits 80 columns."""
    return escape(cell.replace(" [", "\n[").replace(" ±", "\n±"))


def rollouts(console: Console, records: Iterable[Mapping[str, Any]], datasets: Sequence[str]) -> None:
    """What the roll-outs looked like, in a line for each data set that has any."""
    records = list(records)
    for dataset in datasets:
        text = rollout_summary(records, dataset)
        if text:
            console.print(escape(text))


def failures(console: Console, failed: Sequence[Mapping[str, Any]]) -> None:
    """How many runs failed, and the first few of them."""
    if failed:
        console.print(f"[bold red]{len(failed)} runs failed[/bold red]; the tables leave them out. The first ones:")
    for record in failed[:3]:
        config = record["config"]
        what = f"{config['dataset']}, {config['algorithm']}, held out {config['held_out']}, seed {config['seed']}"
        console.print(escape(f"  {what}, point {config['point']}: {record['error']}"), soft_wrap=True)
