"""Averages of weights over the part of training where the validation loss lies in its valley (SWAD).

For a plain or exponential average over the whole of training torch has all that is needed,
`torch.optim.swa_utils.AveragedModel`; give it anchors, not walking points::

    if optimizer.rollout_position == 0:
        averaged.update_parameters(model)

`SWAD` finds by itself where to begin and where to end. It works with any optimizer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

__all__ = ["SWAD"]


class _Segment(TypedDict):
    """Mean of some points, how many they are, and the validation loss at the last of them (nan while it is open)."""

    mean: dict[str, Tensor]
    count: int
    loss: float


class SWAD:
    """Mean of all points in the valley of the validation loss, begun and ended by that loss.

    A *segment* is the points between one `validate` and the next; E_i is the validation loss at the end of segment i.

    1. The valley begins with the first segment s whose loss is not undercut by those that follow it:
       E_s = min(E_s .. E_{s + converge_patience - 1}).
    2. The threshold is (1 + tolerance) times the mean of these ``converge_patience`` losses.
    3. From then on the valley ends as soon as the last ``overfit_patience`` losses, or more, are all above the
       threshold; it ends before them. `finished` is then True and nothing more changes.

    The average is over all points of the segments from s to the end, each with the same weight: a segment above the
    threshold counts if one at or below it follows before the end. Held are at most max(converge_patience,
    overfit_patience) + 2 copies of the parameters. Buffers are not averaged: recompute those of BatchNorm with
    `torch.optim.swa_utils.update_bn`.

    Args:
        model: its parameters are read at each `update`.
        converge_patience: losses that decide the beginning, N_s in the paper.
        overfit_patience: losses in a row that decide the end, N_e in the paper.
        tolerance: by how much the loss may rise, relative to its mean at the beginning: r - 1 in the paper, which
            has r = 1.2 on VLCS and 1.3 on its other data sets.
        device: where the copies are held; None for the device of each parameter.

    Raises:
        TypeError: if an argument has another type.
        ValueError: if a number is out of range.

    Source: SWAD, arXiv:2102.08604, algorithm 1; there a segment is one point. One difference: where training stops
    before the end of the valley, a last run of losses above the threshold is left out, not averaged.

    Example:
        Losses 3, 1, 1.2, 1.1 begin the valley at the second; 5 and 6 end it.

        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> swad = SWAD(model, converge_patience=3, overfit_patience=2)
        >>> for value, loss in enumerate([3.0, 1.0, 1.2, 1.1, 5.0, 6.0]):
        ...     _ = torch.nn.init.constant_(model.weight, value)
        ...     swad.update()
        ...     swad.validate(loss)
        >>> swad.finished, swad.average()["weight"].item()  # the mean of 1, 2 and 3
        (True, 2.0)
    """

    def __init__(
        self,
        model: nn.Module,
        converge_patience: int = 3,
        overfit_patience: int = 6,
        tolerance: float = 0.3,
        device: torch.device | str | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
        _check_count("converge_patience", converge_patience)
        _check_count("overfit_patience", overfit_patience)
        if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)):
            raise TypeError(f"tolerance must be a number, got {tolerance!r}")
        if not 0.0 <= tolerance < math.inf:
            raise ValueError(f"tolerance must be finite and not negative, got {tolerance}")
        self.converge_patience = converge_patience
        self.overfit_patience = overfit_patience
        self.tolerance = tolerance
        self._parameters = dict(model.named_parameters())
        self._device = None if device is None else torch.device(device)
        self._open = self._empty()
        self._waiting: list[_Segment] = []  # closed, and not known to be in the valley or out of it
        self._valley = self._empty()
        self._threshold: float | None = None
        self._finished = False

    @property
    def threshold(self) -> float | None:
        """Loss above which the model is leaving the valley; None before the valley begins."""
        return self._threshold

    @property
    def finished(self) -> bool:
        """Whether the valley has ended, so that training may stop."""
        return self._finished

    @property
    def count(self) -> int:
        """Points in the average so far; 0 before the valley begins."""
        return self._valley["count"]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters as they are: after every step or, with PGrad, whenever it is at an anchor."""
        if self._finished:
            return
        point = {name: p.detach() for name, p in self._parameters.items()}
        _merge(self._open, {"mean": point, "count": 1, "loss": math.nan})

    def validate(self, loss: float | Tensor) -> None:
        """Close the segment: ``loss`` is the validation loss of the last point taken in.

        Raises:
            TypeError: if ``loss`` is not a number.
            ValueError: if it is negative or not finite: the threshold is relative to it.
            RuntimeError: if there was no `update` since the last `validate`.
        """
        number = _check_loss(loss)
        if self._finished:
            return
        if self._open["count"] == 0:
            raise RuntimeError("validate(loss) ends a segment of points: call update() at least once before it")
        self._waiting.append({**self._open, "loss": number})
        self._open = self._empty()
        if self._threshold is None:
            self._begin()
        else:
            self._go_on()

    def average(self) -> dict[str, Tensor]:
        """The mean of the points in the valley so far, by parameter name, in the dtype of the parameters.

        Raises:
            RuntimeError: before the valley begins.
        """
        if self._threshold is None:
            raise RuntimeError(
                f"there is no average yet: no validation loss was lowest among {self.converge_patience} in a row; "
                "train longer, validate more often, or use the model as it is"
            )
        return {name: mean.to(self._parameters[name].dtype, copy=True) for name, mean in self._valley["mean"].items()}

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Put the average into the parameters of a model of the same kind; its buffers stay.

        Raises:
            RuntimeError: before the valley begins.
            ValueError: if the model has other parameters.
        """
        average, parameters = self.average(), dict(model.named_parameters())
        _check_names("model", parameters, average)
        for name, mean in average.items():
            parameters[name].copy_(mean)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on; loads with ``weights_only=True``. Tensors are references, as in torch.optim."""
        return {
            "open": dict(self._open),
            "waiting": [dict(segment) for segment in self._waiting],
            "valley": dict(self._valley),
            "threshold": self._threshold,
            "finished": self._finished,
            **self._settings(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises:
            ValueError: if a key is missing, or it has other settings or parameters. Nothing has changed then.
        """
        expected = {"open", "waiting", "valley", "threshold", "finished", *self._settings()}
        if missing := sorted(expected - state_dict.keys()):
            raise ValueError(f"state_dict must come from SWAD.state_dict(), but lacks {missing}")
        for name, value in self._settings().items():
            if state_dict[name] != value:
                raise ValueError(f"state_dict was saved with {name}={state_dict[name]!r}, here it is {value!r}")
        segments = [state_dict["open"], state_dict["valley"], *state_dict["waiting"]]
        for segment in segments:
            if segment["count"]:
                _check_names("state_dict", segment["mean"], self._parameters)
        self._open, self._valley, *self._waiting = map(self._copied, segments)
        self._threshold, self._finished = state_dict["threshold"], state_dict["finished"]

    def _settings(self) -> dict[str, float]:
        return {
            "converge_patience": self.converge_patience,
            "overfit_patience": self.overfit_patience,
            "tolerance": self.tolerance,
        }

    def _begin(self) -> None:
        """Has the valley begun with the oldest of the last segments?"""
        losses = [segment["loss"] for segment in self._waiting]
        if len(losses) < self.converge_patience:
            return
        if losses[0] == min(losses):
            self._threshold = (1 + self.tolerance) * sum(losses) / len(losses)
            self._go_on()
        else:
            del self._waiting[0]

    def _go_on(self) -> None:
        """All up to the last segment at or below the threshold are in the valley; has it ended?"""
        inside = [n for n, segment in enumerate(self._waiting, 1) if segment["loss"] <= (self._threshold or 0.0)]
        last = inside[-1] if inside else 0
        for segment in self._waiting[:last]:
            _merge(self._valley, segment)
        del self._waiting[:last]
        if len(self._waiting) >= self.overfit_patience:
            self._finished = True
            self._waiting.clear()

    def _empty(self) -> _Segment:
        """A mean of nothing, in the dtype of the parameters, and float32 at least."""
        zeros = {}
        for name, p in self._parameters.items():
            dtype = torch.promote_types(p.dtype, torch.float32)
            zeros[name] = torch.zeros_like(p, dtype=dtype, device=self._device, requires_grad=False)
        return {"mean": zeros, "count": 0, "loss": math.nan}

    def _copied(self, segment: _Segment) -> _Segment:
        new = self._empty()
        for name, mean in new["mean"].items():
            mean.copy_(segment["mean"][name])
        return {"mean": new["mean"], "count": segment["count"], "loss": segment["loss"]}


def _merge(into: _Segment, other: _Segment) -> None:
    """The mean of the points of both."""
    into["count"] += other["count"]
    share = other["count"] / into["count"]
    for name, mean in into["mean"].items():
        mean.lerp_(other["mean"][name].to(mean.device, mean.dtype), share)


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a positive int, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")


def _check_loss(loss: Any) -> float:
    single = isinstance(loss, Tensor) and loss.numel() == 1
    if not single and (isinstance(loss, bool) or not isinstance(loss, (int, float))):
        raise TypeError(f"loss must be a number, got {loss!r}")
    number = float(loss)
    if not 0.0 <= number < math.inf:
        raise ValueError(f"loss must be finite and not negative, got {number}")
    return number


def _check_names(what: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    shapes = {name: tuple(value.shape) for name, value in found.items()}
    wanted = {name: tuple(value.shape) for name, value in expected.items()}
    if shapes != wanted:
        different = sorted(name for name in shapes.keys() | wanted.keys() if shapes.get(name) != wanted.get(name))
        raise ValueError(f"{what} must have the same parameters, but these differ in name or shape: {different}")
