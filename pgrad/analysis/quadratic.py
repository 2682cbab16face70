"""Where a roll-out on a quadratic spreads, exactly: `docs/theory.md` derives it.

On f(theta) = 1/2 (theta - theta*)' H (theta - theta*), with q_j and h_j the eigenpairs of H, lr the learning rate and
a = theta_0 - theta*, gradient descent has

    x_i = -sum_j a_j (1 - r_j^i) q_j,   r_j = 1 - lr h_j,

so that the centred points have the scatter sum_{j, l} a_j a_l K_jl q_j q_l'. With gradient noise of variance c_j along
q_j, independent from step to step, another lr^2 sum_j c_j N_j q_j q_j' is expected. K and N are what this module gives.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["drift_scatter", "noise_scatter"]


def drift_scatter(curvatures: Tensor, lr: float, steps: int) -> Tensor:
    """K_jl = sum_i (r_j^i - mean) (r_l^i - mean) over the T + 1 points of a roll-out of gradient descent.

    Args:
        curvatures: [d], the eigenvalues h_j.
        lr: of gradient descent.
        steps: T.

    Returns:
        [d, d] float64. Its diagonal is how much a roll-out spreads along an eigenvector, by how far it begins from the
        minimum in that direction.

    Raises:
        ValueError: if ``steps`` is below 1, ``lr`` negative, or ``curvatures`` no vector.

    Example:
        >>> drift_scatter(torch.tensor([0.0, 1.0]), lr=1.0, steps=1)  # one step along the second, to the minimum
        tensor([[0.0000, 0.0000],
                [0.0000, 0.5000]], dtype=torch.float64)
    """
    powers = _rates(curvatures, lr, steps)[None] ** torch.arange(steps + 1, dtype=torch.float64, device="cpu")[:, None]
    centred = powers - powers.mean(0)
    return centred.T @ centred


def noise_scatter(curvatures: Tensor, lr: float, steps: int) -> Tensor:
    """N_j = sum_i E (y_i - mean)^2 for y_0 = 0 and y_i = r_j y_{i-1} + a random number of variance one.

    Args:
        curvatures: [d], the eigenvalues h_j.
        lr: of gradient descent.
        steps: T.

    Returns:
        [d] float64. For zero curvature it is that of a random walk, T (T + 2) / 6.

    Raises:
        ValueError: as `drift_scatter`.

    Example:
        >>> noise_scatter(torch.tensor([0.0, 1.0]), lr=0.5, steps=4)
        tensor([4.0000, 2.9250], dtype=torch.float64)
    """
    rates = _rates(curvatures, lr, steps)
    index = torch.arange(steps + 1, device="cpu")
    age = index[:, None] - index[None, 1:]  # of the number drawn in step s, at point i: it came with r^0
    response = torch.where(age >= 0, rates[:, None, None] ** age.clamp_min(0), 0)
    centred = response - response.mean(1, keepdim=True)
    return centred.square().sum((1, 2))


def _rates(curvatures: Tensor, lr: float, steps: int) -> Tensor:
    if curvatures.ndim != 1 or steps < 1 or not lr >= 0:
        raise ValueError(
            f"curvatures must be a vector, steps at least 1 and lr not negative, got {tuple(curvatures.shape)}, "
            f"{steps} and {lr}"
        )
    return 1 - lr * curvatures.double().cpu()
