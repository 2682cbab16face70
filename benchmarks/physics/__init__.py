"""The Bethe-Heitler process ``e p -> e p γ``: an electron scatters off a proton and radiates a photon before or after.

A cross section without free parameters: quantum electrodynamics and the proton's measured form factors give it exactly,
to lowest order in α. All functions are vectorised and work in float64; energies and momenta are in GeV (c = ħ = 1).

Example:
    >>> from benchmarks.physics import Kinematics, cross_section
    >>> point = Kinematics(beam_energy=5.75, x_b=0.36, q2=2.3, t=-0.28, phi=[0.5, 3.0])
    >>> cross_section(point).round(4).tolist()  # nb / GeV^4 / rad
    [0.0762, 0.0111]
"""

from benchmarks.physics.bethe_heitler import cross_section, harmonics, squared_amplitude
from benchmarks.physics.form_factors import dipole, dirac_pauli, sachs
from benchmarks.physics.kinematics import Kinematics

__all__ = ["Kinematics", "cross_section", "dipole", "dirac_pauli", "harmonics", "sachs", "squared_amplitude"]
