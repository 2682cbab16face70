"""Does ``predict``: nothing of sweeps is loaded for it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from benchmarks.base.errors import unknown
from benchmarks.base.wording import count
from benchmarks.commands import say
from benchmarks.datasets import DATASETS
from benchmarks.runs.model_folder import load
from benchmarks.runs.model_folder.export import ONNX, Exported, ExportError, export
from benchmarks.runs.model_folder.predict import AT_ONCE, examples_of, predict_examples, write

__all__ = ["predict_command"]


def predict_command(folder: Path, data: str, output: Path, exporting: Path | None) -> int:
    """See `benchmarks.commands.words.choose`."""
    console = say.console()
    try:
        loaded = load(folder)
        try:
            examples = examples_of(loaded.about, data)
        except KeyError:
            return say.refuse(f"DATA: {unknown(data, DATASETS)}")
        first = next(examples.parts)
        examples = replace(examples, parts=itertools.chain([first], examples.parts))
        found = predict_examples(loaded, examples)
        write(found.table(), output)
        exported = None if exporting is None else export(loaded, first[:AT_ONCE], exporting)
    except (ExportError, ValueError, ImportError) as error:
        return say.refuse(str(error))
    for note in examples.notes:
        say.line(console, f"note: {note}")
    say.line(console, f"{count(len(found.names), 'prediction')}: {output}")
    for text, warns in found.warnings():
        say.line(console, text, style="bold red" if warns else None)
    if exported is not None:
        _tell(console, exported)
    return 0


def _tell(console: Console, exported: Exported) -> None:
    onnx = f" and {exported.onnx}" if exported.onnx else f" (no ONNX: it needs {', '.join(ONNX)})"
    text = f"Program: {exported.path}{onnx}; on these examples within {exported.difference:.1g} of the model."
    say.line(console, text)
