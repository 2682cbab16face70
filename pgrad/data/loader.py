"""A DataLoader that knows which batches the loop has seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch.utils.data import DataLoader, Dataset

from pgrad.data._readers import check_length
from pgrad.data.domains import DomainBatchSampler

__all__ = ["ResumableLoader"]


class ResumableLoader(DataLoader[Any]):
    """A DataLoader of single-domain batches with ``state_dict`` and ``load_state_dict``, workers or not.

    Worker processes fetch ahead, so that the sampler is further than the loop. This loader counts what it hands out:
    a run that is killed and resumed gets the batches that were still to come, each of them once. After a ``break``
    the next loop starts at the first whole roll-out that was not begun, and what workers had fetched is fetched
    again; so the batches do not depend on the number of workers.

    A state saved inside a loop, or after a ``break``, is resumed by completing that loop; the resumed loop is shorter
    by what had been handed out. One saved after the last batch is resumed with a new loop.

    Lightning puts such a state into its checkpoints by itself. On several ranks the state is the same on all.

    Args:
        dataset: a map-style dataset, in the order of the domains that the sampler was given.
        batch_sampler: a `pgrad.DomainBatchSampler` or `pgrad.GroupBatchSampler`. It can serve one loop at a time.
        **kwargs: all else that DataLoader takes, such as ``num_workers``, ``persistent_workers``, ``prefetch_factor``.

    Raises:
        TypeError: if ``batch_sampler`` is something else.
        ValueError: if the dataset has a length and it is not that of the domains.

    Example:
        >>> sampler = DomainBatchSampler([0, 0, 1, 1], batch_size=1)
        >>> loader = ResumableLoader(range(4), sampler)
        >>> batches = iter(loader)
        >>> first = next(batches)
        >>> saved = loader.state_dict()
        >>> rest = [batch.item() for batch in batches]

        >>> resumed = ResumableLoader(range(4), DomainBatchSampler([0, 0, 1, 1], batch_size=1))
        >>> resumed.load_state_dict(saved)
        >>> [batch.item() for batch in resumed] == rest
        True
    """

    counts_batches = True  # so the sampler need not refuse its state when workers are ahead

    def __init__(self, dataset: Dataset[Any], batch_sampler: DomainBatchSampler, **kwargs: Any) -> None:
        if not isinstance(batch_sampler, DomainBatchSampler):
            raise TypeError(
                "batch_sampler must be a pgrad.DomainBatchSampler or a pgrad.GroupBatchSampler, "
                f"got {type(batch_sampler).__name__}"
            )
        check_length(dataset, batch_sampler._examples)
        super().__init__(dataset, batch_sampler=batch_sampler, **kwargs)
        self._domain_sampler = batch_sampler

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """The batches of one loop, counted."""
        loop = None
        for batch in super().__iter__():
            loop = self._domain_sampler._hand_out(loop)
            yield batch

    def state_dict(self, consumed: int | None = None) -> dict[str, Any]:
        """The place in the stream after the batches handed out so far.

        Args:
            consumed: batches of the current loop that were used, if something between this loader and the loop holds
                some back.

        Raises:
            RuntimeError: if it is not known what the loop has seen: something that fetches ahead is between this loader
                and the loop, or another loader draws from the sampler.
            ValueError: if `consumed` is negative or more than was drawn in this loop.
            TypeError: if it is not an int.
        """
        return dict(self._domain_sampler.state_dict(consumed))

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """The next loop goes on there; one that is running must not be continued.

        Raises:
            ValueError: as `DomainBatchSampler.load_state_dict`.
        """
        self._domain_sampler.load_state_dict(state_dict)
