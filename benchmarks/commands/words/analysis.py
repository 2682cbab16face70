"""``analyse`` and ``diagnose``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from benchmarks.base.errors import ConfigError, require_known
from benchmarks.commands.early import known
from benchmarks.commands.kinds import Positive, Rate, Words
from benchmarks.commands.places import existing_store, output_folder
from benchmarks.commands.say import refusing


@refusing
def analyse_command(
    dataset: str,
    *,
    output: Path = Path("runs/analyse"),
    inner: Words = (),
    held_out: str | None = None,
    seeds: Positive = 3,
    rollouts: Positive = 120,
    looks: Positive = 4,
    eigenpairs: Positive = 10,
    width: Positive = 64,
    model: str | None = None,
    weights: str = "none",
    tuning: str = "full",
    batch_norm: str | None = None,
    examples: Positive = 2000,
    lr: Rate | None = None,
    curves: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """How principal directions of roll-outs overlap with the top eigenspace of the Hessian; a table and pictures.

    Parameters
    ----------
    dataset:
        Name of a data set.
    output:
        Folder for looks.jsonl, table.md, a picture for each optimizer, and the prepared data.
    inner:
        Optimizers inside; by default all three: Adam, Adam with beta1 = 0, and SGD.
    held_out:
        The domain that the run does not see; by default the first.
    seeds:
        Number of seeds: data split, initialisation and order of the batches.
    rollouts:
        Length of every run.
    looks:
        How often each run is looked at, the last time at its end.
    eigenpairs:
        Dimensions of the top eigenspace.
    width:
        Of the network, if it has one.
    model:
        Name of the network; by default the data set's own.
    weights:
        Of the network, as for sweeps.
    tuning:
        What of the network is trained, as for sweeps.
    batch_norm:
        What BatchNorm does where it is trained, as for sweeps: train, frozen-statistics or frozen.
    examples:
        Of the training parts, over which curvature is taken, at most.
    lr:
        Learning rate inside; by default 0.001 for Adam and 0.05 for SGD.
    curves:
        Instead of looks: how smooth the training loss at anchors falls, beside the plain displacement at equal distance
        moved; to smoothness.md and curves.jsonl.
    """
    output_folder(output)
    if ":" not in dataset:
        require_known("DATASET", (dataset,), known("datasets"))
    from benchmarks.commands import analyse

    settings = {"rollouts": rollouts, "width": width, "model": model, "weights": weights, "tuning": tuning}
    if batch_norm is not None:
        settings["batch_norm"] = batch_norm
    return analyse.analyse_command(
        dataset,
        output=output,
        inner=inner,
        held_out=held_out,
        seeds=seeds,
        looks=looks,
        eigenpairs=eigenpairs,
        examples=examples,
        lr=lr,
        curves=curves,
        settings=settings,
    )


@refusing
def diagnose_command(
    what: str,
    *,
    output: Path = Path("runs/sweep"),
    store: str | None = None,
    lr: Rate = 1e-3,
    rollout_length: Positive = 9,
    rollouts: Positive = 20,
    picture: Path | None = None,
) -> int:
    """Is this a run where the components differ from the displacement? One table, one picture.

    Parameters
    ----------
    what:
        A file that `to_jsonl` or `to_parquet` of a `pgrad.analysis.Recorder` wrote; the key of a stored run of pgrad,
        or its beginning, which is done once more; or a Python file whose function checkpoint() returns a model, a loss
        and batches, from where roll-outs are walked.
    output:
        Folder of the sweep, of a stored run.
    store:
        Address of the store, if it is not the file store.sqlite in the output folder.
    lr:
        Learning rate of Adam inside, from a checkpoint.
    rollout_length:
        Inner steps of a roll-out, from a checkpoint.
    rollouts:
        How many, from a checkpoint.
    picture:
        File for the picture; by default beside the rows or the file, or in the output folder, with the ending png.
    """
    path = Path(what)
    if not path.is_file() and (path.suffix or path.exists()):
        raise ConfigError(
            f"{what}: there is no such file; to_jsonl of a pgrad.analysis.Recorder writes one, and a Python file can "
            "give a model"
        )
    address = "" if path.is_file() else existing_store(store, output)
    from benchmarks.commands import diagnose

    if address:
        return diagnose.of_run(what, address, output, picture or output / f"diagnose-{what}.png")
    if path.suffix == ".py":
        settings = {"lr": lr, "rollout_length": rollout_length, "rollouts": rollouts}
        return diagnose.of_file(path, settings, picture or path.with_suffix(".png"))
    return diagnose.of_rows(path, picture or path.with_suffix(".png"))
