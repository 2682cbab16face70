"""The networks that are known by a name of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from benchmarks.models.decisions import decisions, decisions_by_step, decisions_pixels
from benchmarks.models.small import cnn, linear, mlp

ModelFactory = Callable[..., nn.Module]
"""``factory(input_shape, n_outputs, width)``; with ``depth`` as well if it takes that."""


@dataclass(frozen=True)
class ModelEntry:
    """One line of the registry.

    Attributes:
        factory: Makes the network.
        description: What it is, in one sentence.
        use: When a person would choose it.
        source: Where it comes from.
    """

    factory: ModelFactory
    description: str
    use: str = ""
    source: str = ""


MODELS: dict[str, ModelEntry] = {
    "mlp": ModelEntry(
        mlp,
        "`depth` hidden layers of `width` rectified linear units on the flattened input (1 and 64)",
        "small pictures, tables, vectors",
        "torch.nn",
    ),
    "linear": ModelEntry(linear, "one linear layer on the flattened input", "features that come trained", "torch.nn"),
    "cnn": ModelEntry(
        cnn,
        "four convolutions with GroupNorm, `width` channels and twice that, and the mean over all places",
        "pictures from scratch",
        "the size of DomainBed's MNIST_CNN, arXiv:2007.01434",
    ),
    "decisions": ModelEntry(
        decisions,
        "a causal transformer of `depth` blocks (2) and `width` channels that scores the options of every step",
        "sequences of decisions",
        "torch.nn.functional.scaled_dot_product_attention",
    ),
    "decisions-by-step": ModelEntry(
        decisions_by_step,
        "the same without attention: every step is by itself",
        "sequences of decisions, to tell what their history is worth",
        "torch.nn",
    ),
    "decisions-pixels": ModelEntry(
        decisions_pixels,
        "the first, with two convolutions for the picture that every step has",
        "sequences of decisions from pictures",
        "torch.nn",
    ),
}
"""Adding a model is adding a line here."""
