"""A few vectors that stand for many points of a roll-out: the algebra, on small matrices.

The points so far, P [t, d], are kept as P = table @ vectors with vectors Y [m, d] and a table [t, m]. When there is no
room for another vector, the rows of Y become fewer: P = A S V' with the largest ``keep`` singular values S, hence
A A' P = A (A' table Y), so that A' table Y are the new vectors and A the new table. Only the part of the points outside
these directions is lost, the best that ``keep`` vectors can do (Eckart and Young, 1936), and later points are not
touched by it. A comes from P P' = table G table' with G = Y Y': no pass over Y but the one that gave G.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["check_sketch_size", "compress"]


def compress(gram: Tensor, table: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """Fewer vectors for the same points.

    Args:
        gram: [m, m] float64, products Y Y' of the vectors.
        table: [t, m] float64, each point from the vectors.
        keep: number of new vectors, at most t.

    Returns:
        The rotation [keep, m] that makes the new vectors from the old, and the new table [t, keep]; nan throughout if
        ``gram`` is not finite.

    Example:
        Three points in two directions need two vectors.

        >>> points = torch.tensor([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]], dtype=torch.float64)
        >>> rotation, table = compress(points @ points.T, torch.eye(3, dtype=torch.float64), 2)
        >>> torch.allclose(table @ (rotation @ points), points)
        True
    """
    if not gram.isfinite().all():
        return gram.new_full((keep, table.shape[1]), torch.nan), gram.new_full((len(table), keep), torch.nan)
    products = table @ gram @ table.T
    _, vectors = torch.linalg.eigh(products)
    new = vectors[:, -keep:]
    return new.T @ table, new


def check_sketch_size(sketch_size: int | None, n_components: int | None) -> None:
    """Refuse a number of vectors that is neither None nor enough for this many components."""
    if sketch_size is None:
        return
    if isinstance(sketch_size, bool) or not isinstance(sketch_size, int):
        raise TypeError(f"sketch_size must be an int, or None to keep every point, got {sketch_size!r}")
    least = 3 if n_components is None else n_components + 2
    if sketch_size < least:
        raise ValueError(
            f"sketch_size must be at least n_components + 2 (3 without n_components), here {least}: the anchor, the "
            f"directions, and room for the next point; got {sketch_size}"
        )
