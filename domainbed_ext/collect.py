"""``python -m domainbed_ext collect``: DomainBed's collect_results.py over finished jobs, of one folder or several."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from domainbed_ext import scripts
from domainbed_ext.errors import Refusal
from domainbed_ext.registration import register

__all__ = ["load", "main"]

Record = dict[str, Any]


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
    known = importlib.import_module("domainbed.datasets").DATASETS
    parsed: list[argparse.Namespace] = []

    def load_records(path: str) -> Any:
        sweeps = [Path(path), *map(Path, options.also)]
        records = load(sweeps, options.include_unfinished, parsed[0].auto_lr)
        return query(_of_known(records, known))

    def seen(args: argparse.Namespace) -> None:
        if not Path(args.input_dir).is_dir():
            raise Refusal(f"--input_dir {args.input_dir} is not a folder")
        parsed.append(args)

    reporting.load_records = load_records
    stdout = sys.stdout
    try:
        scripts.run("collect_results", theirs, parser, seen)
    finally:
        sys.stdout = stdout  # collect_results.py replaces it
    return 0


def load(sweeps: Sequence[Path], include_unfinished: bool = False, several_holdouts: bool = False) -> list[Record]:
    """The records of all jobs, in DomainBed's format; unfinished jobs are left out unless asked for.

    DomainBed tells runs apart by data set, algorithm, test domains and the two seeds only. Where a later sweep has a
    run that an earlier one has too, that of the earlier one counts; two such runs in one sweep are refused.

    Raises:
        Refusal: for two runs that cannot be told apart, or if there is no record.
    """
    records: list[Record] = []
    owner: dict[tuple[Any, ...], Path] = {}
    unfinished = repeated = 0
    for sweep in sweeps:
        for folder in sorted(path.parent for path in sweep.glob("*/results.jsonl")):
            if not (folder / "done").exists() and not include_unfinished:
                unfinished += 1
                continue
            run = list(_read(folder / "results.jsonl"))
            key = _key(run[0], several_holdouts) if run else ()
            other = owner.setdefault(key, folder)
            if run and other.parent == folder.parent and other != folder:
                raise Refusal(
                    f"{other} and {folder} are two runs of {key}, which DomainBed cannot tell apart (other --hparams "
                    "or --steps?): sweep them into separate folders"
                )
            if other == folder:
                records += run
            elif run:
                repeated += 1
    if unfinished:
        print(f"{unfinished} unfinished jobs are left out (--include_unfinished counts them)", file=sys.stderr)
    if repeated:
        print(f"{repeated} runs of later folders are left out: an earlier folder has them too", file=sys.stderr)
    if not records:
        raise Refusal(f"no finished job has results in {', '.join(map(str, sweeps))}")
    return records


def _read(path: Path) -> Iterator[Record]:
    """Whole lines only: a process that was killed may leave half of one."""
    for line in path.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)
        else:
            print(f"{path}: the last line is incomplete and left out", file=sys.stderr)


def _key(record: Record, with_holdout: bool) -> tuple[Any, ...]:
    args = record["args"]
    names = ("dataset", "algorithm", "test_envs", "trial_seed", "hparams_seed")
    holdout = (args.get("holdout_fraction"),) if with_holdout else ()
    return (*(str(args[name]) for name in names), *holdout)


def _of_known(records: list[Record], known: Sequence[str]) -> list[Record]:
    found = {record["args"]["dataset"] for record in records}
    unknown = sorted(found - set(known))
    if unknown:
        print(f"DomainBed knows no data set {', '.join(unknown)}: not in the tables", file=sys.stderr)
    if set(unknown) == found:
        raise Refusal("no record is of a data set that DomainBed knows")
    return records
