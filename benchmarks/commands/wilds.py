"""``python -m benchmarks wilds``: options, their defaults for each data set, and what is said about mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import cyclopts
import torch
from cyclopts import Parameter
from rich.console import Console

from benchmarks.studies.wilds.catalogue import DEFAULTS
from benchmarks.studies.wilds.learners import batches_of
from benchmarks.studies.wilds.miniatures import make
from benchmarks.studies.wilds.setup import Config
from benchmarks.studies.wilds.training import run
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
    predictions: Path | None = None,
) -> int:
    """Train on a WILDS data set and evaluate officially; a run that was killed goes on when called again.

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
        erm, pgrad, reptile (the matched control), or a peer: pcgrad, groupdro, irm, coral, sam, ...
    steps:
        Gradient evaluations; by default the published epochs.
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
        Steps between evaluations on the validation split; by default an epoch.
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
        Folder of the run; by default runs/wilds/DATASET-ALGORITHM-seedN (of poverty, -foldX too).
    predictions:
        Folder of the predictions; by default OUTPUT/predictions. Several seeds in one folder are a submission.
    """
    console = Console()
    try:
        _check(dataset, algorithm, data, demo)
        defaults = DEFAULTS[dataset]
        name = (
            f"{'demo-' if demo else ''}{dataset}-{algorithm}-seed{seed}{f'-fold{fold}' if dataset == 'poverty' else ''}"
        )
        output = output or Path("runs/wilds") / name
        if demo:
            data = data or Path("runs/wilds/miniatures")
            console.print(f"miniature in {make(dataset, data)}: made up, its results mean nothing", soft_wrap=True)
        task = integration.task(dataset)
        size = batch_size or (4 if demo else defaults.batch_size)
        chosen_backbone = backbone or ("tiny" if demo else defaults.backbone)
        config = Config(
            dataset=dataset,
            algorithm=algorithm,
            seed=seed,
            fold=fold,
            split_scheme=split_scheme,
            group_by=group_by or task.domain_fields,
            metric=metric or task.metric,
            steps=steps or (_DEMO_STEPS if demo else 0),
            backbone=chosen_backbone,
            pretrained=_pretrained(pretrained, chosen_backbone, defaults.pretrained),
            start_from=str(start_from or ""),
            lr=lr if lr is not None else 3e-3 if demo else defaults.lr,
            weight_decay=weight_decay if weight_decay is not None else 0.0 if demo else defaults.weight_decay,
            outer_lr=outer_lr,
            components=components,
            batch_size=size,
            groups=groups,
            splits=splits or defaults.splits,
            distinct=distinct,
            uniform=uniform,
            resolution=resolution or (32 if demo and defaults.resolution else defaults.resolution),
            max_tokens=max_tokens or defaults.max_tokens,
            eval_every=eval_every or (_DEMO_STEPS // 3 if demo else 0),
            eval_splits=eval_splits,
            eval_batch_size=eval_batch_size or size,
            data=data or Path(),
            output=output,
            predictions=predictions or output / "predictions",
            device=device or ("cuda" if torch.cuda.is_available() else "cpu"),
            workers=workers,
            checkpoint_every=checkpoint_every,
        )
        run(config, lambda line: console.print(line, soft_wrap=True, highlight=False))
    except (ValueError, TypeError, OSError, ImportError, FloatingPointError) as error:
        Console(stderr=True).print(f"error: {error}", soft_wrap=True, highlight=False, markup=False, style="red")
        return 1
    return 0


def _check(dataset: str, algorithm: str, data: Path | None, demo: bool) -> None:
    integration.task(dataset)
    batches_of(algorithm)
    if data is None and not demo:
        raise ValueError(
            f"--data must name the folder with the data set; {integration.download_command(dataset, 'DIR')}"
        )


def _pretrained(asked: bool | None, backbone: str, default: bool) -> bool:
    built_here = backbone in ("tiny", "linear")
    if asked and built_here:
        raise ValueError(f"--pretrained needs a backbone of a library, got {backbone!r}")
    return bool(default if asked is None else asked) and not built_here
