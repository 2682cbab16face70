"""The squared Bethe-Heitler amplitude off an unpolarised proton, and its cross section.

Belitsky, Mueller and Kirchner, Nucl. Phys. B 629, 323 (2002), hep-ph/0112108; numbers of equations are theirs. With
``φ' = π - φ`` the angle of that paper, ``r = t / Q^2`` and two combinations of form factors,
``A = F1^2 - t F2^2 / 4M^2`` and ``B = (F1 + F2)^2``::

    |T|^2 / e^6 = [c0 + c1 cos φ' + c2 cos 2φ'] / [x^2 y^2 (1 + ε^2)^2 t P1 P2]                                     (25)
    dσ / dx dQ^2 d|t| dφ = α^3 x y^2 / (8 π Q^4 sqrt(1 + ε^2)) |T|^2 / e^6                                          (22)

(22) is integrated over the azimuth of the scattered electron, and dy is replaced by dQ^2 y / Q^2. Averaged over the
spins that come in, summed over those that go out; exact to lowest order in α but for the electron's mass.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.physics.constants import ALPHA, GEV2_NANOBARN, PROTON_MASS
from benchmarks.physics.form_factors import dirac_pauli
from benchmarks.physics.kinematics import Kinematics

Array = NDArray[np.float64]


def harmonics(point: Kinematics) -> tuple[Array, Array, Array]:
    """The Fourier coefficients c0, c1 and c2 of (35), (36) and (37); without units, independent of φ."""
    x, y, t, e2 = point.x_b, point.y, point.t, point.epsilon2
    k, r, m2 = point.k, point.t / point.q2, PROTON_MASS**2
    f1, f2 = dirac_pauli(t)
    a, b = f1**2 - t / (4 * m2) * f2**2, (f1 + f2) ** 2

    along = (2 + 3 * e2) / r * a + 2 * x**2 * b
    middle_a = (2 + e2) * (4 * x**2 * m2 / t * (1 + r) ** 2 + 4 * (1 - x) * (1 + x * r))
    middle_b = 4 * x**2 * (x + (1 - x + e2 / 2) * (1 - r) ** 2 - x * (1 - 2 * x) * r**2)
    last = 2 * e2 * (1 - t / (4 * m2)) * a - x**2 * (1 - r) ** 2 * b
    c0 = 8 * k**2 * along + (2 - y) ** 2 * (middle_a * a + middle_b * b) + 8 * (1 + e2) * (1 - y - e2 * y**2 / 4) * last
    c1 = 8 * k * (2 - y) * ((4 * x**2 * m2 / t - 2 * x - e2) * a + 2 * x**2 * (1 - (1 - 2 * x) * r) * b)
    c2 = 8 * x**2 * k**2 * (4 * m2 / t * a + 2 * b)
    return c0, c1, c2


def squared_amplitude(point: Kinematics) -> Array:
    """|T|^2 / e^6 of (25), in GeV^-2: averaged over initial and summed over final spins."""
    c0, c1, c2 = harmonics(point)
    fourier = c0 - c1 * np.cos(point.phi) + c2 * np.cos(2 * point.phi)  # φ' = π - φ
    below = point.x_b**2 * point.y**2 * (1 + point.epsilon2) ** 2 * point.t * point.p1 * point.p2
    return np.asarray(fourier / below)


def cross_section(point: Kinematics) -> Array:
    """``dσ / dx_B dQ^2 d|t| dφ`` of the Bethe-Heitler process in nb / GeV^4 / rad.

    Example:
        >>> round(float(cross_section(Kinematics(27.6, x_b=0.1, q2=2.5, t=-0.12, phi=0.0))), 4)
        0.561
    """
    flux = ALPHA**3 * point.x_b * point.y**2 / (8 * np.pi * point.q2**2 * np.sqrt(1 + point.epsilon2))
    return np.asarray(flux * squared_amplitude(point) * GEV2_NANOBARN)
