"""Other ways to make one gradient of a roll-out: further functions from its Gram matrix to row weights.

Each can take the place of `pgrad.principal_weights` as the ``aggregation`` of `pgrad.PGrad`. Every combination of the
points is X' w, and products between them are in the Gram matrix G = X X'. That of the *increments* u_t = x_t - x_{t-1},
t = 1..T, follows from it: K = D G D' with the differences D [T, T+1].

All share the calibration of the principal gradient: directions v_z of length one, turned towards theta_0 - theta_T by
s_z, with strengths m_z and the common length L = ||theta_0 - theta_T||::

    g = L sum_z (m_z / ||m||) s_z v_z

so that ||g|| = L, one step is Lookahead, and no movement gives zero. The records are those of `principal_weights`:
their spectrum is that of the points, whatever the aggregation.

Example:
    >>> import torch, pgrad
    >>> weight = torch.nn.Parameter(torch.zeros(3))
    >>> opt = pgrad.PGrad([weight], rollout_length=4, n_components=None, aggregation=pgrad.aggregation.above_null)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pgrad.principal import PrincipalWeights, Walk, random_walk_spectrum, spectrum

__all__ = ["above_null", "cross_domain", "increments"]


def above_null(gram: Tensor, n_components: int | None = None, *, rtol: float | None = None) -> PrincipalWeights:
    r"""Principal gradient from those components alone that hold more variance than they would in a random walk.

    Component z is used if its explained-variance ratio lambda_z / sum lambda is at least that of a random walk of as
    many steps, `pgrad.random_walk_spectrum`. Both sum to one over z, so there is always such a component; if none is
    among the first ``n_components``, the one that comes nearest is used.

    Args:
        gram: [T+1, T+1], X X' for displacements X (row 0, the anchor, is zero), any floating dtype. T >= 1.
        n_components: how many of the first principal directions are candidates; None for every one above round-off.
        rtol: what counts as round-off, as for `pgrad.principal_weights`.

    Returns:
        The record with weights of shape [T+1]; ``n_components`` of it is the number that was chosen.

    Raises:
        TypeError: if an argument has another type.
        ValueError: if ``gram`` is not square, finite and symmetric, or a number is out of range.

    Example:
        Three steps of equal length at right angles have the spectrum of a random walk. A long one among them makes
        the first component stand out.

        >>> steps = torch.diag(torch.tensor([4.0, 1.0, 1.0]))
        >>> points = torch.cat([torch.zeros(1, 3), steps.cumsum(0)])
        >>> above_null(points @ points.T).n_components
        1
    """
    walk = Walk.of(gram, n_components, rtol)
    directions, strengths, sides = walk.components(n_components)
    if not len(strengths):
        return walk.aggregated(directions, strengths, sides)
    null = random_walk_spectrum(len(gram) - 1)
    excess = strengths / walk.eigenvalues[:-1].sum() - null[: len(strengths)]
    chosen = excess >= 0
    chosen[excess.argmax()] = True
    return walk.aggregated(directions[:, chosen], strengths[chosen], sides[chosen])


def increments(gram: Tensor, n_components: int | None = None, *, rtol: float | None = None) -> PrincipalWeights:
    r"""Principal gradient from the increments of the roll-out instead of its points.

    With the eigenpairs (lambda_z, e_z) of K, the Gram matrix of the increments, v_z = U' e_z / sqrt(lambda_z) and
    m_z = lambda_z. The increments are not centred: their mean is the way from start to end itself, and v_1 is the
    direction along which the steps are largest in square. Unlike those of the points, these components do not depend
    on the order of the steps.

    Args:
        gram: [T+1, T+1], X X' for displacements X (row 0, the anchor, is zero), any floating dtype. T >= 1.
        n_components: how many directions to use at most; None for every one above round-off.
        rtol: what counts as round-off, as for `pgrad.principal_weights`.

    Returns:
        The record with weights of shape [T+1].

    Raises:
        TypeError: if an argument has another type.
        ValueError: if ``gram`` is not square, finite and symmetric, or a number is out of range.

    Example:
        Of two steps at a right angle, 3 and 1 long, the first component is the longer one.

        >>> points = torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 1.0]], dtype=torch.float64)
        >>> record = increments(points @ points.T, n_components=1)
        >>> (points.T @ record.weights / record.length).abs().round(decimals=9)
        tensor([1., 0.], dtype=torch.float64)
    """
    walk = Walk.of(gram, n_components, rtol)
    differences = _differences(len(gram))
    lam, e = spectrum(differences @ walk.unit @ differences.T)
    used = int((lam > walk.rtol * lam[0].clamp_min(_CANCELLATION)).sum())
    used = used if n_components is None else min(n_components, used)
    lam, e = lam[:used], e[:, :used]
    return walk.aggregated(differences.T @ e / lam.sqrt(), lam, -e.sum(0))


def cross_domain(
    gram: Tensor, n_components: int | None = 1, *, domains: Sequence[int], rtol: float | None = None
) -> PrincipalWeights:
    r"""The direction on which the steps of different domains agree most.

    With the increments u_t and M the 0/1 matrix of pairs of steps from different domains, v_1 is the vector of length
    one that maximises::

        sum_{s, t} M_st (u_s . v) (u_t . v)  =  v' U' M U v,        U [T, d] with rows u_t

    and v_2, v_3, .. do so at right angles to those before. They are v_z = U' M K^(1/2) a_z / mu_z with the eigenpairs
    (mu_z, a_z) of K^(1/2) M K^(1/2), a matrix of T x T; m_z = mu_z, and only mu_z > 0 is agreement. Where there is
    none (all steps are of one domain, or those of different domains are opposite), g is theta_0 - theta_T itself.
    Steps at right angles agree on what lies between them: v bisects two such steps of equal length.

    Args:
        gram: [T+1, T+1], X X' for displacements X (row 0, the anchor, is zero), any floating dtype. T >= 1.
        n_components: how many directions to use at most; None for every one with agreement above round-off.
        domains: [T], the domain of each step, any integers.
        rtol: what counts as round-off, as for `pgrad.principal_weights`.

    Returns:
        The record with weights of shape [T+1].

    Raises:
        TypeError: if an argument has another type.
        ValueError: if ``gram`` is not square, finite and symmetric, a number is out of range, or ``domains`` has
            another length.

    Example:
        Two domains share the x axis, and the second has a long way of its own along y. The first principal direction
        follows that one; the cross-domain one lies between.

        >>> import pgrad
        >>> points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [2.0, 9.0]], dtype=torch.float64)
        >>> record = cross_domain(points @ points.T, domains=[0, 1, 1])
        >>> (points.T @ record.weights / record.length).round(decimals=2)
        tensor([-0.7500, -0.6700], dtype=torch.float64)
        >>> record = pgrad.principal_weights(points @ points.T, 1)
        >>> (points.T @ record.weights / record.length).round(decimals=2)
        tensor([-0.1100, -0.9900], dtype=torch.float64)
    """
    walk = Walk.of(gram, n_components, rtol)
    steps = len(gram) - 1
    if len(domains) != steps:
        raise ValueError(f"domains must have one entry for each of the {steps} steps, got {len(domains)}")
    differences = _differences(len(gram))
    lam, e = spectrum(differences @ walk.unit @ differences.T)
    root = e * lam.sqrt() @ e.T
    numbers = torch.tensor(list(domains))
    pairs = (numbers[:, None] != numbers).double()
    mu, a = torch.linalg.eigh(root @ pairs @ root)
    mu, a = mu.flip(0), a.flip(1)
    used = int((mu > walk.rtol * steps * _CANCELLATION).sum())
    used = used if n_components is None else min(n_components, used)
    if not used:
        way_back = torch.zeros(steps + 1, dtype=torch.float64)
        way_back[0], way_back[-1] = 1.0, -1.0
        return walk.record(way_back * bool(walk.unit[-1, -1] > 0), torch.zeros(0, dtype=torch.float64))
    directions = differences.T @ (pairs @ root @ a[:, :used] / mu[:used])
    return walk.aggregated(directions, mu[:used], -walk.unit[-1] @ directions)


_CANCELLATION = 4.0  # an entry of K is a sum of four entries of G, of which the largest is one


def _differences(rows: int) -> Tensor:
    """D [T, T+1] with D x = (x_t - x_{t-1}) for t = 1..T."""
    ones = torch.ones(rows - 1, dtype=torch.float64)
    return torch.diag(ones, 1)[:-1] - torch.eye(rows - 1, rows, dtype=torch.float64)
