"""Values on a scale that keeps its shape whatever their unit is: symlog, bins, and two-hot targets.

symlog(v) = sign(v) log(1 + |v|) is nearly v around 0 and a logarithm far from it; symexp is its inverse. The bins are
`BINS` equidistant points b_1 < ... < b_B of that scale. A value v whose symlog lies between two neighbours is the
*two-hot* distribution on them whose mean is symlog(v)::

    p(b_i) = (b_{i+1} - symlog v) / (b_{i+1} - b_i),    p(b_{i+1}) = 1 - p(b_i)

A distribution p stands for the value symexp(sum_i p_i b_i). A critic that learns p by cross-entropy has gradients of
one size in whatever unit its returns are (Hafner et al. 2023, arXiv:2301.04104; Grigsby et al. 2024, arXiv:2411.11188).

Example:
    >>> import torch
    >>> round(float(expected(two_hot(torch.tensor(2.5)).log())), 4)
    2.5
"""

from __future__ import annotations

import torch
from torch import Tensor

SCALE = 256
"""Numbers that are kept as int16 are in units of 1 / SCALE."""

BINS = 41
REACH = 10.0
"""The outermost bins are -REACH and REACH: values up to about 22,025 either way."""


def symlog(values: Tensor) -> Tensor:
    """sign(v) log(1 + |v|)."""
    return values.sign() * values.abs().log1p()


def symexp(values: Tensor) -> Tensor:
    """The inverse of `symlog`."""
    return values.sign() * values.abs().expm1()


def bins(like: Tensor) -> Tensor:
    """``[BINS]``, where and in the type that `like` has."""
    return torch.linspace(-REACH, REACH, BINS, dtype=like.dtype, device=like.device)


def two_hot(values: Tensor) -> Tensor:
    """``[...]`` to ``[..., BINS]``; values beyond the outermost bins are put on them."""
    place = (symlog(values).clamp(-REACH, REACH) + REACH) * ((BINS - 1) / (2 * REACH))
    below = place.floor().clamp(max=BINS - 2)
    share = (place - below)[..., None]
    index = below.long()[..., None]
    empty = torch.zeros(*values.shape, BINS, dtype=values.dtype, device=values.device)
    return empty.scatter(-1, index, 1.0 - share).scatter(-1, index + 1, share)


def expected(logits: Tensor) -> Tensor:
    """``[..., BINS]`` to ``[...]``: the value that a distribution stands for."""
    return symexp(logits.softmax(dim=-1) @ bins(logits))
