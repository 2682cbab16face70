"""The mean of weights over the part of training where the validation loss lies in its valley."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pgrad.averaging.average import Average
from pgrad.averaging.points import RunningMean, check_known, parameters_of, shapes_of, whole_number

__all__ = ["SWAD"]

_REMEDY = "save it with torch.save, on every rank; torch.distributed.checkpoint leaves out what a fresh SWAD has not"


@dataclass
class _Segment:
    """Points, how many, and the validation loss at the last of them (nan while it is open)."""

    points: RunningMean
    count: int = 0
    loss: float = math.nan

    def merge(self, other: _Segment) -> None:
        self.points.add(other.points.mean, other.points.counts)
        self.count += other.count

    def pack(self) -> dict[str, Any]:
        return {**self.points.pack({}), "count": self.count, "loss": self.loss}


class SWAD(Average):
    """Mean of all points in the valley of the validation loss, begun and ended by that loss.

    A *segment* is the points between one `validate` and the next; E_i is the validation loss at the end of segment i.

    1. The valley begins with the first segment s whose loss is not undercut by those that follow it:
       E_s = min(E_s .. E_{s + converge_patience - 1}).
    2. The threshold is (1 + tolerance) times the mean of these ``converge_patience`` losses.
    3. From then on the valley ends as soon as the last ``overfit_patience`` losses, or more, are all above the
       threshold; it ends before them. `finished` is then True and nothing more changes.

    The average is over all points of the segments from s to the end, each with the same weight: a segment above the
    threshold counts if one at or below it follows before the end. Held are at most max(converge_patience,
    overfit_patience) + 2 copies of the parameters. It is there from the beginning of the valley on.

    Args:
        model: as for `Average`.
        converge_patience: losses that decide the beginning, N_s in the paper.
        overfit_patience: losses in a row that decide the end, N_e in the paper.
        tolerance: by how much the loss may rise, relative to its mean at the beginning: r - 1 in the paper, which
            has r = 1.2 on VLCS and 1.3 on its other data sets.
        device: as for `Average`.

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
        super().__init__(model, device)
        _check_count("converge_patience", converge_patience)
        _check_count("overfit_patience", overfit_patience)
        if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)):
            raise TypeError(f"tolerance must be a number, got {tolerance!r}")
        if not 0.0 <= tolerance < math.inf:
            raise ValueError(f"tolerance must be finite and not negative, got {tolerance}")
        self.converge_patience = converge_patience
        self.overfit_patience = overfit_patience
        self.tolerance = tolerance
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
        return self._valley.count

    @torch.no_grad()
    def validate(self, loss: float | Tensor) -> None:
        """Close the segment: ``loss`` is the validation loss of the last point taken in.

        Raises:
            TypeError: if ``loss`` is not a number.
            ValueError: if it is negative or not finite: the threshold is relative to it.
            RuntimeError: if there was no point since the last `validate`, or inside `applied`.
        """
        self._refuse_applied("validate()")
        number = _check_loss(loss)
        if self._finished:
            return
        if self._open.count == 0:
            raise RuntimeError("validate(loss) ends a segment of points: take one at least with update() before it")
        self._open.loss = number
        self._waiting.append(self._open)
        self._open = self._empty()
        if self._threshold is None:
            self._begin()
        else:
            self._go_on()

    def _take(self, point: dict[str, Tensor]) -> None:
        if self._finished:
            return
        for segment in (self._open, self._valley):
            check_known("this SWAD", segment.points.mean, point)
        self._open.points.add(point, dict.fromkeys(point, 1))
        self._open.count += 1

    def _values(self) -> Mapping[str, Tensor]:
        return self._valley.points.mean

    def _why_not_ready(self) -> str:
        return (
            f"no validation loss was lowest among {self.converge_patience} in a row; train longer, validate more "
            "often, or use the model as it is"
        )

    def _settings(self) -> dict[str, Any]:
        return {
            "converge_patience": self.converge_patience,
            "overfit_patience": self.overfit_patience,
            "tolerance": self.tolerance,
        }

    def _pack(self) -> dict[str, Any]:
        return {
            "open": self._open.pack(),
            "waiting": [segment.pack() for segment in self._waiting],
            "valley": self._valley.pack(),
            "threshold": self._threshold,
            "finished": self._finished,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, by version 0.1 as well; see `Average.load_state_dict`."""
        super().load_state_dict(_present(state_dict, self._settings()))

    def _unpack(self, state: Mapping[str, Any]) -> None:
        parameters = parameters_of(self._model)

        def segment(saved: Mapping[str, Any]) -> _Segment:
            count = whole_number("count", saved["count"])
            points = RunningMean.unpacked(saved, parameters, self._device)
            if count and not points.mean:
                raise ValueError(
                    f"state_dict must have a mean for each segment, got none for {count} points: {_REMEDY}"
                )
            return _Segment(points, count, saved["loss"])

        self._open, self._valley, *self._waiting = map(segment, [state["open"], state["valley"], *state["waiting"]])
        self._threshold, self._finished = state["threshold"], state["finished"]

    def _begin(self) -> None:
        """Has the valley begun with the oldest of the last segments?"""
        losses = [segment.loss for segment in self._waiting]
        if len(losses) < self.converge_patience:
            return
        if losses[0] == min(losses):
            self._threshold = (1 + self.tolerance) * sum(losses) / len(losses)
            self._go_on()
        else:
            del self._waiting[0]

    def _go_on(self) -> None:
        """All up to the last segment at or below the threshold are in the valley; has it ended?"""
        inside = [n for n, segment in enumerate(self._waiting, 1) if segment.loss <= (self._threshold or 0.0)]
        last = inside[-1] if inside else 0
        for segment in self._waiting[:last]:
            self._valley.merge(segment)
        del self._waiting[:last]
        if len(self._waiting) >= self.overfit_patience:
            self._finished = True
            self._waiting.clear()

    def _empty(self) -> _Segment:
        return _Segment(RunningMean(self._device))


def _present(state: Mapping[str, Any], settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """A state as it is saved today: version 0.1 had its settings beside the rest, and one count for all parameters."""
    if "type" in state or not {"open", "waiting", "valley", *settings} <= state.keys():
        return state

    def segment(old: Mapping[str, Any]) -> dict[str, Any]:
        mean = old["mean"] if old["count"] else {}
        return {**old, "mean": mean, "counts": dict.fromkeys(mean, old["count"])}

    return {
        **state,
        "type": "SWAD",
        "settings": {name: state[name] for name in settings},
        "parameters": shapes_of(state["open"]["mean"]),
        "open": segment(state["open"]),
        "valley": segment(state["valley"]),
        "waiting": [segment(old) for old in state["waiting"]],
    }


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
