"""Which kernels run while derivatives of every kind are taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

__all__ = ["differentiable"]


@contextmanager
def differentiable(device: torch.device) -> Iterator[None]:
    """Plain kernels, in the precision of the parameters, as they are in every pass.

    Autocast is off. Attention is computed from products of matrices: torch's fused kernels of it have neither second
    derivatives nor those in forward mode, and `torch.nn.TransformerEncoderLayer` takes another way without gradients.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    with torch.autocast(device.type, enabled=False), sdpa_kernel(SDPBackend.MATH):
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
