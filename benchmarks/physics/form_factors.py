"""How the proton's charge and magnetism are spread: its elastic form factors at momentum transfer t < 0.

Kelly's parametrisation (J. J. Kelly, Phys. Rev. C 70, 068202 (2004), equation 2 and table I) writes the two Sachs form
factors as ratios of polynomials in ``τ = -t / 4M^2`` that fall like 1 / t^2.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial.polynomial import polyval
from numpy.typing import ArrayLike, NDArray

from benchmarks.physics.constants import PROTON_MASS, PROTON_MOMENT

Array = NDArray[np.float64]

# Coefficients of 1, τ, τ^2, ...: numerator and denominator.
_ELECTRIC = (1.0, -0.24), (1.0, 10.98, 12.82, 21.97)
_MAGNETIC = (1.0, 0.12), (1.0, 10.97, 18.86, 6.55)
_DIPOLE_MASS2 = 0.71


def sachs(t: ArrayLike) -> tuple[Array, Array]:
    """The electric and the magnetic form factor G_E and G_M at `t` in GeV^2, both without units.

    Raises:
        ValueError: If `t` is positive or not finite.

    Example:
        >>> [float(g) for g in sachs(0.0)]  # charge and magnetic moment
        [1.0, 2.79284734463]
    """
    tau = -_spacelike(t) / (4 * PROTON_MASS**2)
    electric, magnetic = (polyval(tau, above) / polyval(tau, below) for above, below in (_ELECTRIC, _MAGNETIC))
    return electric, PROTON_MOMENT * magnetic


def dirac_pauli(t: ArrayLike) -> tuple[Array, Array]:
    """The Dirac and the Pauli form factor F1 and F2: G_E = F1 - τ F2 and G_M = F1 + F2, solved for them.

    Raises:
        ValueError: If `t` is positive or not finite.

    Example:
        >>> [round(float(f), 6) for f in dirac_pauli(0.0)]  # charge and anomalous magnetic moment
        [1.0, 1.792847]
    """
    electric, magnetic = sachs(t)
    tau = -_spacelike(t) / (4 * PROTON_MASS**2)
    return (electric + tau * magnetic) / (1 + tau), (magnetic - electric) / (1 + tau)


def dipole(t: ArrayLike) -> Array:
    """The textbook form (1 - t / 0.71 GeV^2)^-2, which all four follow within some ten per cent below 1 GeV^2.

    Raises:
        ValueError: If `t` is positive or not finite.

    Example:
        >>> float(dipole(-0.71))
        0.25
    """
    return np.asarray((1 - _spacelike(t) / _DIPOLE_MASS2) ** -2)


def _spacelike(t: ArrayLike) -> Array:
    array = np.asarray(t, dtype=np.float64)
    bad = ~(np.isfinite(array) & (array <= 0))
    if bad.any():
        raise ValueError(f"t must be a finite momentum transfer of at most 0 (GeV^2), got {array[bad].flat[0]:g}")
    return array
