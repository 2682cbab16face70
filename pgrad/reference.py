"""The principal gradient written down densely, line by line, in float64: slow, obvious, and the judge of the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["above_null_gradient", "cross_domain_gradient", "increment_gradient", "principal_gradient"]


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
    if points.ndim != 2 or len(points) < 2:
        raise ValueError(f"points must be [T+1, d] with T >= 1, got {tuple(points.shape)}")
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
    way_back = theta[0] - theta[-1]
    round_off = rows * torch.finfo(theta.dtype).eps * lam.sqrt()
    s = torch.where(v.T @ way_back > round_off, 1.0, -1.0).to(theta.dtype)

    # Length calibration: weights lambda_z / ||lambda||, common length ||theta_0 - theta_T||.
    g: Tensor = way_back.norm() * (v * s * (lam / lam.norm())).sum(1)
    return g


def above_null_gradient(points: Tensor) -> Tensor:
    """Principal gradient from the components that hold at least the share of variance they have in a random walk.

    Args:
        points: [T+1, d], as for `principal_gradient`.

    Returns:
        [d] float64, oriented like a gradient.

    Example:
        >>> above_null_gradient(torch.tensor([[0.0, 0.0], [9.0, 0.0], [9.0, 1.0]])).round(decimals=2)
        tensor([-9.0400, -0.5100], dtype=torch.float64)
    """
    theta = points.to(torch.float64)
    steps = len(theta) - 1
    centred = theta - theta.mean(0)
    eigenvalues, v = torch.linalg.eigh(centred.T @ centred)
    eigenvalues, v = eigenvalues.flip(0)[:steps], v.flip(1)[:, :steps]
    if eigenvalues[0] <= 0:
        return torch.zeros_like(theta[0])
    sines = [math.sin(math.pi * z / (2 * (steps + 1))) for z in range(1, steps + 1)]
    null = torch.tensor([sine**-2 for sine in sines], dtype=torch.float64)[: len(eigenvalues)]
    excess = eigenvalues / eigenvalues.sum() - null / sum(sine**-2 for sine in sines)
    chosen = [z for z in range(len(excess)) if excess[z] >= 0 or excess[z] == excess.max()]
    return _calibrated(v[:, chosen], eigenvalues[chosen], theta[0] - theta[-1])


def increment_gradient(points: Tensor, n_components: int | None = None) -> Tensor:
    """Principal gradient from the second moments of the increments, a matrix of d x d.

    Args:
        points: [T+1, d], as for `principal_gradient`.
        n_components: how many directions to use at most; None for every one above round-off.

    Returns:
        [d] float64, oriented like a gradient.

    Example:
        >>> increment_gradient(torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 1.0]]), 1).abs().round(decimals=2)
        tensor([3.1600, 0.0000], dtype=torch.float64)
    """
    theta = points.to(torch.float64)
    u = theta[1:] - theta[:-1]
    return _agreement(u.T @ u, theta, n_components)


def cross_domain_gradient(points: Tensor, domains: Sequence[int], n_components: int | None = 1) -> Tensor:
    """Directions on which the increments of different domains agree, from a matrix of d x d.

    Args:
        points: [T+1, d], as for `principal_gradient`.
        domains: [T], the domain of each step.
        n_components: how many directions to use at most; None for every one above round-off.

    Returns:
        [d] float64, oriented like a gradient; theta_0 - theta_T if there is no agreement.

    Example:
        >>> points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [2.0, 9.0]])
        >>> cross_domain_gradient(points, [0, 1, 1]).round(decimals=2)
        tensor([-6.8700, -6.1500], dtype=torch.float64)
    """
    theta = points.to(torch.float64)
    u = theta[1:] - theta[:-1]
    moment = torch.zeros(theta.shape[1], theta.shape[1], dtype=torch.float64)
    for s in range(len(u)):
        for t in range(len(u)):
            if domains[s] != domains[t]:
                moment += torch.outer(u[s], u[t])
    return _agreement(moment, theta, n_components)


def _agreement(moment: Tensor, theta: Tensor, n_components: int | None) -> Tensor:
    """Calibrated eigenvectors of a symmetric matrix with eigenvalues above round-off; the way back if there is none."""
    way_back = theta[0] - theta[-1]
    eigenvalues, v = torch.linalg.eigh(moment)
    eigenvalues, v = eigenvalues.flip(0), v.flip(1)
    size = (theta - theta[0]).square().sum(1).max()
    k = int((eigenvalues > len(theta) ** 2 * torch.finfo(theta.dtype).eps * size).sum())
    k = k if n_components is None else min(k, n_components)
    return _calibrated(v[:, :k], eigenvalues[:k], way_back) if k else way_back


def _calibrated(v: Tensor, strengths: Tensor, way_back: Tensor) -> Tensor:
    """Direction and length calibration of unit vectors, one a column."""
    s = torch.where(v.T @ way_back > 0, 1.0, -1.0).to(v.dtype)
    g: Tensor = way_back.norm() * (v * s * (strengths / strengths.norm())).sum(1)
    return g
