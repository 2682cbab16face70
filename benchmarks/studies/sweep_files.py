"""The sweep files of studies, and whole records of what they asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from benchmarks.base.errors import ConfigError, unknown
from benchmarks.base.records import SEPARATOR
from benchmarks.reports.load import Run, load_records, store_of
from benchmarks.sweeps.config import SweepConfig
from benchmarks.sweeps.files import read, validated
from benchmarks.sweeps.stages import next_stage
from benchmarks.sweeps.store import Store


def content_of(file: Path) -> dict[str, Any]:
    """What stands in a sweep file."""
    return cast(dict[str, Any], yaml.safe_load(file.read_text(encoding="utf-8")))


def sweep_of(file: Path, rungs: Sequence[str] = (), **given: Any) -> SweepConfig:
    """The sweep of a file.

    Args:
        file: The sweep file.
        rungs: Some of its data sets; all without them.
        given: What the command line said in the place of the file; nothing of it counts that is None or ().

    Raises:
        ConfigError: as `benchmarks.sweeps.files.validated`, or if a data set is not in the file.
    """
    content, lines = read(file)
    sweep = validated(
        {**content, **{name: value for name, value in given.items() if value not in (None, ())}}, str(file), lines
    )
    for name in rungs:
        if name not in sweep.datasets:
            raise ConfigError(f"rungs: {unknown(name, sweep.datasets)}")
    return sweep.model_copy(update={"datasets": {name: sweep.datasets[name] for name in rungs or sweep.datasets}})


def of_sweep(sweep: SweepConfig, source: str) -> list[Run]:
    """Whole records of the runs of a sweep and of its later stages (a report leaves out what it does not show).

    Args:
        sweep: Says which runs there are; those of other sweeps are left out.
        source: Folder of the sweep, or a file of records.

    Raises:
        ConfigError: if a run of any stage is not there: the sweep has not come to its end, or another one was made.
        ValueError: as `benchmarks.reports.load.store_of`.
    """
    address = store_of(source)
    if address is None:
        records = load_records(source)
    else:
        with Store(address) as store:
            records = [dict(record) for record in store.each_record()]
    known = {record["key"]: record for record in records}
    found: dict[str, Run] = {}
    stage, runs = "first", sweep.runs()
    while True:
        keys = [run.key() for run in runs]
        if missing := [run for run, key in zip(runs, keys, strict=True) if key not in known]:
            one = missing[0]
            raise ConfigError(
                f"{source}: {len(missing)} of the {len(keys)} {stage} runs are not there, the first of them "
                f"{one.algorithm} on {one.dataset}, held out {SEPARATOR.join(one.held_out)}, seed {one.seed}, point "
                f"{one.point}; finish the sweep first (with the same --points and --algorithms)"
            )
        found |= {key: known[key] for key in keys}
        following = next_stage(sweep, list(found.values()))
        if following is None:
            return [record for key, record in known.items() if key in found]
        stage, runs = following.stage, list(following.selected)
