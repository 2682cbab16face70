"""``physics``: the tables of docs/physics.md."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any

import cyclopts
import torch
from cyclopts import Parameter
from tabulate import tabulate

from benchmarks.algorithms import ALGORITHMS, BASELINE, QUICK
from benchmarks.base.errors import all_different, unknown
from benchmarks.datasets.bethe_heitler import ENTRIES, SETTINGS
from benchmarks.studies.physics import baselines as tables
from benchmarks.studies.physics.agreement import agreement

app = cyclopts.App(name="physics", help=tables.__doc__, version_flags=[])


def _one_of(known: Collection[str]) -> Any:
    def check(_: type, names: tuple[str, ...] | str) -> None:
        names = (names,) if isinstance(names, str) else names
        for name in names:
            if name not in known:
                raise ValueError(unknown(name, known))
        all_different(names)

    return Parameter(validator=check, consume_multiple=True, negative="")


def _at_least(number: int) -> Any:
    return Parameter(validator=cyclopts.validators.Number(gte=number))


_Datasets = Annotated[tuple[str, ...], _one_of(ENTRIES)]
_Rollouts = Annotated[int, _at_least(1)]


def _print(rows: Iterable[Mapping[str, Any]]) -> None:
    print(tabulate(list(rows), headers="keys", tablefmt="github", disable_numparse=True))


def _length(rollouts: int) -> Any:
    torch.set_num_threads(1)  # the networks are too small for more
    every = min(tables.LENGTH.evaluate_every, rollouts)
    return tables.LENGTH.model_copy(update={"rollouts": rollouts, "evaluate_every": every})


@app.command
def settings() -> None:
    """The settings: where their bins lie, how many events they hold, how large the errors are."""
    _print(tables.settings())


@app.command(name="agreement")
def agreement_command() -> None:
    """The cross section beside that of gepard, which has to be installed."""
    _print(agreement())


@app.command
def baselines(
    *,
    datasets: _Datasets = tuple(ENTRIES),
    algorithms: Annotated[tuple[str, ...], _one_of(ALGORITHMS)] = QUICK,
    seeds: Annotated[int, _at_least(1)] = 2,
    rollouts: _Rollouts = tables.LENGTH.rollouts,
) -> None:
    """RMS pulls on every setting held out in turn, at the defaults, with the spread over seeds."""
    _print(tables.baselines(datasets, algorithms, seeds, _length(rollouts)))


@app.command
def uncertainty(
    *,
    datasets: _Datasets = tuple(ENTRIES),
    algorithm: Annotated[str, _one_of(ALGORITHMS)] = BASELINE,
    held_out: Annotated[tuple[str, ...], _one_of(SETTINGS)] = tuple(SETTINGS),
    replicas: Annotated[int, _at_least(2)] = 6,
    rollouts: _Rollouts = tables.LENGTH.rollouts,
) -> None:
    """Random targets: what of the error is the noise of the training data, and what is ignorance."""
    _print(tables.noise_and_ignorance(datasets, algorithm, held_out, replicas, _length(rollouts)))
