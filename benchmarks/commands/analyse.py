"""Does ``analyse``: principal directions of roll-outs against the top eigenspace of the Hessian."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

from benchmarks.base.errors import ConfigError, require_known
from benchmarks.base.records import held_out_domains
from benchmarks.commands import say
from benchmarks.datasets import DATASETS
from benchmarks.models import require_fitting
from benchmarks.runs.config import RunConfig
from benchmarks.studies.analyse import AGGREGATIONS, INNERS, Curve, Look, analyse, curve, draw, smooth, table


def analyse_command(
    dataset: str,
    *,
    output: Path,
    inner: tuple[str, ...],
    held_out: str | None,
    seeds: int,
    looks: int,
    eigenpairs: int,
    examples: int,
    lr: float | None,
    curves: bool,
    settings: dict[str, Any],
) -> int:
    """See `benchmarks.commands.words.analysis`."""
    inner = inner or tuple(INNERS)
    require_known("--inner", inner, INNERS)
    require_known("DATASET", (dataset,), DATASETS)
    entry = DATASETS[dataset]
    held_out = held_out or entry.domains[0]
    require_known("--held-out", held_out_domains(held_out), entry.domains)
    if not curves and (before := settings["rollouts"] // looks * seeds) < 2:
        raise ConfigError(
            f"--looks {looks}: roll-outs before the first look must be two at least over all seeds, for an interval, "
            f"got {before}: take more --rollouts or --seeds, or fewer --looks"
        )
    settings = {**settings, "model": settings["model"] or entry.model}
    fixed = {"dataset": dataset, "algorithm": "pgrad", "held_out": held_out, "point": 0, "hparams": {}, **settings}
    configs = [RunConfig.model_validate({**fixed, "seed": seed}) for seed in range(seeds)]
    try:
        require_fitting(configs[0], configs[0].model)
    except ValueError as error:
        raise ConfigError(f"--model {configs[0].model}: {error}") from error
    torch.set_num_threads(1)  # the networks are too small for more
    output.mkdir(parents=True, exist_ok=True)
    if curves:
        text = _curves(inner, configs, output, lr)
    else:
        text = _looks(inner, configs, output, lr, looks, eigenpairs, examples)
    say.raw(say.console(), text)
    return 0


def _looks(
    inner: Sequence[str],
    configs: Sequence[RunConfig],
    output: Path,
    lr: float | None,
    looks: int,
    eigenpairs: int,
    examples: int,
) -> str:
    found: list[Look] = []
    with (output / "looks.jsonl").open("w", encoding="utf-8") as file:
        for name, config in itertools.product(inner, configs):
            try:
                for look in analyse(config, name, looks, eigenpairs, output, lr, examples):
                    found.append(look)
                    file.write(json.dumps(asdict(look)) + "\n")
                    file.flush()
            except FloatingPointError as error:
                raise ConfigError(f"--inner {name}, seed {config.seed}: {error}") from error
    text = tabulate(table(found), headers="keys", tablefmt="github", disable_numparse=True)
    (output / "table.md").write_text(text + "\n", encoding="utf-8")
    draw(found, output)
    return text


def _curves(inner: Sequence[str], configs: Sequence[RunConfig], output: Path, lr: float | None) -> str:
    found: list[Curve] = []
    with (output / "curves.jsonl").open("w", encoding="utf-8") as file:
        for name, config, aggregation in itertools.product(inner, configs, AGGREGATIONS):
            try:
                found.append(curve(config, name, aggregation, output, lr))
            except FloatingPointError as error:
                raise ConfigError(f"--inner {name}, seed {config.seed}, {aggregation}: {error}") from error
            file.write(json.dumps(asdict(found[-1])) + "\n")
            file.flush()
    try:
        rows = smooth(found)
    except ValueError as error:
        raise ConfigError(f"{error}; the curves are in {output / 'curves.jsonl'}") from error
    text = tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)
    (output / "smoothness.md").write_text(text + "\n", encoding="utf-8")
    return text
