"""``gpu``: the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from rich.console import Console

import benchmarks.studies.gpu
from benchmarks.base.errors import unknown
from benchmarks.studies.gpu.check import Settings, check
from benchmarks.studies.gpu.report import tables
from benchmarks.studies.performance.problems import PROBLEMS

app = cyclopts.App(name="gpu", help=benchmarks.studies.gpu.__doc__, version_flags=[])
_DEFAULTS = Settings("cuda")


def _known(_: type, names: tuple[str, ...]) -> None:
    for name in names:
        if name not in PROBLEMS:
            raise ValueError(unknown(name, PROBLEMS))


def _at_least(number: int) -> Parameter:
    return Parameter(validator=cyclopts.validators.Number(gte=number))


@app.default
def gpu(
    *,
    output: Path = Path("runs/gpu"),
    device: str = _DEFAULTS.device,
    problems: Annotated[
        tuple[str, ...], Parameter(validator=_known, consume_multiple=True, negative="")
    ] = _DEFAULTS.problems,
    steps: Annotated[int, _at_least(3)] = _DEFAULTS.steps,
    batch: Annotated[int, _at_least(1)] = _DEFAULTS.batch,
    rounds: Annotated[int, _at_least(1)] = _DEFAULTS.rounds,
    tests: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = _DEFAULTS.tests,
    seconds: Annotated[float, _at_least(1)] = _DEFAULTS.seconds,
) -> int:
    """Check one card: tests, times, bandwidth, copies to host memory; the protocol is above.

    The status is 0 if every part is done and no test failed, 1 if not, and 2 if there is no such device. A target
    that is missed changes nothing in it.

    Parameters
    ----------
    output:
        Folder for gpu.json and what the parts said.
    device:
        Of torch. Anything but a CUDA device is a rehearsal.
    problems:
        Which networks.
    steps:
        T, the inner steps of a roll-out.
    batch:
        Samples in a micro-batch.
    rounds:
        How often each method has its turn.
    tests:
        Files or node ids of tests, instead of all files that have some for a CUDA device.
    seconds:
        For all parts together; what does not fit any more is not run, and the record says so.
    """
    console = Console(width=None if sys.stdout.isatty() else 140)
    settings = Settings(device, problems, steps, batch, rounds, tests, seconds)
    try:
        record = check(settings, output, lambda text: console.print(text, style="dim"))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    for table in tables(record):
        console.print(table)
    console.print(f"Written to {output}: gpu.json")
    if record.failures:
        console.print(f"Failed or missing: {', '.join(record.failures)}")
    return 1 if record.failures else 0
