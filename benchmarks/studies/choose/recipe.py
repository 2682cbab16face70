"""What `choose` tries, in one table: what a comparison finds best is put in here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """How large a search is.

    Attributes:
        algorithms: So many of the shortlist, from its beginning.
        points: Of the wide range of each algorithm; the first is the usual learning rate of the regime.
        rollouts: Length of the longest runs.
        seeds: Of the last rung: splits, initialisations and orders. Earlier rungs have one.
        rungs: So many of the rungs, the last ones: few candidates need no halving.
        tuned: So many of the list for fine-tuning, from its beginning; only where a pretrained network is at hand.
    """

    algorithms: int
    points: int
    rollouts: int
    seeds: int = 1
    rungs: int = 1
    tuned: int = 0


@dataclass(frozen=True)
class Rung:
    """One step of the halving.

    Attributes:
        length: Of its runs, as a share of the longest.
        factor: One of so many of its candidates goes on to the next rung.
    """

    length: float
    factor: int


@dataclass(frozen=True)
class Recipe:
    """The whole.

    Attributes:
        algorithms: The shortlist; what is most likely to be chosen stands first.
        tuned: The same for fine-tuning of a whole pretrained network, whose BatchNorm keeps its statistics.
        fixed: What one would take without a search, at point 0, trained to the end: the study compares with it.
        default: Plain ERM, at point 0, trained to the end: the baseline.
        sizes: Smallest first; the last one is all that the recipe asks for. Those with fine-tuning stand at the end.
        rungs: Shortest first.
        checkpoints: Of a run, among which the length is chosen.
        inner: Domains that are left out in turn for the choice about one, at most; even, so that pairs are shared.
        batch_size, splits: Of every run.
    """

    algorithms: tuple[str, ...] = (
        *("erm", "erm-ema", "erm-sgd-ema", "reptile", "erm-sgd-swad", "erm-swad", "erm-sgd", "pgrad"),
        *("erm-swa", "erm-sgd-swa", "reptile-ema", "pgrad-ema"),
    )
    tuned: tuple[str, ...] = ("erm-ema", "erm", "reptile-ema", "erm-swad", "reptile", "pgrad")
    fixed: str = "erm-ema"
    default: str = "erm"
    sizes: tuple[Size, ...] = (
        Size(algorithms=3, points=1, rollouts=40),
        Size(algorithms=4, points=1, rollouts=80),
        Size(algorithms=6, points=1, rollouts=120, rungs=2),
        Size(algorithms=8, points=2, rollouts=120, rungs=2),
        Size(algorithms=12, points=2, rollouts=160, seeds=2, rungs=3),
        Size(algorithms=12, points=4, rollouts=160, seeds=2, rungs=3),
        Size(algorithms=12, points=8, rollouts=160, seeds=3, rungs=3),
        Size(algorithms=12, points=12, rollouts=240, seeds=3, rungs=3),
        Size(algorithms=12, points=2, rollouts=160, seeds=1, rungs=3, tuned=2),
        Size(algorithms=12, points=4, rollouts=240, seeds=2, rungs=3, tuned=6),
    )
    rungs: tuple[Rung, ...] = (Rung(0.25, 3), Rung(0.5, 3), Rung(1.0, 1))
    checkpoints: int = 8
    inner: int = 4
    batch_size: int = 32
    splits: int = 3


RECIPE = Recipe()
"""The one that the command runs."""
