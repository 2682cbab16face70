"""How far `benchmarks.physics` is from gepard, another program for the same cross section.

gepard (K. Kumerički, gepard.phy.hr) computes ``e p -> e p γ`` with Bethe-Heitler process, Compton scattering and their
interference; with all Compton form factors set to zero the first is left. It takes angles in the Trento convention and
its own values of the constants.
"""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.physics.bethe_heitler import cross_section
from benchmarks.physics.constants import ALPHA, GEV2_NANOBARN
from benchmarks.physics.kinematics import Kinematics

Array = NDArray[np.float64]

GRID = (
    (5.75, 0.36, 2.3, -0.28),
    (5.75, 0.12, 1.1, -0.12),
    (10.6, 0.2, 2.0, -0.4),
    (10.6, 0.6, 8.4, -1.2),
    (27.6, 0.05, 1.5, -0.05),
    (27.6, 0.3, 9.0, -0.7),
    (160.0, 0.01, 2.0, -0.2),
)
"""Beam energy, x_B, Q^2 and t: from JLab's to COMPASS's."""

ANGLES = (0.0, 0.4, 1.3, np.pi / 2, 2.5, np.pi, 4.0, 6.1)


def grid() -> Kinematics:
    """The places where the two are compared."""
    return Kinematics(*np.array([(*place, phi) for place, phi in itertools.product(GRID, ANGLES)]).T)


@functools.cache
def gepard() -> Any:
    """The package.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Please import `p_roots`", DeprecationWarning)
            import gepard
    except ImportError as error:
        raise ImportError(f"gepard is missing ({error}); pip install 'pgrad[test]' installs it") from error
    return gepard


def gepard_cross_section(point: Kinematics) -> Array:
    """What gepard gives for a one-dimensional array of points, in nb / GeV^4 / rad."""
    library = gepard()
    compton = {part + name: lambda *_: 0.0 for part in ("Re", "Im") for name in ("H", "E", "Ht", "Et")}
    theory = type("BetheHeitler", (library.KellyEFF, library.BMK), compton)()
    found = []
    for energy, x, q2, t, phi in zip(
        *(a.tolist() for a in (point.beam_energy, point.x_b, point.q2, point.t, point.phi)), strict=True
    ):
        row = library.DataPoint(
            in1energy=energy, xB=x, Q2=q2, t=t, phi=phi, frame="Trento", process="ep2epgamma",
            exptype="fixed target", in1charge=-1, in1polarization=1, observable="XUU",
        )  # fmt: skip
        row.to_conventions()
        found.append(theory.XUU(row))
    return np.array(found)


def agreement() -> Iterator[dict[str, str]]:
    """Largest and median relative difference on the grid, as it is and with two of the constants made equal."""
    constants = gepard().constants
    theirs = gepard_cross_section(grid())
    ratio = cross_section(grid()) / theirs
    same = ratio * (constants.alpha / ALPHA) ** 3 * constants.GeV2nb / GEV2_NANOBARN
    for what, values in (("each with its own constants", ratio), ("the same α and (ħc)^2", same)):
        difference = np.abs(values - 1)
        yield {
            "cross section against gepard": what,
            "points": str(len(difference)),
            "median": f"{np.median(difference):.1e}",
            "largest": f"{difference.max():.1e}",
        }
