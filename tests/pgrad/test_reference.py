"""The oracle against the textbook: the d x d covariance, which the paper's bijection avoids, by numpy."""

import numpy as np
import pytest
import torch

from pgrad.reference import principal_gradient


def textbook(points, n_components):
    covariance = np.cov(points.T)
    eigenvalues, vectors = np.linalg.eigh(covariance)
    eigenvalues, vectors = eigenvalues[::-1][:n_components], vectors[:, ::-1][:, :n_components]
    back = points[0] - points[-1]
    total = np.zeros(points.shape[1])
    for value, vector in zip(eigenvalues, vectors.T, strict=True):
        side = 1.0 if vector @ back > 0 else -1.0
        total += value / np.linalg.norm(eigenvalues) * side * vector
    return np.linalg.norm(back) * total


@pytest.mark.parametrize("k", [1, 2, 4, 7])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e12])
def test_equals_the_principal_components_of_the_covariance(k, scale):
    generator = np.random.default_rng(k)
    points = 5.0 + generator.standard_normal((8, 12)).cumsum(0) * scale
    expected = textbook(points, k)
    found = principal_gradient(torch.from_numpy(points), k).numpy()
    assert np.linalg.norm(found - expected) <= 1e-6 * np.linalg.norm(expected)


def test_where_the_walk_stands_does_not_matter():
    points = torch.randn(5, 6, dtype=torch.float64).cumsum(0)
    assert torch.allclose(principal_gradient(points + 3.0, 2), principal_gradient(points, 2))


def test_all_directions_is_the_default():
    points = torch.randn(5, 6, dtype=torch.float64).cumsum(0)
    assert torch.equal(principal_gradient(points), principal_gradient(points, 4))


def test_no_movement():
    assert principal_gradient(torch.ones(4, 3)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("points", [torch.ones(4), torch.ones(1, 4), torch.ones(2, 2, 2)])
def test_bad_points(points):
    with pytest.raises(ValueError, match=r"points must be \[T\+1, d\]"):
        principal_gradient(points)


def test_bad_n_components():
    with pytest.raises(ValueError, match="n_components must be at least 1"):
        principal_gradient(torch.ones(3, 3), 0)
