"""Mini-batches of a WILDS data set for the training loop, one for each update of an algorithm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.runs.view import Batch
from pgrad import DomainBatchSampler

__all__ = ["Stream"]


class Stream:
    """What a loader gives, on the device of the model.

    Args:
        loader: Training batches without end, whose batch sampler is a `pgrad.DomainBatchSampler`.
        width: Batches that are stacked for one update, domain by domain.
        domain_of: The number of the domain of a batch, from its metadata; None if batches mix the domains.
        augment: The random change of a batch.
        device: Of the model.
    """

    def __init__(
        self,
        loader: DataLoader[Any],
        width: int,
        domain_of: Callable[[Tensor], int] | None,
        augment: Callable[[Tensor], Tensor] | None,
        device: str,
    ) -> None:
        sampler: Any = loader.batch_sampler
        self.loader, self.width, self.domain_of, self.augment = loader, width, domain_of, augment
        self.sampler: DomainBatchSampler = sampler
        self.device = torch.device(device)

    def __iter__(self) -> Iterator[Batch]:
        waiting: list[tuple[int, Tensor, Tensor]] = []
        for inputs, labels, metadata in self.loader:
            inputs = inputs.to(self.device, non_blocking=True)
            if self.augment is not None:
                inputs = self.augment(inputs)
            if isinstance(labels, Tensor):
                labels = labels.to(self.device, non_blocking=True)
            domain = None if self.domain_of is None else self.domain_of(metadata)
            if self.width == 1 or domain is None:
                yield inputs, labels, domain
                continue
            waiting.append((domain, inputs, labels))
            if len(waiting) == self.width:
                waiting.sort(key=lambda batch: batch[0])
                yield torch.stack([x for _, x, _ in waiting]), torch.stack([y for _, _, y in waiting]), None
                waiting.clear()

    def state_dict(self, taken: int) -> dict[str, Any]:
        return dict(self.sampler.state_dict(consumed=taken * self.width))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.sampler.load_state_dict(state)
