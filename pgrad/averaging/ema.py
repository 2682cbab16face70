"""The exponential moving average of weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pgrad.averaging.average import Average
from pgrad.averaging.points import blank, check_known, follow_towards, parameters_of, taken_up, whole_number, wide

__all__ = ["EMA"]


class EMA(Average):
    """The exponential moving average: ``average <- decay average + (1 - decay) theta``, the first point a plain copy.

    It looks back over about 1 / (1 - decay) points. Of roll-outs a point is an anchor, T steps apart: ``decay ** T``
    looks as far back in steps.

    Args:
        model: as for `Average`.
        decay: from 0, which is the last point, to below 1.
        device: as for `Average`.

    Raises:
        TypeError: if an argument has another type.
        ValueError: if ``decay`` is out of range.

    Source: for domain generalization Arpit et al. 2022, arXiv:2110.10832.

    Example:
        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> average = EMA(model, decay=0.5)
        >>> for value in (0.0, 4.0, 8.0):
        ...     _ = torch.nn.init.constant_(model.weight, value)
        ...     average.update()
        >>> average.average()["weight"].item()
        5.0
    """

    def __init__(self, model: nn.Module, decay: float = 0.99, device: torch.device | str | None = None) -> None:
        super().__init__(model, device)
        if isinstance(decay, bool) or not isinstance(decay, (int, float)):
            raise TypeError(f"decay must be a number, got {decay!r}")
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"decay must be at least 0 and below 1, got {decay}")
        self.decay = decay
        self._count = 0
        self._mean: dict[str, Tensor] = {}

    @property
    def count(self) -> int:
        """Points so far."""
        return self._count

    def _take(self, point: dict[str, Tensor]) -> None:
        check_known("this EMA", self._mean, point)
        known = [name for name in point if name in self._mean]
        follow_towards([self._mean[name] for name in known], [point[name] for name in known], 1 - self.decay)
        self._mean |= {name: wide(value, self._device) for name, value in point.items() if name not in self._mean}
        self._count += 1

    def _values(self) -> Mapping[str, Tensor]:
        return self._mean

    def _settings(self) -> dict[str, Any]:
        return {"decay": self.decay}

    def _pack(self) -> dict[str, Any]:
        mean = dict(self._mean) or blank(parameters_of(self._model), self._device)
        return {"count": self._count, "mean": mean}

    def _unpack(self, state: Mapping[str, Any]) -> None:
        count = whole_number("count", state["count"])
        saved = state["mean"] if count else {}
        self._mean = taken_up(saved, parameters_of(self._model), self._device)
        self._count = count
