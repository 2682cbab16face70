"""``python -m domainbed_ext collect``: DomainBed's collect_results.py over finished jobs, of one folder or several."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from domainbed_ext import own, records, scripts
from domainbed_ext.errors import Refusal
from domainbed_ext.marks import Marks
from domainbed_ext.records import Record
from domainbed_ext.registration import register

__all__ = ["load", "main"]


def main(argv: Sequence[str]) -> int:
    """Print DomainBed's tables."""
    parser = argparse.ArgumentParser("collect", add_help=False, allow_abbrev=False, usage=argparse.SUPPRESS)
    group = parser.add_argument_group("added by domainbed_ext")
    group.add_argument("--domainbed", help="DomainBed checkout (default: $DOMAINBED, else the Python path)")
    group.add_argument("--also", nargs="+", default=[], metavar="DIR", help="more sweeps, old ones too, side by side")
    group.add_argument("--include_unfinished", action="store_true", help="count jobs that run or were killed as well")
    options, theirs = parser.parse_known_args(argv)
    register(options.domainbed)
    reporting: Any = importlib.import_module("domainbed.lib.reporting")
    query = importlib.import_module("domainbed.lib.query").Q
    datasets = importlib.import_module("domainbed.datasets")
    parsed: list[argparse.Namespace] = []

    def load_records(path: str) -> Any:
        sweeps = [Path(path), *map(Path, options.also)]
        found = load(sweeps, options.include_unfinished, parsed[0].auto_lr)
        for name, domains in _own_domains(sweeps, found).items():
            own.placeholder(datasets, name, domains)
        return query(_of_known(found, datasets.DATASETS))

    def seen(args: argparse.Namespace) -> None:
        require_sweep("--input_dir", Path(args.input_dir))
        for folder in map(Path, options.also):
            require_sweep("--also", folder)
        parsed.append(args)

    reporting.load_records = load_records
    marks = Marks(reporting, importlib.import_module("domainbed.lib.misc"), datasets)
    stdout = sys.stdout
    try:
        with marks.made(importlib.import_module("domainbed.model_selection")):
            scripts.run("collect_results", theirs, parser, seen)
        marks.explain()  # into the file of the tables too
    finally:
        sys.stdout = stdout  # collect_results.py replaces it
    return 0


def require_sweep(argument: str, folder: Path) -> None:
    """Refuses what is no folder of a sweep."""
    if not folder.is_dir():
        raise Refusal(f"{argument} {folder} is not a folder")
    if (folder / records.FILE).exists():
        raise Refusal(f"{argument} {folder} is the folder of one job; give the one above it, {folder.resolve().parent}")
    if not any(folder.glob(f"*/{records.FILE}")):
        raise Refusal(f"{argument} {folder} holds no results: there is no {folder / '*' / records.FILE}")


def load(sweeps: Sequence[Path], include_unfinished: bool = False, several_holdouts: bool = False) -> list[Record]:
    """The records of all jobs, in DomainBed's format; unfinished jobs are left out unless asked for.

    DomainBed tells runs apart by data set, algorithm, test domains and the two seeds only. Where a later sweep has a
    run that an earlier one has too, that of the earlier one counts; two such runs in one sweep are refused.

    Raises:
        Refusal: for two runs that cannot be told apart, a sweep that is given twice, or if there is no record.
    """
    if len({sweep.resolve() for sweep in sweeps}) < len(sweeps):
        raise Refusal(f"a folder is given twice: {', '.join(map(str, sweeps))}")
    found: list[Record] = []
    owner: dict[tuple[Any, ...], Path] = {}
    unfinished = repeated = 0
    damage = records.Damage()
    for folder in (path.parent for sweep in sweeps for path in sorted(sweep.glob(f"*/{records.FILE}"))):
        if not (folder / "done").exists() and not include_unfinished:
            unfinished += 1
            continue
        run = records.read(folder / records.FILE, damage)
        if not run:
            continue
        key = _key(run[0], several_holdouts)
        other = owner.setdefault(key, folder)
        if other.parent == folder.parent and other != folder:
            raise Refusal(
                f"{other} and {folder} are two runs of {key}, which DomainBed cannot tell apart (other --hparams "
                "or --steps?): sweep them into separate folders"
            )
        if other == folder:
            found += run
        else:
            repeated += 1
    damage.tell()
    if unfinished:
        print(f"{unfinished} unfinished jobs are left out (--include_unfinished counts them)", file=sys.stderr)
    if repeated:
        print(f"{repeated} runs of later folders are left out: an earlier folder has them too", file=sys.stderr)
    if not found:
        raise Refusal(f"no finished job has results in {', '.join(map(str, sweeps))}")
    return found


def _key(record: Record, with_holdout: bool) -> tuple[Any, ...]:
    args = record["args"]
    names = ("dataset", "algorithm", "test_envs", "trial_seed", "hparams_seed")
    holdout = (args.get("holdout_fraction"),) if with_holdout else ()
    return (*(str(args[name]) for name in names), *holdout)


def _own_domains(sweeps: Sequence[Path], found: Sequence[Record]) -> dict[str, list[str]]:
    """The domains of data sets that are folders: their names as a job recorded them, else numbers."""
    numbers = {r["args"]["dataset"]: records.environments(r) for r in found if own.is_own(r["args"]["dataset"])}
    domains = {name: [str(i) for i in range(number)] for name, number in numbers.items()}
    if domains:
        for path in (path for sweep in sweeps for path in sweep.glob("*/environment.json")):
            try:
                written = json.loads(path.read_text())
            except ValueError:
                written = None
            if not isinstance(written, dict):
                print(f"{path} is damaged and left out", file=sys.stderr)
                continue
            if len(written.get("domains", ())) == numbers.get(written.get("dataset")):
                domains[written["dataset"]] = written["domains"]
    return domains


def _of_known(found: list[Record], known: Sequence[str]) -> list[Record]:
    names = {record["args"]["dataset"] for record in found}
    unknown = sorted(names - set(known))
    if unknown:
        print(f"DomainBed knows no data set {', '.join(unknown)}: not in the tables", file=sys.stderr)
    if set(unknown) == names:
        raise Refusal("no record is of a data set that DomainBed knows")
    return found
