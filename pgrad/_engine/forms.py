"""How a parameter lies in memory: its elements in order, other memory seen like it, and what tells a change of form."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from pgrad._engine import sharding

__all__ = ["cut", "flat", "in_words", "is_dense", "kinds_of", "local", "real_part", "same_bits", "shaped"]

_form = operator.attrgetter("shape", "dtype", "device")


def flat(tensor: Tensor) -> Tensor:
    """[n], real: the elements in memory order, as a view where the tensor is dense, else as a copy."""
    tensor = real_part(tensor).detach()
    return tensor.as_strided((tensor.numel(),), (1,)) if is_dense(tensor) else tensor.reshape(-1)


def shaped(memory: Tensor, like: Tensor) -> Tensor:
    """View [..., n], laid out as by `flat`, like the local part of ``like``; complex: [*shape, 2]."""
    like = real_part(like)
    lead = memory.shape[:-1]
    if not is_dense(like):
        return memory.view(*lead, *like.shape)
    return memory.as_strided((*lead, *like.shape), (*memory.stride()[:-1], *like.stride()))


def local(tensor: Tensor) -> Tensor:
    """`sharding.local`, at once for what cannot be a DTensor: there may be thousands."""
    return tensor if type(tensor) is torch.nn.Parameter else sharding.local(tensor)


def real_part(tensor: Tensor) -> Tensor:
    """The local part; of a complex tensor [*shape, 2]. A view."""
    part = local(tensor)
    return torch.view_as_real(part) if part.is_complex() else part


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether all numbers are the same, NaN among them."""
    return bool(((a == b) | (a.isnan() & b.isnan())).all())


def is_dense(tensor: Tensor) -> bool:
    """Whether the elements fill a piece of memory, in any order, each once: then `empty_like` keeps the strides."""
    return tensor.is_contiguous() or torch.empty_like(tensor, device="meta").stride() == tensor.stride()


def kinds_of(params: list[Tensor]) -> Iterator[Any]:
    """Of the local part of each: shape, dtype and device, and strides.

    There may be thousands at every step: one after the other, or Python's garbage collector would go through them all.
    """
    parts = sharding.locals_of(params)
    return zip(map(_form, parts), map(Tensor.stride, parts), strict=True)


def in_words(kind: Any) -> str:
    """What `kinds_of` told of one, to read."""
    (shape, dtype, device), stride = kind
    return f"a {dtype} tensor of shape {tuple(shape)} with strides {tuple(stride)} on {device}"


def cut(span: slice, step: int) -> Iterator[slice]:
    """Parts of at most ``step``, one after the other."""
    return (slice(start, min(start + step, span.stop)) for start in range(span.start, span.stop, step))
