"""``wilds``: options, their defaults where they do not depend on the data set."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from benchmarks.base.errors import require_known
from benchmarks.base.names import WILDS
from benchmarks.commands.early import known
from benchmarks.commands.kinds import Natural, Positive, Rate, Words
from benchmarks.commands.places import output_folder
from benchmarks.commands.say import refusing


@refusing
def wilds_command(
    dataset: str = "camelyon17",
    *,
    data: Path | None = None,
    demo: bool = False,
    algorithm: str = "pgrad",
    steps: Positive | None = None,
    seed: Natural = 0,
    fold: Literal["A", "B", "C", "D", "E"] = "A",
    split_scheme: str = "",
    group_by: Words = (),
    metric: str = "",
    backbone: str | None = None,
    pretrained: bool | None = None,
    start_from: Path | None = None,
    lr: Rate | None = None,
    weight_decay: Rate | None = None,
    outer_lr: Rate = 0.1,
    components: Positive = 4,
    batch_size: Positive | None = None,
    groups: Natural | None = None,
    splits: Positive | None = None,
    distinct: bool = True,
    uniform: bool = True,
    resolution: Positive | None = None,
    max_tokens: Positive | None = None,
    eval_every: Positive | None = None,
    eval_splits: Words = (),
    eval_batch_size: Positive | None = None,
    checkpoint_every: Positive = 500,
    workers: Natural = 0,
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
    if output is not None:
        output_folder(output)
    require_known("DATASET", (dataset,), WILDS)
    require_known("--algorithm", (algorithm,), known("algorithms"))
    from benchmarks.commands import wilds

    return wilds.wilds(
        dataset=dataset,
        data=data,
        demo=demo,
        algorithm=algorithm,
        steps=steps,
        seed=seed,
        fold=fold,
        split_scheme=split_scheme,
        group_by=group_by,
        metric=metric,
        backbone=backbone,
        pretrained=pretrained,
        start_from=start_from,
        lr=lr,
        weight_decay=weight_decay,
        outer_lr=outer_lr,
        components=components,
        batch_size=batch_size,
        groups=groups,
        splits=splits,
        distinct=distinct,
        uniform=uniform,
        resolution=resolution,
        max_tokens=max_tokens,
        eval_every=eval_every,
        eval_splits=eval_splits,
        eval_batch_size=eval_batch_size,
        checkpoint_every=checkpoint_every,
        workers=workers,
        device=device,
        output=output,
        store=store,
        predictions=predictions,
        retry_failed=retry_failed,
    )
