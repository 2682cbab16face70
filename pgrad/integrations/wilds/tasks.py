"""What is official about each WILDS data set, and what a user's own loop needs of it: domains, metric, selection.

All of it is as in the configuration published with WILDS (p-lambda/wilds, commit 4726775, examples/configs/datasets.py
and examples/evaluate.py), for the official split scheme. The rule of selection is the same everywhere: the checkpoint
with the highest `Task.metric` on the split "val", which is out of distribution wherever the data set has such a split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["SELECTION_SPLIT", "TASKS", "UNLABELED", "Task", "task"]

Predictions = Literal["argmax", "sign", "raw", "boxes"]

SELECTION_SPLIT = "val"


@dataclass(frozen=True)
class Task:
    """One line of the table.

    Attributes:
        domain_fields: the metadata fields whose combinations are the domains.
        metric: the entry of the results of ``eval`` that counts; the higher the better.
        files: what a complete folder of the data set holds at least.
        predictions: what the data set's ``eval`` wants instead of outputs of a model: their "argmax", their "sign" as
            0 or 1, the outputs themselves ("raw"), or the "boxes" of a detector.
        refused: why it cannot be used here; empty if it can.
    """

    domain_fields: tuple[str, ...]
    metric: str
    files: tuple[str, ...]
    predictions: Predictions = "argmax"
    refused: str = ""


TASKS: Mapping[str, Task] = MappingProxyType(
    {
        "camelyon17": Task(("hospital",), "acc_avg", ("metadata.csv", "patches")),
        "fmow": Task(("year",), "acc_worst_region", ("rgb_metadata.csv", "country_code_mapping.csv", "images")),
        "poverty": Task(("country",), "r_wg", ("dhs_metadata.csv", "images"), "raw"),
        "iwildcam": Task(("location",), "F1-macro_all", ("metadata.csv", "train")),
        "civilcomments": Task(("black", "y"), "acc_wg", ("all_data_with_identities.csv",)),
        "amazon": Task(("user",), "10th_percentile_acc", ("reviews.csv", "splits/user.csv")),
        "rxrx1": Task(("experiment",), "acc_avg", ("metadata.csv", "images")),
        "globalwheat": Task(
            ("session",),
            "detection_acc_avg_dom",
            ("official_train.csv", "official_val.csv", "official_test.csv", "metadata_domain.csv", "images"),
            "boxes",
        ),
        "py150": Task(("repo",), "acc", ("metadata/repo_file_names/repo_ids.csv", "processed/train_input.json")),
        "waterbirds": Task(("background", "y"), "acc_wg", ("metadata.csv",)),
        "celebA": Task(
            ("male", "y"), "acc_wg", ("list_attr_celeba.csv", "list_eval_partition.csv", "img_align_celeba")
        ),
        "domainnet": Task(("category",), "acc_avg", ("metadata.csv",)),
        "yelp": Task(("year",), "acc_avg", ("reviews.csv", "splits/time.csv")),
        "sqf": Task(("y",), "precision_at_global_recall_all", ("sqf.csv",), "raw"),
        "bdd100k": Task(
            ("timeofday",),
            "acc_all",
            ("timeofday_train.csv", "timeofday_val.csv", "timeofday_test.csv", "images"),
            "sign",
        ),
        "ogb-molpcba": Task(
            ("scaffold",),
            "ap",
            (),
            "raw",
            refused="its class in wilds 2.0.0 makes its collate function without the data set that torch_geometric now "
            "asks for, and ogb 1.3.6 reads its files in a way that torch 2.6 and newer refuse (weights_only)",
        ),
        "encode": Task(
            ("celltype",),
            "avgprec-macro_all",
            (),
            "raw",
            refused="it needs pyBigWig, a compiled reader of genome tracks, and a network for 12,800 bases at a time "
            "that none of timm, torchvision and transformers has",
        ),
    }
)
"""All data sets of wilds 2.0.0, the official benchmark first."""

UNLABELED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "camelyon17": ("metadata.csv", "patches"),
        "fmow": TASKS["fmow"].files,
        "poverty": ("unlabeled_metadata.csv", "images"),
        "iwildcam": ("metadata.csv",),
        "civilcomments": ("unlabeled_data_with_identities.csv",),
        "amazon": TASKS["amazon"].files[:1],
        "globalwheat": ("official_train_unlabeled.csv", "metadata_domain_unlabeled.csv"),
        "domainnet": TASKS["domainnet"].files,
    }
)
"""Data sets with unlabelled splits that can be loaded, and what a complete folder of them holds at least."""


def task(name: str) -> Task:
    """The line of `TASKS` for a data set that can be used.

    Raises:
        ValueError: if there is no such data set, or it cannot be used here; says why.
    """
    if name not in TASKS:
        raise ValueError(f"dataset must be one of {', '.join(TASKS)}; got {name!r}")
    found = TASKS[name]
    if found.refused:
        raise ValueError(f"dataset {name!r} cannot be used: {found.refused}")
    return found
