"""``analyse``: principal directions of roll-outs against the top eigenspace of the Hessian."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import torch
from cyclopts import Parameter
from tabulate import tabulate

from benchmarks.base.errors import all_different, unknown
from benchmarks.datasets import DATASETS
from benchmarks.runs.config import RunConfig
from benchmarks.studies.analyse import INNERS, Look, analyse, draw, table


def _one_of(known: Collection[str]) -> Any:
    def check(_: type, names: tuple[str, ...] | str) -> None:
        names = (names,) if isinstance(names, str) else names
        for name in names:
            if name not in known:
                raise ValueError(unknown(name, known))
        all_different(names)

    return Parameter(validator=check, consume_multiple=True, negative="")


_Positive = Parameter(validator=cyclopts.validators.Number(gte=1))


def analyse_command(
    dataset: Annotated[str, _one_of(DATASETS)],
    *,
    output: Path = Path("runs/analyse"),
    inner: Annotated[tuple[str, ...], _one_of(INNERS)] = tuple(INNERS),
    held_out: str | None = None,
    seeds: Annotated[int, _Positive] = 3,
    rollouts: Annotated[int, _Positive] = 120,
    looks: Annotated[int, _Positive] = 4,
    eigenpairs: Annotated[int, _Positive] = 10,
    width: Annotated[int, _Positive] = 64,
    model: str | None = None,
    weights: str = "none",
    tuning: str = "full",
    lr: float | None = None,
) -> None:
    """How principal directions of roll-outs overlap with the top eigenspace of the Hessian; a table and pictures.

    Parameters
    ----------
    dataset:
        Name of a data set.
    output:
        Folder for looks.jsonl, table.md, a picture for each optimizer, and the prepared data.
    inner:
        Optimizers inside.
    held_out:
        The domain that the run does not see; by default the first.
    seeds:
        Number of seeds: data split, initialisation and order of the batches.
    rollouts:
        Length of every run.
    looks:
        How often each run is looked at.
    eigenpairs:
        Dimensions of the top eigenspace.
    width:
        Of the network, if it has one.
    model:
        Name of the network; by default the data set's own.
    weights:
        Of the network, as for sweeps.
    tuning:
        What of the network is trained, as for sweeps.
    lr:
        Learning rate inside; by default 0.001 for Adam and 0.05 for SGD.
    """
    torch.set_num_threads(1)  # the networks are too small for more
    entry = DATASETS[dataset]
    output.mkdir(parents=True, exist_ok=True)
    found: list[Look] = []
    with (output / "looks.jsonl").open("w", encoding="utf-8") as file:
        for name in inner:
            for seed in range(seeds):
                config = RunConfig.model_validate(
                    {
                        "dataset": dataset,
                        "algorithm": "pgrad",
                        "held_out": held_out or entry.domains[0],
                        "seed": seed,
                        "point": 0,
                        "hparams": {},
                        "model": model or entry.model,
                        "rollouts": rollouts,
                        "width": width,
                        "weights": weights,
                        "tuning": tuning,
                    }
                )
                for look in analyse(config, name, looks, eigenpairs, output, lr):
                    found.append(look)
                    file.write(json.dumps(asdict(look)) + "\n")
                    file.flush()
    text = tabulate(table(found), headers="keys", tablefmt="github", disable_numparse=True)
    (output / "table.md").write_text(text + "\n", encoding="utf-8")
    draw(found, output)
    print(text)
