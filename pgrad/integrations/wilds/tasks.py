"""What is official about each WILDS data set: its domains, its loss, its metric, its rule of selection.

All of it is as in the configuration published with WILDS (p-lambda/wilds, commit 4726775, examples/configs/datasets.py
and examples/evaluate.py), for the official split scheme. The rule of selection is the same everywhere: the checkpoint
with the highest `Task.metric` on the split "val", which is out of distribution wherever the data set has such a split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["SELECTION_SPLIT", "TASKS", "Task", "task"]

Loss = Literal["cross_entropy", "mse", "multitask_bce", "token_cross_entropy", "detection"]
Predictions = Literal["argmax", "sign", "raw", "boxes"]

SELECTION_SPLIT = "val"


@dataclass(frozen=True)
class Task:
    """One line of the table.

    Attributes:
        domain_fields: the metadata fields whose combinations are the domains.
        loss: what is minimized; "multitask_bce" and "token_cross_entropy" leave out targets that are NaN.
        predictions: what the data set's ``eval`` wants instead of outputs of a model: their "argmax", their "sign" as
            0 or 1, the outputs themselves ("raw"), or the "boxes" of a detector.
        metric: the entry of the results of ``eval`` that counts; the higher the better.
        files: what a complete folder of the data set holds at least.
        description: the task and the shift between domains, in a few words.
        refused: why it cannot be used here; empty if it can.
    """

    domain_fields: tuple[str, ...]
    loss: Loss
    predictions: Predictions
    metric: str
    files: tuple[str, ...]
    description: str
    refused: str = ""


TASKS: Mapping[str, Task] = MappingProxyType(
    {
        "camelyon17": Task(
            ("hospital",),
            "cross_entropy",
            "argmax",
            "acc_avg",
            ("metadata.csv", "patches"),
            "tumour in a patch of tissue (2 classes), new hospital",
        ),
        "fmow": Task(
            ("year",),
            "cross_entropy",
            "argmax",
            "acc_worst_region",
            ("rgb_metadata.csv", "country_code_mapping.csv", "images"),
            "land use from a satellite (62 classes), later years, worst region",
        ),
        "poverty": Task(
            ("country",),
            "mse",
            "raw",
            "r_wg",
            ("dhs_metadata.csv", "images"),
            "asset wealth from a satellite (regression), new countries, worse of urban and rural",
        ),
        "iwildcam": Task(
            ("location",),
            "cross_entropy",
            "argmax",
            "F1-macro_all",
            ("metadata.csv", "train"),
            "animal in front of a camera trap (182 classes), new cameras",
        ),
        "civilcomments": Task(
            ("black", "y"),
            "cross_entropy",
            "argmax",
            "acc_wg",
            ("all_data_with_identities.csv",),
            "toxic comment (2 classes), worst of identity times label",
        ),
        "amazon": Task(
            ("user",),
            "cross_entropy",
            "argmax",
            "10th_percentile_acc",
            ("reviews.csv", "splits/user.csv"),
            "stars of a review (5 classes), new users, tenth percentile of them",
        ),
        "rxrx1": Task(
            ("experiment",),
            "cross_entropy",
            "argmax",
            "acc_avg",
            ("metadata.csv", "images"),
            "genetic treatment of cells (1139 classes), new experiments",
        ),
        "globalwheat": Task(
            ("session",),
            "detection",
            "boxes",
            "detection_acc_avg_dom",
            ("official_train.csv", "official_val.csv", "official_test.csv", "metadata_domain.csv", "images"),
            "heads of wheat (detection), new sites",
        ),
        "py150": Task(
            ("repo",),
            "token_cross_entropy",
            "argmax",
            "acc",
            ("metadata/repo_file_names/repo_ids.csv", "processed/train_input.json"),
            "next token of Python code, new repositories, classes and methods",
        ),
        "waterbirds": Task(
            ("background", "y"),
            "cross_entropy",
            "argmax",
            "acc_wg",
            ("metadata.csv",),
            "land bird or water bird (2 classes), worst of background times label",
        ),
        "celebA": Task(
            ("male", "y"),
            "cross_entropy",
            "argmax",
            "acc_wg",
            ("list_attr_celeba.csv", "list_eval_partition.csv", "img_align_celeba"),
            "blond hair (2 classes), worst of sex times label",
        ),
        "domainnet": Task(
            ("category",),
            "cross_entropy",
            "argmax",
            "acc_avg",
            ("metadata.csv",),
            "object (345 classes), another style; one style to train on, so categories are the domains",
        ),
        "yelp": Task(
            ("year",),
            "cross_entropy",
            "argmax",
            "acc_avg",
            ("reviews.csv", "splits/time.csv"),
            "stars of a review (5 classes), later years",
        ),
        "sqf": Task(
            ("y",),
            "cross_entropy",
            "raw",
            "precision_at_global_recall_all",
            ("sqf.csv",),
            "weapon found when stopped (2 classes), later years",
        ),
        "bdd100k": Task(
            ("timeofday",),
            "multitask_bce",
            "sign",
            "acc_all",
            ("timeofday_train.csv", "timeofday_val.csv", "timeofday_test.csv", "images"),
            "what is in a scene of traffic (9 labels), other times of day",
        ),
        "ogb-molpcba": Task(
            ("scaffold",),
            "multitask_bce",
            "raw",
            "ap",
            (),
            "bioassays of a molecule (128 labels), new scaffolds",
            refused="its class in wilds 2.0.0 makes its collate function without the data set that torch_geometric now "
            "asks for, and ogb 1.3.6 reads its files in a way that torch 2.6 and newer refuse (weights_only)",
        ),
        "encode": Task(
            ("celltype",),
            "multitask_bce",
            "raw",
            "avgprec-macro_all",
            (),
            "binding sites in a genome (128 labels), new cell type",
            refused="it needs pyBigWig, a compiled reader of genome tracks, and a network for 12,800 bases at a time "
            "that none of timm, torchvision and transformers has",
        ),
    }
)
"""All data sets of wilds 2.0.0, the official benchmark first."""


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
