"""How each WILDS data set is trained unless the command line says otherwise, and in words what it is.

Loss, backbone, optimizer, learning rate, weight decay, size of a mini-batch, epochs, schedule and resolution are
published with WILDS (p-lambda/wilds, commit 4726775, examples/configs/{datasets,model,scheduler}.py). The domains of a
roll-out are the ``meta_steps`` published with Fish (YugeTen/fish, src/config.py) where it has the data set, WILDS's own
``n_groups_per_batch`` where it has not, and all domains (None) where there are few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["DEFAULTS", "Defaults"]

LossName = Literal["cross_entropy", "mse", "multitask_bce", "token_cross_entropy", "detection"]
Inputs = Literal["image", "image-resize", "image-crop", "bands", "cells", "text", "tokens", "table"]
Schedule = Literal["constant", "epochs-0.96", "linear", "cosine"]


@dataclass(frozen=True)
class Defaults:
    """One line of the table.

    Attributes:
        description: the task and the shift between domains, in a few words.
        inputs: what is done with an input, see `benchmarks.studies.wilds.inputs`.
        backbone: ``library/name``, see `benchmarks.studies.wilds.backbones`.
        pretrained: whether it starts from the weights of its library.
        optimizer: for ERM, and for the inner steps of a roll-out.
        lr: its learning rate.
        weight_decay: its weight decay.
        batch_size: examples of one step.
        epochs: of `batch_size` times the steps.
        loss: what is minimized; "multitask_bce" and "token_cross_entropy" leave out targets that are NaN.
        schedule: of the learning rate over the steps.
        resolution: side of an image for the backbone, None for its own size.
        groups: domains of a roll-out, None for all.
        splits: passes of a roll-out over its domains.
        max_tokens: length of a text.
        max_grad_norm: gradients are clipped to it; 0 for no clipping.
        warmup: steps of a linear warm-up.
    """

    description: str
    inputs: Inputs
    backbone: str
    pretrained: bool
    optimizer: Literal["SGD", "Adam", "AdamW"]
    lr: float
    weight_decay: float
    batch_size: int
    epochs: int
    loss: LossName = "cross_entropy"
    schedule: Schedule = "constant"
    resolution: int | None = None
    groups: int | None = None
    splits: int = 1
    max_tokens: int = 0
    max_grad_norm: float = 0.0
    warmup: int = 0


def _text(
    description: str, backbone: str, *, lr: float, batch_size: int, epochs: int, groups: int | None, max_tokens: int
) -> Defaults:
    return Defaults(
        description,
        "text",
        f"transformers/{backbone}",
        pretrained=True,
        optimizer="AdamW",
        lr=lr,
        weight_decay=0.01,
        batch_size=batch_size,
        epochs=epochs,
        schedule="linear",
        groups=groups,
        max_tokens=max_tokens,
        max_grad_norm=1.0,
    )


DEFAULTS: Mapping[str, Defaults] = MappingProxyType(
    {
        "camelyon17": Defaults(
            "tumour in a patch of tissue (2 classes), new hospital",
            "image",
            "torchvision/densenet121",
            pretrained=False,
            optimizer="SGD",
            lr=1e-3,
            weight_decay=0.01,
            batch_size=32,
            epochs=10,
            resolution=96,
            splits=3,
        ),
        "fmow": Defaults(
            "land use from a satellite (62 classes), later years, worst region",
            "image",
            "torchvision/densenet121",
            pretrained=True,
            optimizer="Adam",
            lr=0.0001,
            weight_decay=0.0,
            batch_size=32,
            epochs=60,
            schedule="epochs-0.96",
            resolution=224,
            groups=5,
        ),
        "poverty": Defaults(
            "asset wealth from a satellite (regression), new countries, worse of urban and rural",
            "bands",
            "timm/resnet18",
            pretrained=False,
            optimizer="Adam",
            lr=1e-3,
            weight_decay=0.0,
            batch_size=64,
            epochs=200,
            loss="mse",
            schedule="epochs-0.96",
            groups=5,
        ),
        "iwildcam": Defaults(
            "animal in front of a camera trap (182 classes), new cameras",
            "image",
            "torchvision/resnet50",
            pretrained=True,
            optimizer="Adam",
            lr=3e-5,
            weight_decay=0.0,
            batch_size=16,
            epochs=12,
            resolution=448,
            groups=10,
        ),
        "civilcomments": _text(
            "toxic comment (2 classes), worst of identity times label",
            "distilbert-base-uncased",
            lr=1e-5,
            batch_size=16,
            epochs=5,
            groups=None,
            max_tokens=300,
        ),
        "amazon": _text(
            "stars of a review (5 classes), new users, tenth percentile of them",
            "distilbert-base-uncased",
            lr=1e-5,
            batch_size=8,
            epochs=3,
            groups=5,
            max_tokens=512,
        ),
        "rxrx1": Defaults(
            "genetic treatment of cells (1139 classes), new experiments",
            "cells",
            "torchvision/resnet50",
            pretrained=True,
            optimizer="Adam",
            lr=1e-3,
            weight_decay=1e-5,
            batch_size=72,
            epochs=90,
            schedule="cosine",
            groups=9,
            warmup=5415,
        ),
        "globalwheat": Defaults(
            "heads of wheat (detection), new sites",
            "image",
            "torchvision/fasterrcnn_resnet50_fpn",
            pretrained=True,
            optimizer="Adam",
            lr=1e-5,
            weight_decay=1e-3,
            batch_size=4,
            epochs=12,
            loss="detection",
            resolution=1024,
            groups=4,
        ),
        "py150": Defaults(
            "next token of Python code, new repositories, classes and methods",
            "tokens",
            "transformers/microsoft/CodeGPT-small-py",
            pretrained=True,
            optimizer="AdamW",
            lr=8e-5,
            weight_decay=0.0,
            batch_size=6,
            epochs=3,
            loss="token_cross_entropy",
            schedule="linear",
            groups=2,
            max_grad_norm=1.0,
        ),
        "waterbirds": Defaults(
            "land bird or water bird (2 classes), worst of background times label",
            "image-crop",
            "torchvision/resnet50",
            pretrained=True,
            optimizer="SGD",
            lr=1e-5,
            weight_decay=1.0,
            batch_size=128,
            epochs=300,
            resolution=224,
            splits=3,
        ),
        "celebA": Defaults(
            "blond hair (2 classes), worst of sex times label",
            "image",
            "torchvision/resnet50",
            pretrained=True,
            optimizer="SGD",
            lr=1e-3,
            weight_decay=0.0,
            batch_size=64,
            epochs=200,
            resolution=224,
            splits=3,
        ),
        "domainnet": Defaults(
            "object (345 classes), another style; one style to train on, so categories are the domains",
            "image-resize",
            "torchvision/resnet50",
            pretrained=True,
            optimizer="SGD",
            lr=0.0007035737028722148,
            weight_decay=0.0001,
            batch_size=96,
            epochs=25,
            resolution=224,
            groups=4,
        ),
        "yelp": _text(
            "stars of a review (5 classes), later years",
            "bert-base-uncased",
            lr=2e-6,
            batch_size=8,
            epochs=3,
            groups=2,
            max_tokens=512,
        ),
        "sqf": Defaults(
            "weapon found when stopped (2 classes), later years",
            "table",
            "linear",
            pretrained=False,
            optimizer="Adam",
            lr=5e-5,
            weight_decay=0.0,
            batch_size=4,
            epochs=4,
            splits=3,
        ),
        "bdd100k": Defaults(
            "what is in a scene of traffic (9 labels), other times of day",
            "image",
            "torchvision/resnet50",
            pretrained=True,
            optimizer="SGD",
            lr=1e-3,
            weight_decay=0.0001,
            batch_size=32,
            epochs=10,
            loss="multitask_bce",
            resolution=224,
            splits=3,
        ),
    }
)
"""For every data set that can be used."""
