"""Noise and ignorance of straight-line fits, where both are known in closed form."""

import numpy as np
import pytest
import torch

from benchmarks.studies.physics.random_targets import redraw, separate

X = np.linspace(0, 1, 40)
NEW = np.linspace(1, 2, 25)
ERROR = 0.1 + 0.2 * X


def design(x):
    return np.stack([np.ones_like(x), x], axis=1)


# Weighted least squares: predictions at NEW are linear in the targets.
WEIGHTED = design(X) / ERROR[:, None]
HAT = design(NEW) @ np.linalg.pinv(WEIGHTED) / ERROR
UNIT = np.full(len(NEW), 0.5)


def study(truth, replicas, seed):
    rng = np.random.default_rng(seed)
    measured = truth(X) + ERROR * rng.standard_normal(len(X))
    labels = torch.tensor(np.stack([measured, ERROR], axis=1))
    generator = torch.Generator().manual_seed(seed)
    targets = np.stack([redraw(labels, generator)[:, 0].numpy() for _ in range(replicas)])
    return separate(targets @ HAT.T, truth(NEW), UNIT)


def test_noise_is_the_covariance_of_the_fit():
    found = study(lambda x: 1 - x, replicas=4000, seed=0)
    expected = np.mean(np.sum((HAT * ERROR) ** 2, axis=1) / UNIT**2) ** 0.5
    assert found.noise == pytest.approx(expected, rel=0.05)


def test_a_right_model_is_not_ignorant_and_a_wrong_one_is_as_much_as_it_is_biased():
    def line(x):
        return 2 - 3 * x

    def parabola(x):
        return 2 - 3 * x + x**2

    for truth in (line, parabola):
        bias2 = np.mean(((HAT @ truth(X) - truth(NEW)) / UNIT) ** 2)
        found = [study(truth, replicas=8, seed=seed) for seed in range(400)]
        estimated = np.mean([each.deviation**2 - each.noise**2 * (1 + 1 / 8) for each in found])
        assert estimated == pytest.approx(bias2, abs=0.06)
        for each in found:
            assert each.ignorance**2 == pytest.approx(max(0, each.deviation**2 - each.noise**2 * 9 / 8))
    assert bias2 > 1  # the parabola's


def test_redrawn_targets_scatter_by_their_errors():
    labels = torch.stack([torch.arange(5.0), torch.tensor([0.1, 0.2, 0.5, 1.0, 3.0])], dim=1)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([redraw(labels, generator) for _ in range(4000)])
    assert torch.equal(drawn[0, :, 1], labels[:, 1])
    torch.testing.assert_close(drawn[:, :, 0].std(dim=0), labels[:, 1], rtol=0.05, atol=0)
    pull = (drawn[:, :, 0].mean(dim=0) - labels[:, 0]) / labels[:, 1] * 4000**0.5
    assert pull.abs().max() < 4


@pytest.mark.parametrize(
    ("predictions", "truth", "error", "message"),
    [
        (np.ones((1, 3)), np.ones(3), np.ones(3), r"replicas >= 2, n\], got \(1, 3\)"),
        (np.ones((2, 3)), np.ones(4), np.ones(3), r"shape \(3,\) .* got \(4,\) and \(3,\)"),
        (np.ones((2, 3)), np.ones(3), np.array([1, 0, 1]), "error must be positive, got 0"),
    ],
)
def test_bad_replicas_are_refused(predictions, truth, error, message):
    with pytest.raises(ValueError, match=message):
        separate(predictions, truth, error)


def test_bad_labels_are_refused():
    with pytest.raises(ValueError, match=r"labels must have the shape \[n, 2\] .* got \(3,\)"):
        redraw(torch.ones(3), torch.Generator())
