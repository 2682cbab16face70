"""How smooth a loss curve is, compared where the models have moved equally far.

Curves over steps cannot be compared: who makes small steps always looks smooth. Over the distance moved they can.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Smoothness", "smoothness"]


@dataclass(frozen=True)
class Smoothness:
    """Of a loss curve over the distance moved.

    Attributes:
        distance: over which it was looked at.
        descent: loss at its beginning less that at its end.
        variation: sum of all rises and falls.
        bend: root of the mean square of the second derivative.
    """

    distance: float
    descent: float
    variation: float
    bend: float

    @property
    def rising_share(self) -> float:
        """Share of the variation that goes up: 0 for a curve that only falls, 1/2 for one that ends where it began."""
        return (self.variation - self.descent) / (2 * self.variation) if self.variation > 0 else math.nan


def smoothness(losses: Tensor, distances: Tensor, *, up_to: float | None = None, number: int = 50) -> Smoothness:
    """Smoothness of a loss curve, read at equal distances moved.

    Args:
        losses: [n], along a run.
        distances: [n], how far the model had moved at each: ascending, such as the sum of ``path`` of the rows of a
            `pgrad.analysis.Recorder`, or ``distances`` of `pgrad.analysis.path`.
        up_to: look at the curve from its beginning to this distance, for runs to be compared; None for all of it.
        number: at how many places the curve is read, at least 3.

    Raises:
        ValueError: if shapes or ranges do not fit, or a number is not finite.

    Example:
        >>> found = smoothness(torch.tensor([3.0, 1.0, 2.0]), torch.tensor([0.0, 1.0, 2.0]), number=5)
        >>> found.descent, found.variation, round(found.rising_share, 4)
        (1.0, 3.0, 0.3333)
    """
    losses, distances = losses.double().cpu(), distances.double().cpu()
    if losses.ndim != 1 or losses.shape != distances.shape or len(losses) < 2:
        raise ValueError(
            f"losses and distances must be vectors of one length of at least 2, got {tuple(losses.shape)} and "
            f"{tuple(distances.shape)}"
        )
    if not (losses.isfinite().all() and distances.isfinite().all()):
        raise ValueError("losses and distances must be finite: cut the run before it diverged")
    if not (distances.diff() >= 0).all() or not distances[-1] > distances[0]:
        raise ValueError("distances must ascend: they are sums of what the model moved")
    whole = float(distances[-1] - distances[0])
    length = whole if up_to is None else up_to
    if not 0 < length <= whole * (1 + 1e-9) or number < 3:
        raise ValueError(
            f"up_to must be above 0 and at most {whole:.6g}, and number at least 3, got {length} and {number}"
        )
    places = distances[0] + torch.linspace(0, length, number, dtype=torch.float64, device="cpu")
    right = torch.searchsorted(distances, places).clamp(1, len(distances) - 1)
    left = right - 1
    width = (distances[right] - distances[left]).clamp_min(1e-300)
    part = ((places - distances[left]) / width).clamp(0, 1)
    curve = losses[left] + part * (losses[right] - losses[left])
    step = length / (number - 1)
    bend = (curve.diff(n=2) / step**2).square().mean().sqrt()
    return Smoothness(length, float(curve[0] - curve[-1]), float(curve.diff().abs().sum()), float(bend))
