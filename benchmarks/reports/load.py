"""Where the records of a report come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.base.errors import unknown
from benchmarks.reports import load_store
from benchmarks.reports.packed import Packed, evenly_long
from benchmarks.runs.selection import checkpoints, stands
from benchmarks.sweeps.store import Store
from benchmarks.sweeps.store.transfer import holds_lines
from benchmarks.sweeps.store.transfer import read_lines as stream_lines

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
        sweeps: The configurations of the sweeps of all stores.
        waiting: Runs in the stores that have not ended.
    """

    records: list[Run]
    repeated: int
    codes: tuple[str, ...]
    sweeps: tuple[Mapping[str, Any], ...] = ()
    waiting: int = 0

    def only(self, algorithms: Sequence[str]) -> Loaded:
        """The records of some algorithms; of all, if none are named.

        Raises:
            ValueError: if one of them has no runs.
        """
        known = list(dict.fromkeys(record["config"]["algorithm"] for record in self.records))
        for name in algorithms:
            if name not in known:
                raise ValueError(f"compare: {unknown(name, known)}")
        if not algorithms:
            return self
        kept = [record for record in self.records if record["config"]["algorithm"] in algorithms]
        return dataclasses.replace(self, records=kept)


def load_records(source: str) -> list[Run]:
    """The records of a folder of a sweep, of a file ``.jsonl`` or ``.jsonl.xz``, or of a store (file or address).

    Raises:
        ValueError: if there is nothing of the kind, or a line is no record.
        StoreError: if a store is empty and a file of records lies beside it.
    """
    return [dict(record) for record in stream(source)]


def stream(source: str) -> Iterator[Mapping[str, Any]]:
    """`load_records`, one after the other.

    Raises:
        ValueError: as there; and if the store of a folder is empty while its file of records is not.
    """
    address = store_of(source)
    if address is None:
        path = Path(source)
        yield from stream_lines(path / LINES if path.is_dir() else path)
        return
    path, empty = Path(source), True
    with Store(address) as store:
        for record in load_store.stream(store):
            empty = False
            yield record
    if empty and path.is_dir() and any(True for _ in _lines_of(path / LINES)):
        raise ValueError(
            f"{path / STORE} holds no ended run, but {path / LINES} does: report on the file, or bring it back with "
            f"python -m benchmarks import {path / LINES} --output {path}"
        )


def _lines_of(path: Path) -> Iterator[Mapping[str, Any]]:
    return stream_lines(path) if path.exists() else iter(())


def store_of(source: str) -> str | None:
    """The address of the store that a source is, or has; None for a file of records, or a folder that has only that.

    Raises:
        ValueError: if it is none of these.
    """
    if "://" in source:
        return source
    path = Path(source)
    if path.is_dir():
        if (path / STORE).exists():
            return str(path / STORE)
        if not (path / LINES).exists():
            raise ValueError(f"{path} must hold {STORE} or {LINES}: it is no folder of a sweep")
        return None
    if not path.exists():
        raise ValueError(f"{path} does not exist; give a folder of a sweep, a file of records or a store")
    return None if holds_lines(path) else str(path)


def sweeps_of(source: str) -> list[Mapping[str, Any]]:
    """The configurations of the sweeps of its store; none if it has no store.

    Later stages of sweeps, and runs that were named one by one (`again`, those on WILDS), are left out: they do not say
    what is reported on.
    """
    address = store_of(source)
    if address is None:
        return []
    with Store(address) as store:
        return [sweep["config"] for sweep in store.sweeps() if isinstance(sweep["config"]["datasets"], Mapping)]


def waiting_in(source: str) -> int:
    """How many runs of its store have not ended; none if it has no store."""
    address = store_of(source)
    if address is None:
        return 0
    with Store(address) as store:
        return load_store.waiting(store)


def load(sources: Iterable[str]) -> Loaded:
    """The records of several sources together.

    Of two records of one run, a finished one counts before a failed one, then the one that ended last.

    Raises:
        ValueError: if there are none at all, or two sources contradict one another (see `_check`).
    """
    runs: dict[str, Run] = {}
    sweeps: list[Mapping[str, Any]] = []
    total = waiting = 0
    environments: dict[str, dict[str, Any]] = {}
    for source in sources:
        sweeps += sweeps_of(source)
        waiting += waiting_in(source)
        for record in stream(source):
            total += 1
            known = runs.get(record["key"])
            if known is None or _rank(record) >= _rank(known):
                runs[record["key"]] = completed(record, environments)
    if not runs:
        raise ValueError("there are no records of ended runs; has the sweep begun?")
    records = list(runs.values())
    _check(records)
    codes = {str(record["environment"].get("code", "unknown")) for record in records}
    return Loaded(records, total - len(records), tuple(sorted(codes)), tuple(sweeps), waiting)


def _rank(record: Mapping[str, Any]) -> tuple[bool, float]:
    return record["status"] == "finished", (record.get("timings") or {}).get("ended") or 0.0


_UNREAD = ("selection", "worker", "model_file", "traceback")


def completed(record: Mapping[str, Any], environments: dict[str, dict[str, Any]] | None = None) -> Run:
    """Packed, with NaN for scores that are not defined, and with what older records lack and their curves tell.

    Args:
        record: Of a run.
        environments: Keeps those that were seen, so that many records share one.
    """
    environments = {} if environments is None else environments
    found = {name: value for name, value in record.items() if name not in _UNREAD}
    for name in ("curves", "domain_curves"):
        if found.get(name) and evenly_long(found[name]):
            found[name] = Packed(found[name])
    if found.get("measures"):
        found["measures"] = {
            name: Packed(curves) if evenly_long(curves) else curves for name, curves in found["measures"].items()
        }
    environment = found.get("environment") or {}
    found["environment"] = environments.setdefault(str(environment), environment)
    curves = found.get("curves") or {}
    if found["status"] == "finished":
        if "selections" not in found:
            found["selections"] = checkpoints(curves)
        if found.get("evaluations") is None and curves.get("step"):
            found["evaluations"] = curves["step"][-1]
    return found


_PLACE = ("dataset", "algorithm", "held_out", "seed", "point")
_OWN = frozenset((*_PLACE, "hparams"))


def _check(records: Iterable[Run]) -> None:
    """Runs on one data set must have been made alike, and a point of the search is one set of hyper-parameters."""
    settings: dict[str, dict[str, Any]] = {}
    places: dict[tuple[Any, ...], Run] = {}
    for record in records:
        config = record["config"]
        if not stands(record):  # a refit, or a run that was cut short: of one that is there, and shorter
            continue
        own = {name: value for name, value in config.items() if name not in _OWN}
        first = settings.setdefault(config["dataset"], own)
        if own != first:
            name = next(name for name in {**first, **own} if first.get(name) != own.get(name))
            raise ValueError(
                f"runs on {config['dataset']} must have the same settings to be compared, got {name} "
                f"{first.get(name)!r} and {own.get(name)!r}; report on them one by one, or side by side with --overview"
            )
        place = tuple([config[name] for name in _PLACE])
        other = places.setdefault(place, record)
        if other is not record:
            raise ValueError(
                f"{dict(zip(_PLACE, place, strict=True))} occurs with two sets of hyper-parameters, "
                f"{other['config']['hparams']} and {config['hparams']}; report on them one by one"
            )
