"""The cross section against gepard, against Feynman's rules with explicit Dirac matrices, and against limits."""

import numpy as np
import pytest

from benchmarks.physics import Kinematics, cross_section, dipole, dirac_pauli, harmonics, sachs, squared_amplitude
from benchmarks.physics.constants import ALPHA, GEV2_NANOBARN, PROTON_MASS, PROTON_MOMENT
from benchmarks.studies.physics.agreement import gepard, gepard_cross_section, grid

M = PROTON_MASS


def phase_space(n=300, seed=0):
    """Random points all over the phase space, from the energies of the first JLab experiments to those of HERA."""
    rng = np.random.default_rng(seed)
    energy = np.exp(rng.uniform(np.log(2), np.log(5e4), n))
    x = np.exp(rng.uniform(np.log(1e-3), np.log(0.8), n))
    y = rng.uniform(0.05, 0.9, n)
    q2 = 2 * M * energy * x * y
    keep = (q2 > 0.5) & (q2 < 100)
    energy, x, q2 = energy[keep], x[keep], q2[keep]
    e2 = (2 * x * M) ** 2 / q2
    bounds = [
        -q2 * (2 * (1 - x) * (1 + sign * np.sqrt(1 + e2)) + e2) / (4 * x * (1 - x) + e2) for sign in (-1, 1)
    ]  # equation 31 as printed
    share = rng.uniform(0.001, 0.999, len(x))
    t = bounds[0] + share * np.maximum(bounds[1] - bounds[0], -3.0)
    return Kinematics(energy, x, q2, t, rng.uniform(0, 2 * np.pi, len(x)))


# --- Feynman's rules

METRIC = np.diag([1.0, -1.0, -1.0, -1.0])
PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
GAMMA = np.array(  # upper index
    [np.kron(np.diag([1, -1]), np.eye(2)), *(np.kron(np.array([[0, 1], [-1, 0]]), sigma) for sigma in PAULI)]
)
LOWER = np.einsum("mn,nab->mab", METRIC, GAMMA)


def slash(p):
    return np.einsum("m,mab->ab", p, LOWER)


def dot(p, q):
    return p @ METRIC @ q


def momenta(point):
    """k, k', q', p, p' in the proton's rest frame: q along +z, the electrons in the xz plane towards +x."""
    energy, x, q2, t, phi = (float(v) for v in (point.beam_energy, point.x_b, point.q2, point.t, point.phi))
    nu = q2 / (2 * M * x)
    length = np.sqrt(nu**2 + q2)
    along = (q2 + 2 * energy * nu) / (2 * length)  # (k - q)^2 = 0
    k = np.array([energy, np.sqrt(energy**2 - along**2), 0.0, along])
    q = np.array([nu, 0.0, 0.0, length])
    omega = nu + t / (2 * M)
    cosine = (t + q2 + 2 * nu * omega) / (2 * length * omega)  # (q - q')^2 = t
    sine = np.sqrt(1 - cosine**2)
    photon = omega * np.array([1.0, sine * np.cos(phi), sine * np.sin(phi), cosine])
    p = np.array([M, 0.0, 0.0, 0.0])
    return k, k - q, photon, p, p + q - photon


def conjugate(vertex):
    """γ0 V† γ0."""
    return np.einsum("ab,...cb,cd->...ad", GAMMA[0], vertex.conj(), GAMMA[0])


def feynman(point):
    """|T|^2 / e^6, averaged over initial and summed over final spins, from the two diagrams."""
    k, k1, photon, p, p1 = momenta(point)
    delta = p1 - p
    before = slash(k - photon) / dot(k - photon, k - photon)
    after = slash(k1 + photon) / dot(k1 + photon, k1 + photon)
    electron = np.einsum("mab,bc,ncd->mnad", GAMMA, before, GAMMA) + np.einsum(
        "nab,bc,mcd->mnad", GAMMA, after, GAMMA
    )  # m couples to the proton, n to the photon
    f1, f2 = (float(f) for f in dirac_pauli(point.t))
    proton = f1 * LOWER + f2 / (4 * M) * (slash(delta) @ LOWER - LOWER @ slash(delta))
    leptons = np.einsum("ab,mnbc,cd,orda->mnor", slash(k1), electron, slash(k), conjugate(electron), optimize=True)
    heavy = np.eye(4) * M
    hadrons = np.einsum("ab,mbc,cd,oda->mo", slash(p1) + heavy, proton, slash(p) + heavy, conjugate(proton))
    total = np.einsum("mnor,nr,mo->", leptons, -METRIC, hadrons) / dot(delta, delta) ** 2
    return total.real / 4


def one(points, i):
    return Kinematics(points.beam_energy[i], points.x_b[i], points.q2[i], points.t[i], points.phi[i])


def test_momenta_are_what_the_invariants_say():
    points = phase_space(40)
    for i in range(len(points.t)):
        point = one(points, i)
        k, k1, photon, p, p1 = momenta(point)
        q = k - k1
        for momentum, mass in ((k, 0), (k1, 0), (photon, 0), (p1, M)):
            assert dot(momentum, momentum) == pytest.approx(mass**2, abs=1e-9 * point.beam_energy**2)
        assert -dot(q, q) == pytest.approx(float(point.q2))
        assert dot(p1 - p, p1 - p) == pytest.approx(float(point.t), rel=1e-6)
        assert dot(p, q) / dot(p, k) == pytest.approx(float(point.y))
        assert -2 * dot(k, photon) == pytest.approx(float(point.p1 * point.q2), rel=1e-6)
        assert 2 * dot(k1, photon) == pytest.approx(float(point.p2 * point.q2), rel=1e-6)


def test_amplitude_is_that_of_the_two_feynman_diagrams():
    points = phase_space(200)
    expected = np.array([feynman(one(points, i)) for i in range(len(points.t))])
    np.testing.assert_allclose(squared_amplitude(points), expected, rtol=1e-6)
    moderate = points.beam_energy < 100  # contractions of large momenta lose digits
    assert moderate.sum() > 20
    np.testing.assert_allclose(squared_amplitude(points)[moderate], expected[moderate], rtol=1e-10)


def test_cross_section_is_flux_times_phase_space():
    # dσ = |T|^2 / (4 k.p) dΦ_3, with d^3k' / 2E' = Q^2 / (8 M E x^2) dx dQ^2 dφ_e and, of photon and proton together,
    # dt dφ / (8 M |q|): worked out in the proton's rest frame.
    point = phase_space(50)
    energy, x, q2 = point.beam_energy, point.x_b, point.q2
    q = np.sqrt((q2 / (2 * M * x)) ** 2 + q2)
    squared = (4 * np.pi * ALPHA) ** 3 * squared_amplitude(point)
    phase = 2 * np.pi * q2 / (8 * M * energy * x**2) / (8 * M * q) / (2 * np.pi) ** 5
    np.testing.assert_allclose(cross_section(point), squared * phase / (4 * M * energy) * GEV2_NANOBARN, rtol=1e-12)


# --- gepard


@pytest.mark.slow
def test_gepard_agrees():
    ours, theirs = cross_section(grid()), gepard_cross_section(grid())
    np.testing.assert_allclose(ours, theirs, rtol=2e-6)
    constants = gepard().constants
    difference = np.abs(ours / theirs * constants.GeV2nb / GEV2_NANOBARN * (constants.alpha / ALPHA) ** 3 - 1)
    # What is left is the proton's mass, 8e-8 apart: it moves y, which tells where P1 is almost 0.
    assert difference.max() < 5e-6
    assert np.quantile(difference, 0.9) < 1e-6


@pytest.mark.slow
def test_gepard_agrees_exactly_with_its_own_constants(monkeypatch):
    constants, theirs = gepard().constants, gepard_cross_section(grid())
    for module in ("bethe_heitler", "kinematics", "form_factors"):
        monkeypatch.setattr(f"benchmarks.physics.{module}.PROTON_MASS", constants.Mp)
    monkeypatch.setattr("benchmarks.physics.bethe_heitler.GEV2_NANOBARN", constants.GeV2nb)
    monkeypatch.setattr("benchmarks.physics.bethe_heitler.ALPHA", constants.alpha)
    monkeypatch.setattr("benchmarks.physics.form_factors.PROTON_MOMENT", 2.792847351)
    np.testing.assert_allclose(cross_section(grid()), theirs, rtol=1e-11)


# --- limits known on paper


def test_form_factors_at_rest_are_charge_and_moment():
    assert sachs(0.0) == pytest.approx((1.0, PROTON_MOMENT))
    assert dirac_pauli(0.0) == pytest.approx((1.0, PROTON_MOMENT - 1))


def test_slope_of_the_electric_form_factor_is_the_charge_radius():
    # <r^2> = 6 dG_E/dt; Kelly (2004) quotes 0.863 fm for the charge radius of his fit.
    step = 1e-6
    radius = np.sqrt(6 * (sachs(0.0)[0] - sachs(-step)[0]) / step) * 0.1973269804
    assert radius == pytest.approx(0.863, abs=0.001)


def test_form_factors_follow_the_dipole_and_fall_like_the_square_of_1_over_t():
    t = -np.linspace(0.01, 1.0, 50)
    electric, magnetic = sachs(t)
    np.testing.assert_allclose(magnetic / PROTON_MOMENT, dipole(t), rtol=0.1)
    np.testing.assert_allclose(electric, dipole(t), rtol=0.2)
    for near, far in zip(sachs(-1e5), sachs(-2e5), strict=True):
        assert near / far == pytest.approx(4, rel=1e-3)


def test_sachs_from_dirac_and_pauli():
    t = np.array([-0.1, -1.0, -5.0])
    f1, f2 = dirac_pauli(t)
    np.testing.assert_allclose(f1 + t / (4 * M**2) * f2, sachs(t)[0], rtol=1e-12)
    np.testing.assert_allclose(f1 + f2, sachs(t)[1], rtol=1e-12)


def test_cross_section_is_positive_and_even_in_phi():
    point = phase_space(2000)
    mirrored = Kinematics(point.beam_energy, point.x_b, point.q2, point.t, 2 * np.pi - point.phi)
    assert (cross_section(point) > 0).all()
    np.testing.assert_allclose(cross_section(point), cross_section(mirrored), rtol=1e-8)


def test_without_the_propagators_three_harmonics_are_left():
    phi = np.arange(16) * 2 * np.pi / 16
    point = Kinematics(5.75, 0.36, 2.3, -0.28, phi)
    spectrum = np.fft.rfft(cross_section(point) * point.p1 * point.p2).real
    assert (np.abs(spectrum[:3]) > 1e-4 * abs(spectrum[0])).all()
    assert (np.abs(spectrum[3:]) < 1e-12 * abs(spectrum[0])).all()
    with_propagators = np.fft.rfft(cross_section(point)).real
    assert abs(with_propagators[3]) > 1e-3 * with_propagators[0]


def test_at_t_min_nothing_depends_on_phi():
    probe = Kinematics(5.75, 0.36, 2.3, -0.28, 0.0)
    point = Kinematics(5.75, 0.36, 2.3, probe.t_min, np.linspace(0, 6, 7))
    np.testing.assert_allclose(cross_section(point), cross_section(point)[0], rtol=1e-6)
    assert [float(np.abs(c).max()) for c in harmonics(point)[1:]] == pytest.approx([0, 0], abs=1e-6)


def test_the_bounds_of_t_are_where_the_photon_is_collinear():
    # (q - q')^2 with q' = ω (1, 0, 0, ±1) and M^2 = (p + q - q')^2 solved for ω.
    point = Kinematics(10.6, 0.3, 3.0, -0.5, 0.0)
    nu = 3.0 / (2 * M * 0.3)
    length = np.sqrt(nu**2 + 3.0)
    for sign, bound in ((1, point.t_min), (-1, point.t_max)):
        omega = (2 * M * nu - 3.0) / (2 * (M + nu - sign * length))
        assert float(bound) == pytest.approx(2 * M * (omega - nu), rel=1e-9)


def test_photons_come_with_the_electrons_at_phi_zero():
    sigma = cross_section(Kinematics(5.75, 0.36, 2.3, -0.28, np.linspace(0, np.pi, 30)))
    assert (np.diff(sigma) < 0).all()


def test_soft_momentum_transfer_brings_out_the_photon_pole():
    # The photon that is exchanged gives 1 / t^2; what it couples to is neutral, and takes one power of t back.
    t = np.array([-1e-4, -2e-4])
    point = Kinematics(5e5, 1e-4, 50.0, t, np.pi / 2)
    scaled = cross_section(point) * -t
    assert scaled[0] == pytest.approx(scaled[1], rel=2e-3)


def test_at_fixed_x_y_and_t_the_cross_section_falls_like_q_to_the_minus_four():
    # t and M^2 small against Q^2: c0 and P1 P2 depend on x, y and t alone, and the flux holds 1 / Q^4.
    q2 = np.array([1e5, 2e5])
    point = Kinematics(q2 / (2 * M * 0.2 * 0.5), 0.2, q2, -0.5, 1.0)
    near, far = cross_section(point)
    assert near / far == pytest.approx(4, rel=2e-2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"beam_energy": 1.0}, r"beam_energy must be larger: the electron would lose y = 3.4\d+ .* got 1"),
        ({"beam_energy": -1.0}, "beam_energy must be positive .* got -1"),
        ({"x_b": 1.0}, r"x_b must lie in \(0, 1\), got 1"),
        ({"x_b": [0.3, 0.0]}, r"x_b must lie in \(0, 1\), got 0"),
        ({"q2": 0.0}, "q2 must be positive .* got 0"),
        ({"t": -0.1}, r"t must be at most t_min = -0.15\d+ .* got -0.1"),
        ({"t": -9.0}, r"t must be at least t_max = -5.9\d+ .* got -9"),
        ({"phi": np.nan}, "phi must be finite, got nan"),
        ({"t": [[-0.2, np.inf]]}, "t must be finite, got inf"),
    ],
)
def test_bad_kinematics_are_refused(change, message):
    good = {"beam_energy": 5.75, "x_b": 0.36, "q2": 2.3, "t": -0.28, "phi": 0.0}
    with pytest.raises(ValueError, match=message):
        Kinematics(**good | change)


@pytest.mark.parametrize("t", [0.1, np.nan, [-1.0, 2.0]])
def test_timelike_form_factors_are_refused(t):
    for function in (sachs, dirac_pauli, dipole):
        with pytest.raises(ValueError, match="t must be a finite momentum transfer of at most 0"):
            function(t)
