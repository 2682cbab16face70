"""From what a WILDS data set gives to what a backbone takes, and the random changes of training batches.

One input is prepared without chance, so that worker processes do not matter; what is random is done to whole batches in
the training process, from torch's global generator, whose state is in the checkpoint.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.studies.wilds.catalogue import Defaults

__all__ = ["augment", "transform"]

Transform = Callable[[Any], Any]
Augment = Callable[[Tensor], Tensor]

VOCABULARY = 4096  # words of the built-in tokenizer
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as in WILDS


def transform(
    defaults: Defaults, dataset: Any, backbone: str, resolution: int | None, max_tokens: int
) -> Transform | None:
    """What is done with one input, in training and evaluation alike; None for nothing.

    As in WILDS (examples/transforms.py): images are cut to a square if they are none, resized and normalized by the
    mean and deviation of ImageNet; "image-resize" and "image-crop" enlarge to 256/224 of the size first, and the latter
    keeps the centre; "cells" are standardized one by one; "bands" are ready as they are.
    """
    if defaults.inputs == "text":
        return _tokenizer(backbone, max_tokens)
    if defaults.inputs in ("bands", "tokens", "table"):
        return None
    return _image_transform(defaults.inputs, dataset.original_resolution, resolution)


def augment(defaults: Defaults) -> Augment | None:
    """The random change of a training batch; None for all data sets but rxrx1, which is rotated and flipped."""
    return _rotate_and_flip if defaults.inputs == "cells" else None


def _image_transform(kind: str, original: tuple[int, int] | None, resolution: int | None) -> Transform:
    from torchvision import transforms

    steps: list[Any] = []
    if kind == "image" and original is not None and min(original) != max(original):
        steps.append(transforms.CenterCrop(min(original)))
    if kind in ("image-resize", "image-crop"):
        side = resolution or min(original or (224, 224))
        steps.append(transforms.Resize((side * 256 // 224, side * 256 // 224)))
        if kind == "image-crop":
            steps.append(transforms.CenterCrop(side))
    elif resolution is not None:
        steps.append(transforms.Resize((resolution, resolution)))
    steps.append(transforms.ToTensor())
    steps.append(_standardize if kind == "cells" else transforms.Normalize(_MEAN, _STD))
    composed = transforms.Compose(steps)

    def prepare(image: Any) -> Tensor:
        with image:  # WILDS opens some images lazily and leaves the file open
            tensor: Tensor = composed(image.convert("RGB"))
        return tensor

    return prepare


def _standardize(image: Tensor) -> Tensor:
    std, mean = torch.std_mean(image, dim=(1, 2), keepdim=True)
    return (image - mean) / torch.where(std == 0, 1.0, std)


def _rotate_and_flip(images: Tensor) -> Tensor:
    """Every image by a multiple of 90 degrees, and half of them mirrored."""
    turns = torch.randint(4, (len(images),)).tolist()
    flips = torch.randint(2, (len(images),)).tolist()
    turned = [torch.rot90(image, k, (-2, -1)) for image, k in zip(images, turns, strict=True)]
    return torch.stack([image.flip(-1) if flip else image for image, flip in zip(turned, flips, strict=True)])


def _tokenizer(backbone: str, max_tokens: int) -> Transform:
    """A text to ``[max_tokens, 2]``: ids and attention mask, as WILDS stacks them."""
    if not backbone.startswith("transformers/"):
        return lambda text: _hashed(text, max_tokens)
    tokenizer = _pretrained_tokenizer(backbone.partition("/")[2])

    def tokenize(text: str) -> Tensor:
        options = {"padding": "max_length", "truncation": True, "max_length": max_tokens, "return_tensors": "pt"}
        tokens = tokenizer(text, **options)
        return torch.stack((tokens["input_ids"][0], tokens["attention_mask"][0]), dim=-1)

    return tokenize


def _pretrained_tokenizer(name: str) -> Any:
    """The tokenizer of a model of transformers.

    Raises:
        OSError: if it is neither a folder nor in the cache and cannot be downloaded.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise OSError(
            f"the tokenizer of backbone transformers/{name} is neither a folder nor in the cache of transformers, and "
            f"could not be downloaded; give a folder, or --backbone tiny ({error})"
        ) from error


def _hashed(text: str, max_tokens: int) -> Tensor:
    words = re.findall(r"\w+", text.lower())[:max_tokens]
    tokens = torch.zeros(max_tokens, 2, dtype=torch.int64)
    for i, word in enumerate(words):
        tokens[i, 0], tokens[i, 1] = zlib.crc32(word.encode()) % VOCABULARY, 1
    return tokens
