"""Does ``wilds``: the defaults of each data set, and what is said about mistakes."""

from __future__ import annotations

import functools
import signal
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console

from benchmarks.algorithms import ALGORITHMS
from benchmarks.base.called import called
from benchmarks.base.errors import unknown
from benchmarks.commands import say as lines
from benchmarks.commands.places import address
from benchmarks.models.weights import digest
from benchmarks.runs.runner import RunKind
from benchmarks.studies.wilds.catalogue import DEFAULTS
from benchmarks.studies.wilds.config import SCHEME, TEST, Where, WildsConfig, part
from benchmarks.studies.wilds.miniatures import make
from benchmarks.studies.wilds.run import keeper, run
from benchmarks.studies.wilds.setup import assemble, require_fitting
from benchmarks.studies.wilds.submission import add, claim
from benchmarks.sweeps.config import SingleRun
from benchmarks.sweeps.coordinator import Coordinator
from benchmarks.sweeps.store import Store, StoreError
from benchmarks.sweeps.store.backup import keep_backup, require_no_backup
from pgrad.integrations import wilds as integration

__all__ = ["wilds"]

_DEMO_STEPS = 180


def wilds(
    *,
    dataset: str,
    data: Path | None,
    demo: bool,
    algorithm: str,
    steps: int | None,
    seed: int,
    fold: Literal["A", "B", "C", "D", "E"],
    split_scheme: str,
    group_by: tuple[str, ...],
    metric: str,
    backbone: str | None,
    pretrained: bool | None,
    start_from: Path | None,
    lr: float | None,
    weight_decay: float | None,
    outer_lr: float,
    components: int,
    batch_size: int | None,
    groups: int | None,
    splits: int | None,
    distinct: bool,
    uniform: bool,
    resolution: int | None,
    max_tokens: int | None,
    eval_every: int | None,
    eval_splits: tuple[str, ...],
    eval_batch_size: int | None,
    checkpoint_every: int,
    workers: int,
    device: str | None,
    output: Path | None,
    store: str | None,
    predictions: Path | None,
    retry_failed: bool,
) -> int:
    """See `benchmarks.commands.words.wilds`."""
    console, errors = lines.console(), lines.console(stderr=True)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _check(dataset, algorithm, data, demo)
        output = output or Path("runs/wilds") / (f"demo-{dataset}" if demo else dataset)
        if demo:
            data = data or Path("runs/wilds/miniatures")
            console.print(f"miniature in {make(dataset, data)}: made up, its results mean nothing", soft_wrap=True)
        defaults, task = DEFAULTS[dataset], integration.task(dataset)
        size = batch_size or (4 if demo else defaults.batch_size)
        chosen_backbone = backbone or ("tiny" if demo else defaults.backbone)
        config = WildsConfig(
            dataset=SCHEME + dataset,
            algorithm=algorithm,
            held_out=(part(TEST, fold if dataset == "poverty" else ""),),
            seed=seed,
            point=0,
            hparams=_hparams(
                algorithm,
                lr=lr if lr is not None else 3e-3 if demo else defaults.lr,
                weight_decay=weight_decay if weight_decay is not None else 0.0 if demo else defaults.weight_decay,
                outer_lr=outer_lr,
                n_components=components,
            ),
            model=chosen_backbone,
            split_scheme=split_scheme,
            group_by=group_by or task.domain_fields,
            metric=metric or task.metric,
            pretrained=_pretrained(pretrained, chosen_backbone, defaults.pretrained),
            start_from=f"{start_from}#{digest(start_from)}" if start_from is not None else "",
            steps=steps or (_DEMO_STEPS if demo else None),
            evaluate_every=eval_every or (_DEMO_STEPS // 3 if demo else None),
            batch_size=size,
            groups=groups,
            splits=splits or defaults.splits,
            distinct=distinct,
            uniform=uniform,
            resolution=resolution or (32 if demo and defaults.resolution else defaults.resolution),
            max_tokens=max_tokens or defaults.max_tokens,
            eval_splits=eval_splits,
            eval_batch_size=eval_batch_size or size,
        )
        replicate = f"seed{seed}-fold{fold}" if config.fold else f"seed{seed}"
        folder = output / f"{algorithm}-{replicate}-{config.key()[:8]}"
        where = Where(
            data=data or Path(),
            folder=folder,
            predictions=predictions or folder / "predictions",
            device=device or ("cuda" if torch.cuda.is_available() else "cpu"),
            workers=workers,
            checkpoint_every=checkpoint_every,
        )
        with Store(address(store, output)) as opened:
            return _perform(config, where, opened, output, retry_failed=retry_failed, console=console, errors=errors)
    except (ValueError, TypeError, OSError, ImportError, StoreError) as error:
        return lines.refuse(str(error))
    except KeyboardInterrupt:
        errors.print("Stopped; to go on, give the same command again.", soft_wrap=True)
        return 130


def _perform(
    config: WildsConfig,
    where: Where,
    store: Store,
    output: Path,
    *,
    retry_failed: bool,
    console: Console,
    errors: Console,
) -> int:
    """Does the run unless the store has it; the exit status."""
    sweep = SingleRun.of(config)
    require_no_backup(store, output)
    known = store.known(sweep)
    if known["finished"]:
        console.print(f"{output} holds this run, finished: nothing is done again", soft_wrap=True)
        own = where.folder / "predictions"
        if where.predictions != own:
            copied = add(own / config.name, where.predictions / config.name, config)
            where_from = f"copied to {where.predictions}" if copied else "where it was told to write them"
            console.print(f"its predictions are {where_from}", soft_wrap=True)
        return 0
    over = next((status for status in ("failed", "diverged") if known[status]), None)
    if over and not retry_failed:
        raise ValueError(f"{output} holds this run, {over}; --retry-failed does it again where it was saved last")
    kept = keeper(config, where)
    saved = kept.load()
    parts = assemble(config, where)
    if where.predictions != where.folder / "predictions":
        claim(where.predictions / config.name, config)
    if config.split_scheme or config.metric != integration.task(config.name).metric:
        parts.training.evaluate(parts.model)  # an unknown metric shows now, not after an epoch

    def say(text: str) -> None:
        lines.line(console, text)

    begun = saved["progress"]["updates"] * parts.training.cost if saved is not None else 0
    say(
        f"{config.name}: {len(parts.judge.dataset)} examples, {config.algorithm} on {config.model}, "
        f"{parts.steps} steps, roll-outs of {parts.rollout_length}" + (f", from step {begun}" if begun else "")
    )
    if config.steps is not None and config.steps != parts.steps:
        say(f"note: {config.steps} steps are not whole roll-outs of {parts.rollout_length}: {parts.steps} are made")
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    kind = RunKind(WildsConfig, functools.partial(run, parts=parts, where=where, say=say))
    coordinator = Coordinator(sweep, store, output, kind=kind, threads=None)
    if retry_failed:
        store.redo(coordinator.sweep_id, ("failed", "diverged"))
    try:
        (record,) = coordinator.run()
    finally:
        keep_backup(store, output)
    if record["status"] != "finished":
        errors.print(f"error: {record['error']}", soft_wrap=True, highlight=False, markup=False, style="red")
        return 1
    kept.path.unlink(missing_ok=True)  # nothing is left to go on with
    say(f"compare the runs in this folder with: {called('report', str(output))}")
    return 0


def _interrupt(_signum: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _check(dataset: str, algorithm: str, data: Path | None, demo: bool) -> None:
    if dataset not in integration.TASKS:
        raise ValueError(unknown(dataset, integration.TASKS))
    integration.task(dataset)  # refuses what needs another library
    require_fitting(algorithm, dataset)
    if data is None and not demo:
        raise ValueError(
            f"--data must name the folder with the data set; {integration.download_command(dataset, 'DIR')}"
        )


def _hparams(algorithm: str, **given: float) -> dict[str, int | float]:
    """The defaults of the algorithm, with what is given of its own."""
    space = ALGORITHMS[algorithm].space
    own = {name: value for name, value in given.items() if name in space or name in ("lr", "weight_decay")}
    return {**{name: choice.default for name, choice in space.items()}, **own}


def _pretrained(asked: bool | None, backbone: str, default: bool) -> bool:
    built_here = backbone in ("tiny", "linear")
    if asked and built_here:
        raise ValueError(f"--pretrained needs a backbone of a library, got {backbone!r}")
    return bool(default if asked is None else asked) and not built_here
