"""``python -m domainbed_ext sweep``: DomainBed's sweep.py with our launchers, resumable.

DomainBed's script makes the jobs, names their folders and prints their states; it launches a job only if it has no
folder. So resuming is setting aside the folders of jobs that neither ended nor run, before it looks.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from domainbed_ext import folders, launchers, own, recipes, scripts, train
from domainbed_ext.errors import Refusal, closest
from domainbed_ext.folders import State

__all__ = ["main"]

_SILENT = ("dummy", "slurm")  # launchers that return before the jobs have run


def _parser() -> argparse.ArgumentParser:
    parser = train.common_parser("sweep")
    group = parser.add_argument_group(
        "added to DomainBed's sweep",
        "launchers beside DomainBed's: cores (processes of this machine), gpus (the same for each GPU), slurm",
    )
    group.add_argument("--recipe", help=f"arguments of a file in recipes/: {', '.join(recipes.names())}, or a path")
    group.add_argument(
        "--dry_run", "--dry-run", action="store_true", help="print the jobs and do nothing; data are not looked at"
    )
    group.add_argument("--jobs", type=int, help="at a time; of each GPU with gpus (default: one per core, or per GPU)")
    group.add_argument("--retry_failed", "--retry-failed", action="store_true", help="launch failed jobs again")
    group.add_argument("--slurm", nargs="+", default=[], metavar="KEY=VALUE", help="parameters for submitit's executor")
    group.add_argument("--cluster", default="slurm", help="for submitit: slurm, or local to try it without one")
    return parser


def main(argv: Sequence[str]) -> int:
    """Launch (or resume) a sweep; 0 if every job is done, or waits in the cluster."""
    parser = _parser()
    options, theirs = parser.parse_known_args(argv)
    if options.jobs is not None and options.jobs < 1:
        raise Refusal(f"--jobs must be at least 1, got {options.jobs}")
    root = train.prepare(options)
    if options.recipe:
        theirs = _with_recipe(theirs, recipes.load(options.recipe))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that launchers end their jobs
    sweep = _Sweep(options)
    entry = [sys.executable, "-m", "domainbed_ext", "train", "--domainbed", str(root)]
    if options.workers is not None:
        entry += ["--workers", str(options.workers)]
    if options.trust_images:
        entry.append("--trust_images")
    if "--data_dir" not in theirs and any(own.is_own(word) for word in theirs):
        theirs += ["--data_dir", "."]  # which DomainBed's script wants, and a data set that names its folder does not

    def seen(args: argparse.Namespace) -> None:
        sweep.look_at(args)
        registry = importlib.import_module("domainbed.command_launchers").REGISTRY
        own = launchers.Options(options.jobs, Path(args.output_dir), options.cluster, _parameters(options.slurm))
        launchers.install(registry, entry, own)
        if args.command_launcher not in registry:
            hint = closest(args.command_launcher, registry)
            raise Refusal(f"--command_launcher {args.command_launcher} is unknown{hint}: {', '.join(registry)}")
        if args.command_launcher in ("gpus", "multi_gpu"):
            launchers.visible_gpus()
        sweep.make_room()

    scripts.run("sweep", theirs, parser, seen)
    return sweep.conclude()


def _with_recipe(argv: Sequence[str], recipe: recipes.Recipe) -> list[str]:
    """The recipe's arguments before the others, of which the last counts; hyper-parameters are merged one by one."""
    from domainbed_ext import preflight

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--hparams")
    given, rest = parser.parse_known_args(argv)
    merged = dataclasses.replace(recipe, hparams={**recipe.hparams, **preflight.parse_hparams(given.hparams)})
    return [*rest[:1], *merged.arguments(), *rest[1:]]


class _Sweep:
    """The jobs that DomainBed's script is about to handle, and what has become of them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options

    def look_at(self, args: argparse.Namespace) -> None:
        from domainbed_ext import preflight

        own.register(importlib.import_module("domainbed.datasets"), args.datasets)
        script = importlib.import_module("domainbed.scripts.sweep")
        arguments = script.make_args_list(
            args.n_trials, args.datasets, args.algorithms, args.n_hparams_from, args.n_hparams, args.steps,
            args.data_dir, args.task, args.holdout_fraction, args.single_test_envs, args.hparams,
        )  # fmt: skip
        self.args = args
        self.jobs: list[Any] = [script.Job(a, args.output_dir) for a in arguments]
        if not self.jobs:
            raise Refusal("these arguments make no jobs: look at --n_trials, --n_hparams_from and --n_hparams")
        wanted = [preflight.Job.of(a) for a in arguments]
        if self.options.dry_run:
            preflight.check_words(wanted)
            self._print_jobs()
            sys.exit(0)
        if args.command == "launch":
            preflight.check(wanted, self.options.trust_images)
            preflight.check_sizes(wanted)

    def _print_jobs(self) -> None:
        for job in self.jobs:
            print(f"{self.state(job).value}: {job.command_str.removeprefix('python -m ')}")
        print(f"{len(self.jobs)} jobs; nothing was done")

    def state(self, job: Any) -> State:
        queued = functools.partial(launchers.is_queued, output_dir=Path(self.args.output_dir))
        return folders.state(Path(job.output_dir), queued)

    def make_room(self) -> None:
        states = {job.output_dir: self.state(job) for job in self.jobs}
        if self.args.command != "launch":
            alive = [folder for folder, state in states.items() if state in (State.RUNNING, State.QUEUED)]
            if alive:
                raise Refusal(f"{len(alive)} jobs are running or queued, {alive[0]} for one: they would be deleted")
            return
        retried = (State.INTERRUPTED, State.FAILED) if self.options.retry_failed else (State.INTERRUPTED,)
        again = [folder for folder, state in states.items() if state in retried]
        for folder in again:
            folders.set_aside(Path(folder))
        self.launched = {f for f, state in states.items() if state is State.NOT_LAUNCHED} | set(again)
        if again:
            print(f"{len(again)} jobs are launched again; what they had written is in {folders.ATTIC}")

    def conclude(self) -> int:
        if self.args.command != "launch":
            return 0
        for folder in map(Path, self.launched):
            if folders.state(folder) is State.INTERRUPTED and self.args.command_launcher not in _SILENT:
                folders.mark_failed(folder, "ended without a result: killed (by lack of memory?), or never started")
            elif self.args.command_launcher == "dummy" and folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        states = {job.output_dir: self.state(job) for job in self.jobs}
        counts = Counter(states.values())
        print(", ".join(f"{counts[state]} {state.value}" for state in State if counts[state]))
        for folder, state in states.items():
            if state is State.FAILED:
                print(f"failed: {folder}: {folders.reason(Path(folder)).strip().splitlines()[-1]}")
        if counts[State.FAILED]:
            print("--retry_failed launches the failed jobs again")
            return 1
        ended = counts[State.DONE] == len(self.jobs)
        return 0 if ended or self.args.command_launcher in _SILENT else 1


def _parameters(pairs: Sequence[str]) -> dict[str, Any]:
    """submitit's parameters from ``key=value``; what looks like a number is one."""
    parameters: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise Refusal(f"--slurm takes KEY=VALUE such as timeout_min=240 gpus_per_node=1, got {pair!r}")
        parameters[key] = int(value) if value.isdigit() else value
    return parameters
