"""What a command line can say about a sweep; it is quick to import, see `benchmarks.commands.words`."""

from __future__ import annotations

from dataclasses import dataclass

from cyclopts import Parameter

from benchmarks.commands.kinds import Positive, Whole, Words


@Parameter(name="*")
@dataclass(frozen=True)
class Chosen:
    """What a command line says about a sweep; what it says goes before what the file says.

    Attributes
    ----------
    datasets
        Names of data sets.
    allow
        Words of findings about your own data, folder:PATH or table:PATH, to go on nevertheless.
    algorithms
        Names of algorithms.
    seeds
        Number of seeds: data split, initialisation and order of the batches.
    points
        Points for each algorithm, seed and held-out set, the first of which is the defaults; with pruning, the runs of
        full length whose cost more points share.
    leave_out
        How many domains are held out at a time.
    selection
        Rules: validation, validation-loss, leave-one-domain-out and both (cost more runs), last, oracle; with -shared
        behind the name one choice for all seeds.
    search
        Words: narrow or wide, the ranges of learning rates; random, even or tpe (of Optuna), how points are laid into
        them; halving or hyperband, short runs for many points and longer ones for the best.
    share_points
        All seeds try the same points.
    widen
        How often the search is widened where its best point lies at the edge of a range, at most.
    refit
        Train again on training and validation parts what the rules chose.
    rollouts
        Length of the runs in roll-outs.
    evaluate_every
        Roll-outs between checkpoints.
    batch_size
        Examples per gradient evaluation.
    splits
        Gradient evaluations of a roll-out for every training domain.
    model
        Name of the network; see the command models.
    width
        Hidden units of the network.
    depth
        Hidden layers of the MLP, or of the head on a network of timm.
    weights
        Of a network of timm.
    tuning
        full, frozen or last-K.
    batch_norm
        train, frozen-statistics or frozen.
    image_size
        Pixels that pictures are scaled to for the network.
    lr_scale
        Every learning rate of the search is multiplied by it.
    regime
        What is trained, for a wide search: from-scratch, features, fine-tuning, sequence or regression.
    class_weights
        Of the loss: none, balanced, or numbers joined by commas.
    metric
        What chooses points and checkpoints: accuracy, balanced-accuracy, macro-f1 or auc; else the data set's own.
    measures
        What is measured beside it: the same names, and calibration-error.
    folds
        How groups are dealt to folds: balanced or hashed.
    set
        KEY=VALUE for anything else that a sweep file can say: a setting (batch_size=8), or a path of names joined by
        dots (fixed.pgrad.n_components=2, launcher.memory=4, outputs.weights=best).
    plugin
        Modules or files of your own that register data sets, algorithms or models.
    launcher
        in-process, local, slurm or ray.
    workers
        How many of them.
    """

    datasets: Words | None = None
    allow: Words | None = None
    algorithms: Words | None = None
    seeds: Positive | None = None
    points: Positive | None = None
    leave_out: Positive | None = None
    selection: Words | None = None
    search: Words | None = None
    share_points: bool | None = None
    widen: Positive | None = None
    refit: bool | None = None
    rollouts: Positive | None = None
    evaluate_every: Positive | None = None
    batch_size: Positive | None = None
    splits: Positive | None = None
    model: str | None = None
    width: Positive | None = None
    depth: Whole | None = None
    weights: str | None = None
    tuning: str | None = None
    batch_norm: str | None = None
    image_size: Positive | None = None
    lr_scale: float | None = None
    regime: str | None = None
    class_weights: str | None = None
    metric: str | None = None
    measures: Words | None = None
    folds: str | None = None
    set: Words | None = None
    plugin: Words | None = None
    launcher: str | None = None
    workers: Positive | None = None
