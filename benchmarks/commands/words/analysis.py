"""``analyse`` and ``diagnose``."""

from __future__ import annotations

from pathlib import Path

from benchmarks.base.errors import ConfigError, require_known
from benchmarks.commands.early import known
from benchmarks.commands.kinds import Positive, Rate, Words
from benchmarks.commands.places import output_folder
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
    lr: Rate | None = None,
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
    lr:
        Learning rate inside; by default 0.001 for Adam and 0.05 for SGD.
    """
    output_folder(output)
    if ":" not in dataset:
        require_known("DATASET", (dataset,), known("datasets"))
    from benchmarks.commands import analyse

    settings = {"rollouts": rollouts, "width": width, "model": model, "weights": weights, "tuning": tuning}
    return analyse.analyse_command(
        dataset,
        output=output,
        inner=inner,
        held_out=held_out,
        seeds=seeds,
        looks=looks,
        eigenpairs=eigenpairs,
        lr=lr,
        settings=settings,
    )


@refusing
def diagnose_command(rows: Path, *, picture: Path | None = None) -> int:
    """Is this a run where the components differ from the displacement? One table, one picture.

    Parameters
    ----------
    rows:
        A file that `to_jsonl` of a `pgrad.analysis.Recorder` wrote.
    picture:
        File for the picture; by default beside the rows, with the ending png.
    """
    if not rows.is_file():
        raise ConfigError(f"{rows}: there is no such file; to_jsonl of a pgrad.analysis.Recorder writes one")
    from benchmarks.commands import diagnose

    return diagnose.diagnose_command(rows, picture or rows.with_suffix(".png"))
