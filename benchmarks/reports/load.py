"""Where the records of a report come from."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.runs.selection import checkpoints, is_refit
from benchmarks.sweeps.store import Store
from benchmarks.sweeps.store.transfer import holds_lines, read_lines

Run = dict[str, Any]
"""A `benchmarks.base.records.Record`; records of older versions may lack some of its fields."""

LINES, STORE = "records.jsonl", "store.sqlite"


@dataclass(frozen=True)
class Loaded:
    """The records of all sources, each run once.

    Attributes:
        records: In the order of the sources.
        repeated: How many were left out because another source, or other code, gave the same run.
        codes: Fingerprints of the code of the runs that count.
    """

    records: list[Run]
    repeated: int
    codes: tuple[str, ...]


def load_records(source: str) -> list[Run]:
    """The records of a folder of a sweep, of a file ``.jsonl`` or ``.jsonl.xz``, or of a store (file or address).

    Raises:
        ValueError: if there is nothing of the kind, or a line is no record.
    """
    if "://" in source:
        return _of_store(source)
    path = Path(source)
    if path.is_dir():
        found = [path / name for name in (LINES, STORE) if (path / name).exists()]
        if not found:
            raise ValueError(f"{path} must hold {LINES} or {STORE}: it is no folder of a sweep")
        path = found[0]
    if not path.exists():
        raise ValueError(f"{path} does not exist; give a folder of a sweep, a file of records or a store")
    return [dict(record) for record in read_lines(path)] if holds_lines(path) else _of_store(str(path))


def _of_store(address: str) -> list[Run]:
    with Store(address) as store:
        return [dict(record) for record in store.records()]


def load(sources: Iterable[str]) -> Loaded:
    """The records of several sources together.

    Of two records of one run, a finished one counts before a failed one, then the one that ended last.

    Raises:
        ValueError: if there are none at all, or two sources contradict one another (see `_check`).
    """
    runs: dict[str, Run] = {}
    total = 0
    for source in sources:
        for record in load_records(source):
            total += 1
            known = runs.get(record["key"])
            if known is None or _rank(record) >= _rank(known):
                runs[record["key"]] = _completed(record)
    if not runs:
        raise ValueError("there are no records of ended runs; has the sweep begun?")
    records = list(runs.values())
    _check(records)
    codes = {str(record.get("environment", {}).get("code", "unknown")) for record in records}
    return Loaded(records, total - len(records), tuple(sorted(codes)))


def _rank(record: Run) -> tuple[bool, float]:
    return record["status"] == "finished", (record.get("timings") or {}).get("ended") or 0.0


def _completed(record: Run) -> Run:
    """With NaN for scores that are not defined, and with what older records lack and their curves tell."""
    for name in ("curves", "domain_curves"):
        if record.get(name):
            record = {
                **record,
                name: {key: [_number(value) for value in values] for key, values in record[name].items()},
            }
    curves = record.get("curves") or {}
    if record["status"] == "finished" and "selections" not in record:
        record = {**record, "selections": checkpoints(curves)}
    if record.get("evaluations") is None and record["status"] == "finished" and curves.get("step"):
        record = {**record, "evaluations": curves["step"][-1]}
    return record


def _number(value: float | None) -> float:
    return math.nan if value is None else value


_PLACE = ("dataset", "algorithm", "held_out", "seed", "point")


def _check(records: Iterable[Run]) -> None:
    """Runs on one data set must have been made alike, and a point of the search is one set of hyper-parameters."""
    settings: dict[str, dict[str, Any]] = {}
    places: dict[tuple[Any, ...], Run] = {}
    for record in records:
        config = record["config"]
        if is_refit(record):  # of a run that is there, and shorter
            continue
        own = {name: value for name, value in config.items() if name not in (*_PLACE, "hparams")}
        first = settings.setdefault(config["dataset"], own)
        differing = [name for name in {**first, **own} if first.get(name) != own.get(name)]
        if differing:
            name = differing[0]
            raise ValueError(
                f"runs on {config['dataset']} must have the same settings to be compared, got {name} "
                f"{first.get(name)!r} and {own.get(name)!r}; report on them one by one"
            )
        place = tuple(config[name] for name in _PLACE)
        other = places.setdefault(place, record)
        if other is not record:
            raise ValueError(
                f"{dict(zip(_PLACE, place, strict=True))} occurs with two sets of hyper-parameters, "
                f"{other['config']['hparams']} and {config['hparams']}; report on them one by one"
            )
