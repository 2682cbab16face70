"""What identifies a run on a WILDS data set, and where it is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from benchmarks.base.config import Count
from benchmarks.runs.config import RunIdentity

__all__ = ["SCHEME", "TEST", "Where", "WildsConfig", "part"]

SCHEME = "wilds:"
"""Before the name of a data set in a record."""

TEST = "test"
"""The split that is out of distribution in all data sets, and never chosen by."""

_OF_FOLD = " of fold "


def part(split: str, fold: str = "") -> str:
    """The name of a split in a record; of poverty with its fold, whose countries are other ones.

    Example:
        >>> part("test"), part("val", "B")
        ('test', 'val of fold B')
    """
    return f"{split}{_OF_FOLD}{fold}" if fold else split


class WildsConfig(RunIdentity):
    """One training run on a WILDS data set.

    The held-out domain is the split "test", of poverty that of a fold; `model` is the backbone.

    Attributes:
        split_scheme: Of WILDS, instead of the official one.
        group_by: Metadata fields whose combinations are the domains.
        metric: Entry of the results that chooses the checkpoint, and is compared.
        pretrained: Whether the network starts from the weights of its library.
        start_from: Weights of another run, with the beginning of their SHA-256; empty for none.
        steps: Gradient evaluations, made whole roll-outs; None for the published epochs.
        evaluate_every: Gradient evaluations from one checkpoint to the next, made whole roll-outs; None for an epoch.
        batch_size: Examples of a gradient evaluation.
        groups: Domains of a roll-out: 0 for all, None for the published number.
        splits: Passes of a roll-out over its domains.
        distinct: Whether the domains of a roll-out must differ.
        uniform: Whether domains are drawn alike, or in proportion to their sizes.
        resolution: Side of an image in pixels.
        max_tokens: Length of a text.
        eval_splits: Splits that are evaluated in the end; none for all but the training one.
        eval_batch_size: Examples at a time in evaluation.

    Example:
        >>> run = WildsConfig(
        ...     dataset="wilds:fmow",
        ...     algorithm="erm",
        ...     held_out="test",
        ...     seed=0,
        ...     point=0,
        ...     hparams={"lr": 1e-4},
        ...     model="tiny",
        ...     group_by=("year",),
        ...     metric="acc_worst_region",
        ...     batch_size=32,
        ...     splits=1,
        ...     eval_batch_size=32,
        ... )
        >>> run.name, run.held_out, WildsConfig.model_validate_json(run.model_dump_json()) == run
        ('fmow', ('test',), True)
    """

    split_scheme: str = ""
    group_by: tuple[str, ...]
    metric: str
    pretrained: bool = False
    start_from: str = ""
    steps: Count | None = None
    evaluate_every: Count | None = None
    batch_size: Count
    groups: Annotated[int, Field(ge=0)] | None = None
    splits: Count
    distinct: bool = True
    uniform: bool = True
    resolution: Count | None = None
    max_tokens: Annotated[int, Field(ge=0)] = 0
    eval_splits: tuple[str, ...] = ()
    eval_batch_size: Count

    @property
    def name(self) -> str:
        """Of the data set in WILDS."""
        return self.dataset.removeprefix(SCHEME)

    @property
    def fold(self) -> str:
        """Of poverty; empty for the others."""
        return self.held_out[0].partition(_OF_FOLD)[2]


@dataclass(frozen=True)
class Where:
    """Where and how a run is done; none of it changes the result.

    Attributes:
        data: Folder that holds the folder of the data set.
        folder: Of this run.
        predictions: For the files of the leaderboard.
        device: Of torch.
        workers: Processes that read data.
        checkpoint_every: Gradient evaluations from one saving to the next.
    """

    data: Path
    folder: Path
    predictions: Path
    device: str = "cpu"
    workers: int = 0
    checkpoint_every: int = 500
