"""Does ``choose``."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import yaml

from benchmarks.base.called import called
from benchmarks.base.errors import ConfigError
from benchmarks.commands import say
from benchmarks.commands.ahead import show_findings
from benchmarks.datasets import DATASETS
from benchmarks.datasets.inventory import RefusedError
from benchmarks.datasets.named import with_allowed
from benchmarks.models.settings import FULL
from benchmarks.models.weights import NONE
from benchmarks.studies.choose.card import compared, domain_rows, expected
from benchmarks.studies.choose.request import alone
from benchmarks.studies.choose.run import Asked, Done, choose
from benchmarks.studies.choose.search import NothingChosenError
from benchmarks.studies.choose.study import LINES, Study
from benchmarks.studies.choose.tables import COLUMNS, rows
from benchmarks.studies.choose.writing import CARD
from benchmarks.sweeps.coordinator import SweepError
from benchmarks.sweeps.store import StoreError

__all__ = ["choose_command", "study_command"]


def choose_command(
    data: str,
    minutes: float,
    size: int | None,
    output: Path,
    measure: str | None,
    model: tuple[str, ...],
    groups: str | None,
    allow: tuple[str, ...],
    device: str,
    workers: int | None,
    assigned: tuple[str, ...],
) -> int:
    """See `benchmarks.commands.words.choose`."""
    console = say.console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    try:
        name = _named(data, groups, allow)
        entry = DATASETS[name]
        if entry.inventory is not None:
            inventory = entry.inventory()
            for section in inventory.sections:
                say.line(console, section.title)
                say.rows(console, section.columns, section.rows, text=section.columns[1:])
            show_findings(console, inventory)
        settings = {"metric": measure} if measure is not None else {}
        settings |= dict(_assigned(word) for word in assigned)
        workers = workers or os.cpu_count() or 1
        asked = Asked(name, minutes, output, model, settings, workers, device, _spent(), size=size)
        with alone(output):
            done = choose(asked, console)
    except RefusedError as error:
        show_findings(console, error.inventory)
        return say.refuse(str(error))
    except KeyboardInterrupt:
        return _stopped("Stopped before the model was written")
    except NothingChosenError as error:
        return _stopped(str(error))
    except (ConfigError, StoreError, SweepError, ImportError, RuntimeError, ValueError) as error:
        return say.refuse(str(error))
    _tell(done)
    return 0


def _spent() -> float:
    """Seconds since this process began, which its imports have taken above all; no more than a minute."""
    return min(time.time() - psutil.Process().create_time(), 60.0)


def study_command(
    datasets: tuple[str, ...], minutes: tuple[float, ...], output: Path, model: tuple[str, ...], workers: int
) -> int:
    """See `benchmarks.commands.words.choose`."""
    console = say.console()
    try:
        with alone(output):
            for each in minutes:
                found = Study(output, each, workers, console, _spent(), models=model).run(datasets)
    except KeyboardInterrupt:
        return _stopped("Stopped; trials that ended are kept")
    except (ConfigError, StoreError, SweepError, ImportError, RuntimeError, ValueError) as error:
        return say.refuse(str(error))
    say.rows(console, COLUMNS, rows(found))
    say.line(console, f"Means over trials, in points of a hundred; every trial: {output / LINES}")
    return 0


def _stopped(text: str) -> int:
    say.line(say.console(stderr=True), f"\n{text}. To go on: {called(*sys.argv[1:])}")
    return 130


def _named(data: str, groups: str | None, allow: tuple[str, ...]) -> str:
    scheme = data.partition(":")[0]
    if groups is not None:
        if scheme not in ("folder", "table"):
            raise ConfigError(f"--groups is for folder:PATH and table:PATH, got {data}")
        data += f"{'&' if '?' in data else '?'}group={quote(groups, safe='')}"
    try:
        return with_allowed(data, [each for word in allow for each in word.split(",")])
    except ValueError as error:
        raise ConfigError(f"--allow: {error}") from error


def _assigned(word: str) -> tuple[str, Any]:
    key, equals, text = word.partition("=")
    if not equals or not key or not text:
        raise ConfigError(f"--set {word}: must be KEY=VALUE, as in --set class_weights=balanced")
    try:
        return key, yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {word}: {text!r} is no YAML: {error}") from error


def _tell(done: Done) -> None:
    console = say.console()
    columns, rows = domain_rows(done.about, done.verdict)
    say.rows(console, columns, rows)
    say.line(console, expected(done.about, done.verdict), style="bold")
    say.line(console, compared(done.about, done.verdict))
    choice = done.about.choice
    length = f"{choice['rollouts']} of {choice['of']} roll-outs"
    length += ", all of the network fine-tuned" if choice["weights"] != NONE and choice["tuning"] == FULL else ""
    say.line(console, f"Taken: {choice['algorithm']} on {choice['model']}, {length}.")
    say.line(console, f"The model and its card: {done.folder / CARD}")
    say.line(console, f"To predict: {called('predict', str(done.folder), 'DATA', '--output', 'predictions.csv')}")
