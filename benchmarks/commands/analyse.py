"""Does ``analyse``: principal directions of roll-outs against the top eigenspace of the Hessian."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

from benchmarks.base.errors import require_known
from benchmarks.commands import say
from benchmarks.datasets import DATASETS
from benchmarks.runs.config import RunConfig
from benchmarks.studies.analyse import INNERS, Look, analyse, draw, table


def analyse_command(
    dataset: str,
    *,
    output: Path,
    inner: tuple[str, ...],
    held_out: str | None,
    seeds: int,
    looks: int,
    eigenpairs: int,
    lr: float | None,
    settings: dict[str, Any],
) -> int:
    """See `benchmarks.commands.words.analysis`."""
    inner = inner or tuple(INNERS)
    require_known("--inner", inner, INNERS)
    require_known("DATASET", (dataset,), DATASETS)
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
                        **settings,
                        "model": settings["model"] or entry.model,
                    }
                )
                for look in analyse(config, name, looks, eigenpairs, output, lr):
                    found.append(look)
                    file.write(json.dumps(asdict(look)) + "\n")
                    file.flush()
    text = tabulate(table(found), headers="keys", tablefmt="github", disable_numparse=True)
    (output / "table.md").write_text(text + "\n", encoding="utf-8")
    draw(found, output)
    say.raw(say.console(), text)
    return 0
