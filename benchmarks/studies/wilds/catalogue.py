"""How each WILDS data set is trained unless the command line says otherwise.

Backbone, optimizer, learning rate, weight decay, size of a mini-batch, epochs, schedule and resolution are published
with WILDS (p-lambda/wilds, commit 4726775, examples/configs/{datasets,model,scheduler}.py). The domains of a roll-out
are the ``meta_steps`` published with Fish (YugeTen/fish, src/config.py) where it has the data set, WILDS's own
``n_groups_per_batch`` where it has not, and all domains (None) where there are few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["DEFAULTS", "Defaults"]

Inputs = Literal["image", "image-resize", "image-crop", "bands", "cells", "text", "tokens", "table"]
Schedule = Literal["constant", "epochs-0.96", "linear", "cosine"]


@dataclass(frozen=True)
class Defaults:
    """One line of the table.

    Attributes:
        inputs: what is done with an input, see `benchmarks.studies.wilds.inputs`.
        backbone: ``library/name``, see `benchmarks.studies.wilds.backbones`.
        pretrained: whether it starts from the weights of its library.
        optimizer: for ERM, and for the inner steps of a roll-out.
        lr: its learning rate.
        weight_decay: its weight decay.
        batch_size: examples of one step.
        epochs: of `batch_size` times the steps.
        schedule: of the learning rate over the steps.
        resolution: side of an image for the backbone, None for its own size.
        groups: domains of a roll-out, None for all.
        splits: passes of a roll-out over its domains.
        max_tokens: length of a text.
        max_grad_norm: gradients are clipped to it; 0 for no clipping.
        warmup: steps of a linear warm-up.
    """

    inputs: Inputs
    backbone: str
    pretrained: bool
    optimizer: Literal["SGD", "Adam", "AdamW"]
    lr: float
    weight_decay: float
    batch_size: int
    epochs: int
    schedule: Schedule = "constant"
    resolution: int | None = None
    groups: int | None = None
    splits: int = 1
    max_tokens: int = 0
    max_grad_norm: float = 0.0
    warmup: int = 0


def _text(backbone: str, lr: float, batch_size: int, epochs: int, groups: int | None, max_tokens: int) -> Defaults:
    return Defaults(
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
            "image", "torchvision/densenet121", False, "SGD", 1e-3, 0.01, 32, 10, resolution=96, splits=3
        ),
        "fmow": Defaults(
            "image", "torchvision/densenet121", True, "Adam", 1e-4, 0.0, 32, 60, "epochs-0.96", resolution=224, groups=5
        ),
        "poverty": Defaults("bands", "timm/resnet18", False, "Adam", 1e-3, 0.0, 64, 200, "epochs-0.96", groups=5),
        "iwildcam": Defaults(
            "image", "torchvision/resnet50", True, "Adam", 3e-5, 0.0, 16, 12, resolution=448, groups=10
        ),
        "civilcomments": _text("distilbert-base-uncased", 1e-5, 16, 5, None, 300),
        "amazon": _text("distilbert-base-uncased", 1e-5, 8, 3, 5, 512),
        "rxrx1": Defaults(
            "cells", "torchvision/resnet50", True, "Adam", 1e-3, 1e-5, 72, 90, "cosine", groups=9, warmup=5415
        ),
        "globalwheat": Defaults(
            "image", "torchvision/fasterrcnn_resnet50_fpn", True, "Adam", 1e-5, 1e-3, 4, 12, resolution=1024, groups=4
        ),
        "py150": Defaults(
            "tokens",
            "transformers/microsoft/CodeGPT-small-py",
            True,
            "AdamW",
            8e-5,
            0.0,
            6,
            3,
            "linear",
            groups=2,
            max_grad_norm=1.0,
        ),
        "waterbirds": Defaults(
            "image-crop", "torchvision/resnet50", True, "SGD", 1e-5, 1.0, 128, 300, resolution=224, splits=3
        ),
        "celebA": Defaults("image", "torchvision/resnet50", True, "SGD", 1e-3, 0.0, 64, 200, resolution=224, splits=3),
        "domainnet": Defaults(
            "image-resize",
            "torchvision/resnet50",
            True,
            "SGD",
            7.035737028722148e-4,
            1e-4,
            96,
            25,
            resolution=224,
            groups=4,
        ),
        "yelp": _text("bert-base-uncased", 2e-6, 8, 3, 2, 512),
        "sqf": Defaults("table", "linear", False, "Adam", 5e-5, 0.0, 4, 4, splits=3),
        "bdd100k": Defaults("image", "torchvision/resnet50", True, "SGD", 1e-3, 1e-4, 32, 10, resolution=224, splits=3),
    }
)
"""For every data set that can be used."""
