"""The plain mean of weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pgrad.averaging.average import Average
from pgrad.averaging.points import RunningMean, check_known, parameters_of, whole_number

__all__ = ["Mean"]


class Mean(Average):
    """The mean of all points from a start on (stochastic weight averaging, SWA).

    Args:
        model: as for `Average`.
        start: how many points to leave out first.
        device: as for `Average`.

    Raises:
        TypeError: if an argument has another type.
        ValueError: if ``start`` is negative.

    Source: Izmailov et al. 2018, arXiv:1803.05407.

    Example:
        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> average = Mean(model, start=1)
        >>> for value in (100.0, 1.0, 2.0):
        ...     _ = torch.nn.init.constant_(model.weight, value)
        ...     average.update()
        >>> average.count, average.average()["weight"].item()
        (2, 1.5)
    """

    def __init__(self, model: nn.Module, start: int = 0, device: torch.device | str | None = None) -> None:
        super().__init__(model, device)
        if isinstance(start, bool) or not isinstance(start, int):
            raise TypeError(f"start must be an int, got {start!r}")
        if start < 0:
            raise ValueError(f"start must not be negative, got {start}")
        self.start = start
        self._seen = 0
        self._points = RunningMean(self._device)

    @property
    def count(self) -> int:
        """Points in the average so far, those before the start not among them."""
        return max(self._seen - self.start, 0)

    def _take(self, point: dict[str, Tensor]) -> None:
        check_known("this Mean", self._points.mean, point)
        if self._seen >= self.start:
            self._points.add(point, dict.fromkeys(point, 1))
        self._seen += 1

    def _values(self) -> Mapping[str, Tensor]:
        return self._points.mean

    def _why_not_ready(self) -> str:
        if self._seen:
            return f"it begins after {self.start} points, and has seen {self._seen}"
        return super()._why_not_ready()

    def _settings(self) -> dict[str, Any]:
        return {"start": self.start}

    def _pack(self) -> dict[str, Any]:
        return {"seen": self._seen, "points": self._points.pack(parameters_of(self._model))}

    def _unpack(self, state: Mapping[str, Any]) -> None:
        seen = whole_number("seen", state["seen"])
        self._points = RunningMean.unpacked(state["points"], parameters_of(self._model), self._device)
        self._seen = seen
