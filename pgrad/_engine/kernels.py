"""The arithmetic of the passes over a flat buffer, where its memory is: on a processor, an accelerator, or both."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["full_precision", "send", "subtract", "sums"]


def subtract(values: list[Tensor], anchors: list[Tensor], out: list[Tensor]) -> None:
    """out = values - anchors, rounded once to the dtype of ``out``; asynchronously where that is in host memory."""
    if not values:
        return
    source, target = anchors[0], out[0]
    if target.device != source.device:
        send([d.to(target.dtype) for d in torch._foreach_sub(values, anchors)], out)
    elif target.dtype != source.dtype:
        torch._foreach_copy_(out, torch._foreach_sub(values, anchors))
    elif source.device.type == "cpu" and values[0].dtype == source.dtype:  # one pass instead of two
        for value, anchor, row in zip(values, anchors, out, strict=True):
            torch.sub(value, anchor, out=row)
    else:
        torch._foreach_copy_(out, values)
        torch._foreach_sub_(out, anchors)


def sums(weights: Tensor, chunk: Tensor) -> Tensor:
    """weights @ chunk."""
    if len(weights) > 1 or chunk.device.type != "cpu":
        return weights @ chunk
    first, *others = weights[0].tolist()
    total: Tensor = chunk[0] * first  # stays in the cache; a product of one row by a matrix would run on one thread
    for weight, row in zip(others, chunk[1:], strict=True):
        total.add_(row, alpha=weight)
    return total[None]


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
    if precision != "highest":
        torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        if precision != "highest":
            torch.set_float32_matmul_precision(precision)
