"""What a data set is: a few domains, each with its own examples, one loss and one metric.

A `MultiDomainData` holds every example as tensors in memory. Inputs are ``[n, channels, height, width]`` (or
any ``[n, ...]``), labels are ``[n]`` integer class indices, or floating-point targets ``[n, ...]`` of a regression.
Nothing here is fitted: a transformation with parameters learned from data is the entry's `fit`, which the protocol
calls with the training parts of the training domains alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.base.losses import Loss
from benchmarks.datasets.inventory import Inventory

Metric = Callable[[Tensor, Tensor], float]
"""``metric(outputs, labels)``: the larger the better."""

Fit = Callable[[Tensor, Tensor], Callable[[Tensor], Tensor]]
"""``fit(inputs, labels)`` of the training examples gives a function of inputs: standardisation, TF-IDF, ..."""


@dataclass(frozen=True)
class Domain:
    """The examples of one domain.

    Attributes:
        name: Of the domain.
        inputs: ``[n, ...]``.
        labels: ``[n, ...]``: class indices, or targets of a regression.
        groups: ``[n]`` integers, the same for examples that must never be parted between training, validation and
            test: pictures of one concept, sentences of one document. None: every example is a group of its own.
    """

    name: str
    inputs: Tensor
    labels: Tensor
    groups: Tensor | None = None

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.labels):
            raise ValueError(
                f"domain {self.name!r} has {len(self.inputs)} inputs and {len(self.labels)} labels; "
                "there must be one label for each input"
            )
        if self.groups is not None and self.groups.shape != (len(self.labels),):
            raise ValueError(
                f"domain {self.name!r} has {len(self.labels)} examples and groups of shape "
                f"{tuple(self.groups.shape)}; there must be one number for each example"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, index: Tensor) -> Domain:
        """Some of the examples, by number or by mask."""
        groups = None if self.groups is None else self.groups[index]
        return Domain(self.name, self.inputs[index], self.labels[index], groups)


@dataclass(frozen=True)
class MultiDomainData:
    """The domains of one data set, in a fixed order.

    Attributes:
        domains: At least two.
        n_outputs: What a model must return for an example: one logit for each class, or the columns of a prediction.
    """

    domains: tuple[Domain, ...]
    n_outputs: int

    def __post_init__(self) -> None:
        names = [domain.name for domain in self.domains]
        if len(names) < 2 or len(set(names)) != len(names):
            raise ValueError(f"a data set needs at least two domains with different names, got {names}")
        if len({domain.groups is None for domain in self.domains}) > 1:
            raise ValueError("either all domains have groups or none has")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the domains."""
        return tuple(domain.name for domain in self.domains)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return tuple(self.domains[0].inputs.shape[1:])

    def digest(self) -> str:
        """SHA-256 of all that is in it: names, dtypes, shapes and bytes."""
        found = hashlib.sha256(str(self.n_outputs).encode())
        for domain in self.domains:
            found.update(domain.name.encode())
            for tensor in (domain.inputs, domain.labels, domain.groups):
                if tensor is not None:
                    found.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
                    found.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
        return found.hexdigest()


@dataclass(frozen=True)
class Origin:
    """Where the examples of a user's own data come from, and how further ones become inputs in the same way.

    Attributes:
        reading: Ready for JSON: the scheme of the name, and what `benchmarks.datasets.further` reads by.
        examples: Gives for each domain the name of every example in its order: a file, or the number of a row.
    """

    reading: Mapping[str, Any]
    examples: Callable[[], Mapping[str, Sequence[str]]]


@dataclass(frozen=True)
class DatasetEntry:
    """One line of the registry.

    Attributes:
        factory: Builds the data; the same data every time it is called.
        description: What a domain is and how many there are, in one sentence.
        metric: The figure of merit on a set of examples: it chooses points and checkpoints.
        domains: The names of the domains, known without building the data.
        loss: What training minimizes.
        model: The model that is trained unless a sweep names another.
        licence: Of the examples.
        source: Where they come from.
        fit: What is fitted on the training parts of the training domains and applied to all inputs; None for nothing.
        digest: What `MultiDomainData.digest` must give, where every machine builds the same bytes.
        measures: Other shares in 0..1 by name, measured at every checkpoint and shown beside the metric.
        inventory: What stands in a user's files and what was made of it; None where there is nothing to say.
        classes: The names of the classes in the order of their indices, where they have names.
        columns: The names of the inputs of one example, where they are columns of a table.
        pretrained: Whether the network that comes pretrained in a package goes before `model`, where it is installed.
        fit_yields: Whether `fit` is left out for networks that bring constants of their own for pictures.
        origin: Of the examples of a user's own data; None for the others.
        constant: ``constant(labels, n_outputs)`` gives the answer ``[1, ...]`` that does not look at the inputs and
            everything is compared with; None for the largest class, or the mean target.
        variants: Makes the entry of ``NAME?query`` from the query; None where a name has no options.
        shown: Domain -> lines that a person can read, or a picture ``[height, width, 3]``; None where the examples
            themselves are drawn.
    """

    factory: Callable[[], MultiDomainData]
    description: str
    metric: Metric
    domains: tuple[str, ...]
    loss: Loss = cross_entropy
    model: str = "mlp"
    licence: str = ""
    source: str = ""
    fit: Fit | None = None
    digest: str | None = None
    measures: Mapping[str, Metric] = field(default_factory=dict)
    inventory: Callable[[], Inventory] | None = None
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    pretrained: bool = False
    fit_yields: bool = False
    origin: Origin | None = None
    constant: Callable[[Tensor, int], Tensor] | None = None
    variants: Callable[[str], DatasetEntry] | None = None
    shown: Callable[[], Mapping[str, str | NDArray[Any]]] | None = None
