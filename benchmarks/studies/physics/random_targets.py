"""What part of a fit's error is the noise of the data, and what part is ignorance.

A model is fitted several times to targets that are drawn anew within their errors, with everything else as it was. The
spread of these *replicas* is what the noise of the data does to the fit. Where the truth is known, the rest of the
deviation from it is ignorance: what the data do not say, or the model does not learn.

The name is that of a method in arXiv:2207.10766, which proposes it to begin to tell aleatoric from epistemic
uncertainty in exclusive scattering. Only the abstract of that paper was at hand: the decomposition below is worked out
here and may differ from theirs.

For one place x, let ``f_r`` be the replicas' predictions, r = 1..R, ``θ`` the truth, ``s^2`` the variance of the f_r.
The measured targets are one draw around the truth, and each replica's are one more draw around the measured ones. If a
fit answers small changes of its targets linearly, both move a prediction by the same variance ``σ^2``, hence

    E s^2 = σ^2    (noise),        E (mean_r f_r - θ)^2 = b^2 + σ^2 (1 + 1 / R)    (deviation, ignorance b).

What else differs between replicas, such as the jitter of a stochastic optimizer that small changes set off, is in s^2
too and averages out in the mean: then the noise is overestimated and the ignorance is a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


def redraw(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Labels ``[n, 2]`` (value and error) with values drawn anew from normal distributions; the errors stay.

    Example:
        >>> redraw(torch.tensor([[5.0, 0.0], [-1.0, 0.0]]), torch.Generator())
        tensor([[ 5.,  0.],
                [-1.,  0.]])
    """
    if labels.ndim != 2 or labels.shape[1] != 2:
        raise ValueError(f"labels must have the shape [n, 2] (value and error), got {tuple(labels.shape)}")
    value, error = labels.unbind(1)
    return torch.stack([torch.normal(value, error, generator=generator), error], dim=1)


@dataclass(frozen=True)
class Uncertainty:
    """Root mean squares over the examples, in units of their statistical errors.

    Attributes:
        noise: Spread of the replicas: what the noise of the training data does to a prediction.
        deviation: Of the replicas' mean from the truth.
        ignorance: The deviation without the noise that is still in it, a lower bound; 0 if noise explains it all.
    """

    noise: float
    deviation: float
    ignorance: float


def separate(predictions: Array, truth: Array, error: Array) -> Uncertainty:
    """Noise and ignorance of a fit.

    Args:
        predictions: ``[R, n]``: of R replicas, two at least, that were fitted to redrawn targets.
        truth: ``[n]``.
        error: ``[n]``: the unit, the statistical errors of measurements at the same places.

    Raises:
        ValueError: If the shapes do not fit, there is one replica only, or an error is not positive.
    """
    if predictions.ndim != 2 or len(predictions) < 2:
        raise ValueError(f"predictions must have the shape [replicas >= 2, n], got {predictions.shape}")
    if not predictions.shape[1:] == truth.shape == error.shape:
        raise ValueError(
            f"truth and error must have the shape {predictions.shape[1:]} of one replica's predictions, got "
            f"{truth.shape} and {error.shape}"
        )
    if not (error > 0).all():
        raise ValueError(f"error must be positive, got {error.min():g}")
    noise2 = np.mean(predictions.var(axis=0, ddof=1) / error**2)
    deviation2 = np.mean(((predictions.mean(axis=0) - truth) / error) ** 2)
    ignorance2 = max(0.0, deviation2 - noise2 * (1 + 1 / len(predictions)))
    return Uncertainty(float(noise2**0.5), float(deviation2**0.5), float(ignorance2**0.5))
