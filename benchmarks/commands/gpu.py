"""Does ``gpu``."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from benchmarks.base.errors import require_known
from benchmarks.commands.say import refuse
from benchmarks.studies.gpu.check import check
from benchmarks.studies.gpu.report import tables
from benchmarks.studies.gpu.settings import Settings
from benchmarks.studies.performance.problems import PROBLEMS


def gpu(output: Path, settings: Settings) -> int:
    """See `benchmarks.commands.words.gpu`."""
    require_known("--problems", settings.problems, PROBLEMS)
    console = Console(width=None if sys.stdout.isatty() else 140)
    try:
        record = check(settings, output, lambda text: console.print(text, style="dim"))
    except ValueError as error:
        return refuse(str(error))
    for table in tables(record):
        console.print(table)
    console.print(f"Written to {output}: gpu.json")
    if record.failures:
        console.print(f"Failed or missing: {', '.join(record.failures)}")
    return 1 if record.failures else 0
