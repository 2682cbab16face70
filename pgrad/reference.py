"""The outer gradients written down densely, line by line, in float64: slow, obvious, and the judge of the rest."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["displacement_gradient", "principal_gradient"]


def principal_gradient(points: Tensor, n_components: int | None = None) -> Tensor:
    """Principal gradient of a roll-out from all of its points at once.

    Args:
        points: [T+1, d], the parameters theta_0 (anchor) .. theta_T, one point a row; real.
        n_components: how many principal directions to use at most; None for every one above round-off.

    Returns:
        [d] float64, oriented like a gradient (subtract it).

    Raises:
        ValueError: if ``points`` is not a matrix of at least two rows, or ``n_components`` is below 1.

    Source: PGrad, arXiv:2305.01134, section 2. Needs several times the memory of ``points``: an oracle, not a tool.

    Example:
        One step: there is only one direction, and its length is that of the step (Lookahead).

        >>> principal_gradient(torch.tensor([[1.0, 2.0], [4.0, 6.0]]), n_components=4).round(decimals=9)
        tensor([-3., -4.], dtype=torch.float64)
    """
    _check(points)
    if n_components is not None and n_components < 1:
        raise ValueError(f"n_components must be at least 1 or None, got {n_components}")
    theta = points.to(torch.float64)
    rows = len(theta)

    # Displacements x_i = theta_i - theta_0, centred by H.
    x = theta - theta[0]
    centring = torch.eye(rows, dtype=theta.dtype, device=theta.device) - 1 / rows
    hx = centring @ x

    # Eigenpairs of C = H X X' H, largest first; only those above round-off.
    eigenvalues, eigenvectors = torch.linalg.eigh(hx @ hx.T)
    order = eigenvalues.argsort(descending=True)
    eigenvalues, eigenvectors = eigenvalues[order], eigenvectors[:, order]
    above = eigenvalues > rows * torch.finfo(theta.dtype).eps * eigenvalues[0]
    above[-1] = False  # centring leaves at most T directions
    k = int(above.sum()) if n_components is None else min(int(above.sum()), n_components)
    if k == 0:
        return torch.zeros_like(theta[0])
    lam, e = eigenvalues[:k], eigenvectors[:, :k]

    # The sign of an eigenvector is free; with its largest entry positive, a tie in the calibration has one meaning.
    e = e * e.gather(0, e.abs().argmax(0, keepdim=True)).sign()

    # Principal directions v_z = (H X)' e_z / sqrt(lambda_z), one a column.
    v = hx.T @ e / lam.sqrt()

    # Direction calibration: towards theta_0 - theta_T; -1 for a right angle, up to round-off.
    displacement = theta[0] - theta[-1]
    round_off = rows * torch.finfo(theta.dtype).eps * lam.sqrt()
    s = torch.where(v.T @ displacement > round_off, 1.0, -1.0).to(theta.dtype)

    # Length calibration: weights lambda_z / ||lambda||, common length ||theta_0 - theta_T||.
    g: Tensor = displacement.norm() * (v * s * (lam / lam.norm())).sum(1)
    return g


def displacement_gradient(points: Tensor) -> Tensor:
    """The plain displacement of a roll-out, theta_0 - theta_T.

    Args:
        points: [T+1, d], as for `principal_gradient`.

    Returns:
        [d] float64, oriented like a gradient.

    Raises:
        ValueError: if ``points`` is not a matrix of at least two rows.

    Example:
        >>> displacement_gradient(torch.tensor([[1.0, 2.0], [9.0, 9.0], [4.0, 6.0]]))
        tensor([-3., -4.], dtype=torch.float64)
    """
    _check(points)
    theta = points.to(torch.float64)
    return theta[0] - theta[-1]


def _check(points: Tensor) -> None:
    if points.ndim != 2 or len(points) < 2:
        raise ValueError(f"points must be [T+1, d] with T >= 1, got {tuple(points.shape)}")
