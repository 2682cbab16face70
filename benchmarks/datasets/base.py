"""What a data set is: a few domains, each with its own examples, and one metric.

A :class:`MultiDomainData` holds every example as tensors in memory.  Inputs are ``[n, channels, height, width]`` (or
any ``[n, ...]``) floating-point tensors, labels are ``[n]`` integer class indices.  Nothing here is fitted: a
transformation with parameters learned from data belongs to the protocol, which knows the training domains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Metric = Callable[[Tensor, Tensor], float]
"""``metric(logits, labels)``: the larger the better."""


@dataclass(frozen=True)
class Domain:
    """The examples of one domain: ``inputs`` ``[n, ...]`` and ``labels`` ``[n]``."""

    name: str
    inputs: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.labels):
            raise ValueError(
                f"domain {self.name!r} has {len(self.inputs)} inputs and {len(self.labels)} labels; "
                "there must be one label for each input"
            )

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class MultiDomainData:
    """The domains of one data set, in a fixed order."""

    domains: tuple[Domain, ...]
    n_classes: int

    def __post_init__(self) -> None:
        names = [domain.name for domain in self.domains]
        if len(names) < 2 or len(set(names)) != len(names):
            raise ValueError(f"a data set needs at least two domains with different names, found {names}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the domains."""
        return tuple(domain.name for domain in self.domains)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return tuple(self.domains[0].inputs.shape[1:])


@dataclass(frozen=True)
class DatasetEntry:
    """One line of the registry.

    Attributes:
        factory: Builds the data; the same data every time it is called.
        description: What a domain is and how many there are, in one sentence.
        metric: The figure of merit on a set of examples.
        domains: The names of the domains, known without building the data.
    """

    factory: Callable[[], MultiDomainData]
    description: str
    metric: Metric
    domains: tuple[str, ...]
