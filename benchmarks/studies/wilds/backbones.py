"""Networks for WILDS data sets: of torchvision, timm and transformers, and tiny ones that need no download.

A backbone is called ``library/name``: ``torchvision/densenet121``, ``timm/resnet18``,
``transformers/distilbert-base-uncased`` (a name or a folder); ``tiny`` and ``linear`` are built here.
"""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor, nn

from benchmarks.models.backbones import create as timm_network
from benchmarks.studies.wilds.catalogue import Defaults
from benchmarks.studies.wilds.inputs import VOCABULARY

__all__ = ["build"]


def build(name: str, defaults: Defaults, dataset: Any, pretrained: bool, example: Tensor) -> nn.Module:
    """The network, with a new last layer for the data set. Initial values are drawn from torch's global generator.

    `example` is one input as the network will get it.

    Raises:
        ValueError: if there is no such backbone, or it does not fit the inputs of the data set.
        ImportError: if its library is not installed.
        OSError: if its weights cannot be had.
    """
    library, _, rest = name.partition("/")
    outputs = _outputs(dataset)
    if name == "tiny":
        return _tiny(defaults.inputs, outputs, dataset, example)
    if name == "linear":
        return nn.Sequential(nn.Flatten(), nn.Linear(example.numel(), outputs))
    texts = defaults.inputs in ("text", "tokens")
    if library not in ("torchvision", "timm", "transformers") or not rest:
        raise ValueError(
            f"backbone must be 'tiny', 'linear', or 'torchvision/', 'timm/' or 'transformers/' and a name; got {name!r}"
        )
    if texts != (library == "transformers"):
        fitting = "'transformers/...'" if texts else "'torchvision/...' or 'timm/...'"
        raise ValueError(f"backbone of {dataset.dataset_name} must be {fitting} or 'tiny'; got {name!r}")
    if library == "transformers":
        return _transformer(rest, defaults.inputs, outputs, pretrained)
    channels = 8 if defaults.inputs == "bands" else 3
    try:
        if library == "timm":
            return timm_network(rest, pretrained=pretrained, num_classes=outputs, in_chans=channels)
        return _torchvision(rest, dataset, pretrained)
    except OSError as error:
        raise OSError(
            f"the weights of backbone {name} are not on this machine and could not be downloaded ({error}); "
            "--no-pretrained starts without them"
        ) from error


def _outputs(dataset: Any) -> int:
    if dataset.is_detection:
        return int(dataset.n_classes) + 1
    return int(dataset.n_classes or dataset.y_size)


def _torchvision(name: str, dataset: Any, pretrained: bool) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models.detection if dataset.is_detection else models)
    if name not in known:
        raise ValueError(f"backbone torchvision/{name} is not known; torchvision has {', '.join(known)}")
    weights = "DEFAULT" if pretrained else None
    if dataset.is_detection:
        return _detector(name, dataset, weights)
    model: nn.Module = models.get_model(name, weights=weights)
    last, layer = [(key, module) for key, module in model.named_modules() if isinstance(module, nn.Linear)][-1]
    parent = model.get_submodule(last.rpartition(".")[0])
    setattr(parent, last.rpartition(".")[2], nn.Linear(layer.in_features, _outputs(dataset)))
    return model


def _detector(name: str, dataset: Any, weights: str | None) -> nn.Module:
    from torchvision import models

    size = {"min_size": min(dataset.original_resolution), "max_size": max(dataset.original_resolution)}
    if weights is None:
        model: nn.Module = models.get_model(
            name, weights=None, weights_backbone=None, num_classes=_outputs(dataset), **size
        )
        return model
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor

    detector: Any = models.get_model(name, weights=weights, **size)
    if not hasattr(detector, "roi_heads"):
        raise ValueError(f"backbone torchvision/{name} with --pretrained must be a Faster R-CNN")
    width = detector.roi_heads.box_predictor.cls_score.in_features
    detector.roi_heads.box_predictor = FastRCNNPredictor(width, _outputs(dataset))
    ready: nn.Module = detector
    return ready


def _transformer(name: str, inputs: str, outputs: int, pretrained: bool) -> nn.Module:
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

    kind: Any = AutoModelForCausalLM if inputs == "tokens" else AutoModelForSequenceClassification
    labels = {} if inputs == "tokens" else {"num_labels": outputs}
    try:
        if pretrained:
            model = kind.from_pretrained(name, **labels)
        else:
            model = kind.from_config(AutoConfig.from_pretrained(name, **labels))
    except (OSError, ValueError) as error:
        raise OSError(
            f"backbone transformers/{name} is neither a folder nor in the cache of transformers, and could not be "
            f"downloaded; give a folder, or --backbone tiny ({error})"
        ) from error
    if inputs == "tokens":
        model.resize_token_embeddings(outputs)
        return _LanguageModel(model)
    return _TextClassifier(model)


class _TextClassifier(nn.Module):
    """``[B, L, 2]`` ids and mask to ``[B, classes]``."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.takes_mask = "attention_mask" in inspect.signature(model.forward).parameters

    def forward(self, x: Tensor) -> Tensor:
        mask = {"attention_mask": x[..., 1]} if self.takes_mask else {}
        logits: Tensor = self.model(input_ids=x[..., 0], **mask).logits
        return logits


class _LanguageModel(nn.Module):
    """``[B, L]`` ids to ``[B, L, vocabulary]``."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(input_ids=x).logits
        return logits


def _tiny(inputs: str, outputs: int, dataset: Any, example: Tensor) -> nn.Module:
    if inputs == "text":
        return _WordMean(outputs)
    if inputs == "tokens":
        return nn.Sequential(nn.Embedding(outputs, 16), nn.Linear(16, outputs))
    if inputs == "table":
        return nn.Sequential(nn.Linear(example.numel(), 16), nn.Tanh(), nn.Linear(16, outputs))
    if dataset.is_detection:
        return _tiny_detector(outputs)
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(32),
        nn.Conv2d(8 if inputs == "bands" else 3, 16, 5, stride=2, padding=2),
        nn.GroupNorm(4, 16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.GroupNorm(4, 32),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(128, outputs),
    )


class _WordMean(nn.Module):
    """The mean of the words' vectors and a linear layer."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, 32)
        self.last = nn.Linear(32, outputs)

    def forward(self, x: Tensor) -> Tensor:
        mask = x[..., 1:].float()
        mean = (self.words(x[..., 0]) * mask).sum(1) / mask.sum(1).clamp(min=1)
        out: Tensor = self.last(mean)
        return out


def _tiny_detector(outputs: int) -> nn.Module:
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.rpn import AnchorGenerator

    features = nn.Sequential(nn.Conv2d(3, 16, 5, stride=4, padding=2), nn.ReLU(), nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU())
    features.out_channels = 16  # type: ignore[assignment]
    anchors = AnchorGenerator(((16, 32),), ((0.8, 1.2),))
    model: nn.Module = FasterRCNN(
        features,
        num_classes=outputs,
        rpn_anchor_generator=anchors,
        min_size=128,
        max_size=128,
        box_detections_per_img=8,
    )
    return model
