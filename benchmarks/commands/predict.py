"""Does ``predict``: nothing of sweeps is loaded for it."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from benchmarks.base.errors import unknown
from benchmarks.base.wording import count
from benchmarks.commands import say
from benchmarks.datasets import DATASETS
from benchmarks.runs.model_folder import load
from benchmarks.runs.model_folder.predict import Predictions, examples_of, predict_examples, write

__all__ = ["predict_command"]


def predict_command(folder: Path, data: str, output: Path, export: Path | None) -> int:
    """See `benchmarks.commands.words.choose`."""
    console = say.console()
    try:
        loaded = load(folder)
        try:
            examples = examples_of(loaded.about, data)
        except KeyError:
            return say.refuse(f"DATA: {unknown(data, DATASETS)}")
        found = predict_examples(loaded, examples)
        write(found.table(), output)
    except (ValueError, ImportError) as error:
        return say.refuse(str(error))
    for note in examples.notes:
        say.line(console, f"note: {note}")
    say.line(console, f"{count(len(found.names), 'prediction')}: {output}")
    _tell(console, found)
    return 0


def _tell(console: Console, found: Predictions) -> None:
    for text, warns in found.warnings():
        say.line(console, text, style="bold red" if warns else None)
