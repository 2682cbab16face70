"""How the columns of a buffer are cut: into batches of parameters for element-wise passes, into runs for products."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from pgrad._engine.forms import cut

Batch = tuple[list[tuple[int, slice | None]], slice]
"""Parameters by number, each whole (None) or a piece of its elements in memory order, and the columns of them all."""


def batches(spans: Mapping[int, slice], starts: Sequence[int], dense: Collection[int], limit: int) -> Iterator[Batch]:
    """Parameters in order, `limit` elements at a time, so that batches are alike in size.

    The columns of a batch have none between them of a parameter that takes no part.

    Args:
        spans: The columns of the parameters that take part, by number, in order.
        starts: Where the columns of each parameter begin, alignment included, and where the last ones end.
        dense: Those that may be cut.
        limit: Elements of a batch; a parameter that has more and cannot be cut is a batch by itself.
    """
    pieces: list[tuple[int, slice | None]] = []
    begin = end = 0  # columns of the batch
    for i, span in spans.items():
        stop = starts[i + 1]
        n = span.stop - span.start
        large = n > limit and i in dense
        for part in cut(slice(0, n), limit) if large else [slice(0, n)]:
            start = span.start + part.start
            behind = stop if part.stop == n else span.start + part.stop
            if end > begin and (start != end or behind - begin > limit):
                yield pieces, slice(begin, end)
                pieces, begin, end = [], start, start
            begin, end = (begin if end > begin else start), behind
            pieces.append((i, part if large else None))
    if pieces:
        yield pieces, slice(begin, end)


def runs(active: Iterable[int], starts: Sequence[int], step: int) -> Iterator[slice]:
    """The columns of the parameters that take part, `step` at a time.

    Args:
        active: Their numbers, in order.
        starts: As of `batches`.
        step: Columns of a run, at most.

    Example:
        >>> list(runs([0, 2, 3], [0, 8, 16, 24, 32], step=12))
        [slice(0, 8, None), slice(16, 28, None), slice(28, 32, None)]
    """
    begin = end = 0
    for i in active:
        if starts[i] > end:
            yield from cut(slice(begin, end), step)
            begin = starts[i]
        end = starts[i + 1]
    yield from cut(slice(begin, end), step)
