"""The pseudo-measurements: their statistics, their inputs, the loss and the metric."""

import itertools

import numpy as np
import pytest
import torch

from benchmarks.datasets.bethe_heitler import (
    EFFICIENCY_ERROR,
    ENTRIES,
    SETTINGS,
    Y_MAX,
    bethe_heitler_physics,
    bethe_heitler_plain,
    measure,
    negative_rms_pull,
    pull_loss,
    standardise,
)
from benchmarks.physics import Kinematics, cross_section
from benchmarks.physics.constants import PROTON_MASS
from benchmarks.runs.protocol import fitted, leave_out


@pytest.fixture(scope="module")
def measurements():
    return {name: measure(name) for name in SETTINGS}


def test_the_truth_is_within_one_error_in_68_per_cent(measurements):
    pull = np.concatenate([(found.value - found.truth) / found.error for found in measurements.values()])
    n = len(pull)
    assert n > 2000
    assert np.mean(np.abs(pull) < 1) == pytest.approx(0.683, abs=4 * (0.683 * 0.317 / n) ** 0.5)
    assert np.mean(np.abs(pull) < 2) == pytest.approx(0.954, abs=4 * (0.954 * 0.046 / n) ** 0.5)
    assert np.mean(pull) == pytest.approx(0, abs=4 / n**0.5)
    assert np.sqrt(np.mean(pull**2)) == pytest.approx(1, abs=4 / (2 * n) ** 0.5)


def test_errors_are_those_of_whole_events(measurements):
    for found in measurements.values():
        events = 1 / (found.error**2 - EFFICIENCY_ERROR**2)
        np.testing.assert_allclose(events, np.round(events), rtol=1e-6)
        assert events.min() >= 20
        # As many as the cross section says: expected ones differ between bins by an exposure that is the same for all.
        exposure = events.sum() / np.exp(found.truth).sum()
        expected = exposure * np.exp(found.truth)
        assert np.mean((events - expected) ** 2 / expected) == pytest.approx(1, abs=6 * (2 / len(events)) ** 0.5)


def test_noise_of_neighbouring_bins_is_independent(measurements):
    for found in measurements.values():
        pull = (found.value - found.truth) / found.error
        for lag in (1, 12):
            assert abs(np.corrcoef(pull[lag:], pull[:-lag])[0, 1]) < 4 / len(pull) ** 0.5


def test_measuring_twice_finds_the_same_events():
    first, second = measure("28 GeV, low x"), measure("28 GeV, low x")
    assert np.array_equal(first.value, second.value)
    assert np.array_equal(first.error, second.error)


def test_settings_do_not_overlap():
    for one, other in itertools.combinations(SETTINGS.values(), 2):
        apart = one.x_b[1] <= other.x_b[0] or other.x_b[1] <= one.x_b[0]
        assert one.beam_energy != other.beam_energy or apart


def test_plain_inputs_are_the_kinematics_of_the_truth(measurements):
    for domain, (name, found) in zip(bethe_heitler_plain().domains, measurements.items(), strict=True):
        assert domain.name == name
        point = Kinematics(*domain.inputs.double().numpy().T)
        assert (point.y < Y_MAX).all()
        np.testing.assert_allclose(np.log(cross_section(point)), found.truth, atol=1e-4)
        np.testing.assert_allclose(domain.labels.numpy(), np.stack([found.value, found.error], axis=1), rtol=1e-6)


def test_physics_inputs_hold_what_the_plain_ones_say():
    for plain, physics in zip(bethe_heitler_plain().domains, bethe_heitler_physics().domains, strict=True):
        energy, x, q2, t, phi = plain.inputs.double().numpy().T
        columns = physics.inputs.double().numpy().T
        expected = {
            0: q2 / (2 * PROTON_MASS * energy * x),
            1: 2 * x * PROTON_MASS / np.sqrt(q2),
            2: -t / q2,
            4: np.cos(phi),
            5: 2 * np.cos(phi) ** 2 - 1,
            7: -2 * np.log(1 - t / 0.71),
            8: np.log(x),
            9: np.log(q2),
            10: np.log(-t),
        }
        for column, values in expected.items():
            np.testing.assert_allclose(columns[column], values, rtol=1e-4, atol=1e-5)
        assert torch.equal(plain.labels, physics.labels)
        assert plain.name == physics.name


def test_the_logarithms_and_the_flux_leave_a_slow_function(measurements):
    # |T|^2 t P1 P2 and the dipole squared: what is left to learn varies by less than e^2 where the cross section
    # itself varies by e^13.
    left = []
    for physics, found in zip(bethe_heitler_physics().domains, measurements.values(), strict=True):
        p1p2, dipole, x, q2, t = physics.inputs.double().numpy().T[6:]
        left.append(found.truth + p1p2 - 2 * dipole + x + 2 * q2 + t)
    assert np.ptp(np.concatenate([found.truth for found in measurements.values()])) > 12
    assert np.ptp(np.concatenate(left)) < 4


@pytest.mark.parametrize("name", ENTRIES)
def test_entry_and_data_agree(name):
    entry = ENTRIES[name]
    data = entry.factory()
    assert data.names == entry.domains
    assert data.n_outputs == 1
    for domain in data.domains:
        assert 300 <= len(domain) <= 400
        assert domain.inputs.shape[1:] == data.input_shape
        assert domain.inputs.dtype == domain.labels.dtype == torch.float32
        assert torch.isfinite(domain.inputs).all()
        assert torch.isfinite(domain.labels).all()


@pytest.mark.parametrize("name", ENTRIES)
def test_standardisation_knows_the_training_parts_alone(name):
    split = leave_out(ENTRIES[name].factory(), ["28 GeV, low x"], seed=0)
    inputs = fitted(split, ENTRIES[name].fit)
    torch.testing.assert_close(inputs.inputs.mean(dim=0), torch.zeros(inputs.inputs.shape[1]), atol=1e-4, rtol=0)
    torch.testing.assert_close(inputs.inputs.std(dim=0, correction=0), torch.ones(inputs.inputs.shape[1]))
    changed = split.held_out[0].inputs + 100
    learned = ENTRIES[name].fit(split.inputs, split.labels)
    torch.testing.assert_close(
        learned(changed) - learned(changed - 100), 100 / split.inputs.std(0, correction=0) + 0 * changed
    )


def test_constant_columns_become_zero():
    inputs = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
    learned = standardise(inputs, torch.zeros(2, 2))
    assert learned(inputs).tolist() == [[-1.0, 0.0], [1.0, 0.0]]


def labels_of(*pairs):
    return torch.tensor(pairs)


def test_loss_is_huber_of_the_pull():
    labels = labels_of((1.0, 0.5), (1.0, 0.5), (0.0, 0.1))
    outputs = torch.tensor([[1.0], [2.0], [-2.0]])  # pulls 0, 2 and -20
    expected = 0.05 * torch.tensor([0.0, 2**2 / 10, 20 - 2.5])
    torch.testing.assert_close(pull_loss(outputs, labels, reduction="none"), expected)
    torch.testing.assert_close(pull_loss(outputs, labels), expected.mean())
    torch.testing.assert_close(pull_loss(outputs, labels, reduction="sum"), expected.sum())


def test_metric_of_the_truth_is_minus_one_and_a_shift_adds_in_quadrature(measurements):
    for found in measurements.values():
        labels = torch.tensor(np.stack([found.value, found.error], axis=1))
        truth = torch.tensor(found.truth)[:, None]
        level = negative_rms_pull(truth, labels)
        assert level == pytest.approx(-1, abs=4 / (2 * len(truth)) ** 0.5)
        shift = 7 * torch.tensor(found.error)[:, None]
        assert negative_rms_pull(truth + shift, labels) == pytest.approx(-(50**0.5), rel=0.05)
        assert negative_rms_pull(labels[:, :1], labels) == 0


@pytest.mark.parametrize(("outputs", "labels"), [((3,), (3, 2)), ((3, 2), (3, 2)), ((3, 1), (3,)), ((3, 1), (3, 3))])
def test_wrong_shapes_are_refused(outputs, labels):
    for function in (pull_loss, negative_rms_pull):
        with pytest.raises(ValueError, match=r"outputs must have the shape \[..., 1\] and labels \[..., 2\]"):
            function(torch.zeros(outputs), torch.ones(labels))
