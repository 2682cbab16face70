"""``python -m benchmarks wilds``: options, their defaults for each data set, and what is said about mistakes."""

from __future__ import annotations

import functools
import signal
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
import torch
from cyclopts import Parameter
from rich.console import Console

from benchmarks.algorithms import ALGORITHMS
from benchmarks.base.errors import unknown
from benchmarks.commands.options import address
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

_Positive = Parameter(validator=cyclopts.validators.Number(gte=1))
_Rate = Parameter(validator=cyclopts.validators.Number(gte=0))

_DEMO_STEPS = 180


def wilds(
    dataset: str = "camelyon17",
    *,
    data: Path | None = None,
    demo: bool = False,
    algorithm: str = "pgrad",
    steps: Annotated[int | None, _Positive] = None,
    seed: Annotated[int, Parameter(validator=cyclopts.validators.Number(gte=0))] = 0,
    fold: Literal["A", "B", "C", "D", "E"] = "A",
    split_scheme: str = "",
    group_by: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = (),
    metric: str = "",
    backbone: str | None = None,
    pretrained: bool | None = None,
    start_from: Path | None = None,
    lr: Annotated[float | None, _Rate] = None,
    weight_decay: Annotated[float | None, _Rate] = None,
    outer_lr: Annotated[float, _Rate] = 0.1,
    components: Annotated[int, _Positive] = 4,
    batch_size: Annotated[int | None, _Positive] = None,
    groups: Annotated[int | None, Parameter(validator=cyclopts.validators.Number(gte=0))] = None,
    splits: Annotated[int | None, _Positive] = None,
    distinct: bool = True,
    uniform: bool = True,
    resolution: Annotated[int | None, _Positive] = None,
    max_tokens: Annotated[int | None, _Positive] = None,
    eval_every: Annotated[int | None, _Positive] = None,
    eval_splits: Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")] = (),
    eval_batch_size: Annotated[int | None, _Positive] = None,
    checkpoint_every: Annotated[int, _Positive] = 500,
    workers: Annotated[int, Parameter(validator=cyclopts.validators.Number(gte=0))] = 0,
    device: str | None = None,
    output: Path | None = None,
    store: str | None = None,
    predictions: Path | None = None,
    retry_failed: bool = False,
) -> int:
    """Train on a WILDS data set and evaluate officially; a run that was killed goes on when called again.

    The exit status is 0 if the run is finished, 1 if it failed, 2 if it could not be begun or go on, 130 after Ctrl-C.

    Options that are not given are those published for the data set.

    Parameters
    ----------
    dataset:
        Name in WILDS.
    data:
        Folder that holds the folder of the data set.
    demo:
        Take a made-up miniature of the data set and a tiny network: shows that it works, measures nothing.
    algorithm:
        Any of the benchmarks: erm, pgrad, reptile (the matched control), erm-ema, sam, upgrad, groupdro, coral, ...
    steps:
        Gradient evaluations, made whole roll-outs for every algorithm alike; by default the published epochs.
    seed:
        Of initialisation and order of the batches; the replicate for the leaderboard.
    fold:
        Of poverty: which countries are new; its replicate for the leaderboard.
    split_scheme:
        Of WILDS, instead of the official one.
    group_by:
        Metadata fields whose combinations are the domains.
    metric:
        Entry of the results to select by, instead of the official one.
    backbone:
        torchvision/NAME, timm/NAME, transformers/NAME-OR-FOLDER, tiny or linear.
    pretrained:
        Whether to start from the weights of the library.
    start_from:
        A best.pt of another run, to start from its weights.
    lr:
        Learning rate, of the inner steps if there are roll-outs.
    weight_decay:
        Of the same steps.
    outer_lr:
        Learning rate of the step after a roll-out.
    components:
        Principal directions at most.
    batch_size:
        Examples of one step.
    groups:
        Domains of a roll-out; 0 for all, by default the published number or all.
    splits:
        Passes of a roll-out over its domains.
    distinct:
        Whether the domains of a roll-out must differ.
    uniform:
        Whether domains are drawn alike, or in proportion to their sizes.
    resolution:
        Side of an image in pixels.
    max_tokens:
        Length of a text.
    eval_every:
        Steps between evaluations on the splits val and test, made whole roll-outs; by default an epoch.
    eval_splits:
        Splits to evaluate in the end; by default all but train.
    eval_batch_size:
        Examples at a time in evaluation; by default batch_size.
    checkpoint_every:
        Steps between checkpoints.
    workers:
        Processes that read data.
    device:
        Of torch; by default cuda if there is one.
    output:
        Folder for the store, records.jsonl and a folder of each run; by default runs/wilds/DATASET, for all algorithms
        and seeds, so that ``report`` compares them.
    store:
        Address of the store, if it is not the file store.sqlite in the output folder.
    predictions:
        Folder of the predictions; by default one in the folder of the run. Several seeds, or folds, of one algorithm
        with the same settings in one are a submission; others are refused there.
    retry_failed:
        Go on with a run that failed before.
    """
    console, errors = Console(), Console(stderr=True)
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
        errors.print(f"error: {error}", soft_wrap=True, highlight=False, markup=False, style="red")
        return 2
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

    def say(line: str) -> None:
        console.print(line, soft_wrap=True, highlight=False, markup=False)

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
    say(f"compare the runs in this folder with: python -m benchmarks report {output}")
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
