"""The arithmetic of the passes over a flat buffer, where its memory is: on a processor, an accelerator, or both."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["full_precision", "products", "send", "subtract"]

_BLOCK = 512  # products added up in the working dtype before the sum goes on in float64
_SMALL = 1 << 14  # numbers that are in float64 sooner than the calls for blocks are made
_LONG = 1 << 11  # numbers in a tensor from which on a call of its own is worth while


def subtract(values: list[Tensor], anchor: tuple[list[Tensor], Tensor], row: tuple[list[Tensor], Tensor]) -> None:
    """row = values - anchor, rounded once to the dtype of the row; asynchronously where that is in host memory.

    Both are given piece by piece, as the values, and as their memory [n] with all of them, the gaps included.
    """
    (anchors, source), (out, target) = anchor, row
    if target.device != source.device:
        send([d.to(target.dtype) for d in torch._foreach_sub(values, anchors)], out)
    elif target.dtype != source.dtype:
        torch._foreach_copy_(out, torch._foreach_sub(values, anchors))
    elif source.device.type == "cpu" and values[0].dtype == source.dtype and len(target) > _LONG * len(values):
        for value, start, way in zip(values, anchors, out, strict=True):  # one pass instead of two
            torch.sub(value, start, out=way)
    else:
        torch._foreach_copy_(out, values)
        target.sub_(source)


def products(chunk: Tensor) -> Tensor:
    """Products of the rows of ``chunk`` [n, columns] with each other: [n, n] float64, of which the upper half counts.

    Sums of `_BLOCK` products are formed in the dtype of the chunk, or all of them in float64. Where the device has none
    (MPS), the chunk comes to the CPU.
    """
    if chunk.device.type == "mps":
        chunk = chunk.cpu()
    n, columns = chunk.shape
    even = columns // _BLOCK * _BLOCK if chunk.numel() > _SMALL else 0
    total = torch.zeros(n, n, dtype=torch.float64, device=chunk.device)
    if even < columns:
        rest = chunk[:, even:].double()
        total = torch.mm(rest, rest.mT)
    if even == 0:
        return total
    blocks = chunk[:, :even].unflatten(1, (-1, _BLOCK))
    if n == 1:
        return total.add_(blocks.square().sum(2).sum(dtype=torch.float64))
    blocks = blocks.transpose(0, 1)
    if chunk.device.type != "cpu" or n < 12:
        return total.add_(torch.bmm(blocks, blocks.mT).sum(0, dtype=torch.float64))
    # On a CPU libraries have kernels for products of a few rows; where there are more, half of the matrix is enough.
    panel = 8
    for start in range(0, n, panel):
        part = torch.bmm(blocks[:, start : start + panel], blocks[:, start:].mT)
        total[start : start + panel, start:] += part.sum(0, dtype=torch.float64)
    return total


def send(values: list[Tensor], out: list[Tensor]) -> None:
    """Copy to host memory beside what the device does next: nothing waits before `FlatBuffer._wait`."""
    device = values[0].device
    if device.type != "cuda":
        torch._foreach_copy_(out, values)
        return
    stream = _copies(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        for value, row in zip(values, out, strict=True):
            row.copy_(value, non_blocking=True)
            value.record_stream(stream)  # its memory is not given to others before the copy is done


@functools.cache
def _copies(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


@contextlib.contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Matrix products in the dtype of their arguments: no autocast, no TensorFloat-32, no bfloat16 passes."""
    precision = torch.get_float32_matmul_precision()
    if precision == "highest" and not torch.is_autocast_enabled(device.type):
        yield
        return
    if precision != "highest":
        torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        if precision != "highest":
            torch.set_float32_matmul_precision(precision)
