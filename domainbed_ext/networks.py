"""A backbone that takes no time: to try a sweep, or a data folder, on any machine (``ext_featurizer``)."""

from __future__ import annotations

from typing import Any

from torch import nn

__all__ = ["tiny"]


def tiny(input_shape: tuple[int, ...], hparams: dict[str, Any]) -> nn.Module:
    """Images averaged to 8 x 8, one convolution with BatchNorm (frozen if freeze_bn), one linear layer."""
    return _Tiny(input_shape[0], bool(hparams["freeze_bn"]))


class _Tiny(nn.Sequential):
    n_outputs = 32

    def __init__(self, channels: int, freeze_bn: bool) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(8),
            nn.Conv2d(channels, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(8 * 64, self.n_outputs),
            nn.ReLU(),
        )
        self.freeze_bn = freeze_bn
        self.train()

    def train(self, mode: bool = True) -> _Tiny:
        super().train(mode)
        if self.freeze_bn:
            self[2].eval()
        return self
