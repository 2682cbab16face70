"""The kinematics of ``e(k) p(p) -> e(k') p(p') γ(q')`` on a proton at rest, with the electron's mass neglected.

Belitsky, Mueller and Kirchner, Nucl. Phys. B 629, 323 (2002), hep-ph/0112108; numbers of equations are theirs.
``q = k - k'``, ``Δ = p' - p = q - q'``, ``M`` the proton's mass:

- ``Q^2 = -q^2``, ``x_B = Q^2 / 2 p.q``, ``t = Δ^2``, ``y = p.q / p.k = Q^2 / (2 M E x_B)``, ``ε = 2 x_B M / Q``;
- ``P1 = (k - q')^2 / Q^2`` and ``P2 = (k - Δ)^2 / Q^2``, the two electron propagators (28);
- ``t`` lies between ``t_min`` (31), where the photon goes along q, and ``t_max``, where it goes against q.

**The angle** is that of the Trento convention (Phys. Rev. D 70, 117504 (2004)), which experiments publish: φ turns
around q from the plane of the electrons to the plane of the produced photon, and at φ = 0 the photon is on the side of
the electrons. Belitsky, Mueller and Kirchner measure the proton's azimuth and let q point along -z: their angle is
``π - φ``. Both are in radians.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmarks.physics.constants import PROTON_MASS

Array = NDArray[np.float64]


@dataclass(frozen=True, init=False)
class Kinematics:
    """Points in phase space; the five arguments may be numbers or arrays, and are broadcast against one another,
    to arrays of one shape.

    Attributes:
        beam_energy: Of the electron on a proton at rest, E in GeV.
        x_b: Bjorken's variable, in (0, 1).
        q2: Q^2 in GeV^2.
        t: The momentum transfer to the proton in GeV^2, negative.
        phi: The azimuth in radians, Trento convention.

    Raises:
        ValueError: If a value is not finite or the point lies outside the phase space; it names argument and value.

    Example:
        >>> point = Kinematics(beam_energy=5.75, x_b=0.36, q2=2.3, t=-0.28, phi=0.0)
        >>> round(float(point.y), 4), round(float(point.t_min), 4)
        (0.5921, -0.1585)
        >>> Kinematics(beam_energy=5.75, x_b=0.36, q2=2.3, t=-0.1, phi=0.0)
        Traceback (most recent call last):
            ...
        ValueError: t must be at most t_min = -0.158482 GeV^2 (given by x_b and q2), found -0.1
    """

    beam_energy: Array
    x_b: Array
    q2: Array
    t: Array
    phi: Array

    def __init__(self, beam_energy: ArrayLike, x_b: ArrayLike, q2: ArrayLike, t: ArrayLike, phi: ArrayLike) -> None:
        given = {"beam_energy": beam_energy, "x_b": x_b, "q2": q2, "t": t, "phi": phi}
        arrays = np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in given.values()))
        for name, array in zip(given, arrays, strict=True):
            object.__setattr__(self, name, array)
            self._require(name, np.isfinite(array), lambda _: "be finite")
        self._require("beam_energy", self.beam_energy > 0, lambda _: "be positive (GeV)")
        self._require("x_b", (self.x_b > 0) & (self.x_b < 1), lambda _: "lie in (0, 1)")
        self._require("q2", self.q2 > 0, lambda _: "be positive (GeV^2)")
        lost = "be larger: the electron would lose y = {:g} of its energy, more than scattering at any angle allows"
        self._require("beam_energy", self._sideways > 0, lambda i: lost.format(self.y[i]))
        bound = "be at {} {} = {:g} GeV^2 (given by x_b and q2)"
        self._require("t", self.t <= self.t_min, lambda i: bound.format("most", "t_min", self.t_min[i]))
        self._require("t", self.t >= self.t_max, lambda i: bound.format("least", "t_max", self.t_max[i]))

    def _require(self, name: str, good: NDArray[np.bool_], must: Callable[[tuple[int, ...]], str]) -> None:
        if not good.all():
            first = tuple(int(i) for i in np.argwhere(~good)[0])
            raise ValueError(f"{name} must {must(first)}, got {getattr(self, name)[first]:g}")

    @property
    def y(self) -> Array:
        """The share of its energy that the electron loses."""
        return np.asarray(self.q2 / (2 * PROTON_MASS * self.beam_energy * self.x_b))

    @property
    def epsilon2(self) -> Array:
        """ε^2: zero for a proton without mass."""
        return np.asarray(4 * self.x_b**2 * PROTON_MASS**2 / self.q2)

    @property
    def t_min(self) -> Array:
        """The upper bound of t, in GeV^2.

        (31), with 1 - sqrt(1 + ε^2) written as -ε^2 / (1 + sqrt(1 + ε^2)): small differences of large numbers go.
        """
        root = np.sqrt(1 + self.epsilon2)
        above = self.epsilon2 * (1 - 2 * (1 - self.x_b) / (1 + root))
        return np.asarray(-self.q2 * above / self._below)

    @property
    def t_max(self) -> Array:
        """The lower bound of t, in GeV^2: (31) with the other sign of the root."""
        above = 2 * (1 - self.x_b) * (1 + np.sqrt(1 + self.epsilon2)) + self.epsilon2
        return np.asarray(-self.q2 * above / self._below)

    @property
    def k(self) -> Array:
        """K of (30): the transverse momentum transfer in units of Q, times that of the electron."""
        brace = np.sqrt(1 + self.epsilon2) + self._below / (4 * (1 - self.x_b)) * (self.t - self.t_min) / self.q2
        squared = (self.t_min - self.t) / self.q2 * (1 - self.x_b) * self._sideways * brace
        return np.sqrt(np.maximum(squared, 0.0))  # rounding at the bounds

    @property
    def p1(self) -> Array:
        """P1 of (28), always negative: of the photon from the incoming electron."""
        r = self.t / self.q2
        j = (1 - self.y - self.y * self.epsilon2 / 2) * (1 + r) - (1 - self.x_b) * (2 - self.y) * r  # (29)
        return np.asarray(-(j - 2 * self.k * np.cos(self.phi)) / (self.y * (1 + self.epsilon2)))

    @property
    def p2(self) -> Array:
        """P2 of (28), always positive: of the photon from the outgoing electron."""
        return np.asarray(1 + self.t / self.q2 - self.p1)

    @property
    def _sideways(self) -> Array:
        """1 - y - ε^2 y^2 / 4, proportional to the square of the electron's momentum across q."""
        return np.asarray(1 - self.y - self.epsilon2 * self.y**2 / 4)

    @property
    def _below(self) -> Array:
        return np.asarray(4 * self.x_b * (1 - self.x_b) + self.epsilon2)
