"""Trace and spectral density against the dense spectrum."""

import pytest
import torch
from torch import nn

from pgrad import analysis
from tests.pgrad.analysis.small import batches, dense_hessian, network

cross_entropy = nn.functional.cross_entropy


@pytest.fixture
def hessian():
    return analysis.Hessian(network(), cross_entropy, batches())


@pytest.fixture
def spectrum(hessian):
    return torch.linalg.eigvalsh(dense_hessian(hessian.objective.model, cross_entropy, batches()))


def test_the_trace_is_within_its_error(hessian, spectrum):
    found = analysis.trace(hessian, samples=200)
    assert abs(found.value - float(spectrum.sum())) < 4 * found.standard_error
    assert analysis.trace(hessian, samples=1).standard_error == float("inf")
    assert analysis.trace(hessian, 5, seed=1) == analysis.trace(hessian, 5, seed=1)


def test_full_quadrature_has_every_moment_of_each_vector(hessian, spectrum):
    """With as many steps as parameters, the nodes are the eigenvalues."""
    found = analysis.density(hessian, steps=43, samples=20)
    torch.testing.assert_close(found.weights.sum(1), torch.ones(20).double())
    for node, weight in zip(found.nodes.reshape(-1), found.weights.reshape(-1), strict=True):
        assert weight < 1e-6 or (spectrum - node).abs().min() < 1e-5 * spectrum.abs().max()
    for power in (1, 2, 3):
        moment = found.moment(power)
        assert abs(moment.value - float((spectrum**power).mean())) < 4 * moment.standard_error


def test_few_steps_have_the_first_moments_exactly(hessian):
    """m steps: z' M^p z of each vector up to p = 2m - 1, here against products."""
    few, many = (analysis.density(hessian, steps=steps, samples=3, seed=5) for steps in (4, 20))
    for power in range(1, 8):
        torch.testing.assert_close(
            (few.weights * few.nodes**power).sum(1), (many.weights * many.nodes**power).sum(1), rtol=1e-8, atol=1e-12
        )


def test_the_density_integrates_to_one_and_counts_large_eigenvalues(hessian, spectrum):
    found = analysis.density(hessian, steps=30, samples=25)
    places = torch.linspace(-2, 2, 4001)
    drawn = found.at(places, width=0.02)
    assert float(drawn.sum() * (places[1] - places[0])) == pytest.approx(1, abs=1e-3)
    gap = float(spectrum[-4:-2].mean())
    share = found.share_above(gap)
    assert abs(share.value - 3 / 43) < 4 * share.standard_error
    with pytest.raises(ValueError, match="width must be above 0"):
        found.at(places, 0.0)


def test_a_krylov_space_that_ends_early_is_no_failure():
    model = nn.Linear(3, 1, bias=False).double()
    hessian = analysis.Hessian(model, lambda z, y: z.square().mean() / 2, [(torch.eye(3).double(), torch.zeros(3))])
    found = analysis.density(hessian, steps=3, samples=2)
    torch.testing.assert_close((found.weights * found.nodes).sum(1), torch.full((2,), 1 / 3).double())


def test_numbers_are_checked(hessian):
    with pytest.raises(ValueError, match="steps must be from 1 to the number of parameters, 43, got 44"):
        analysis.density(hessian, steps=44)
    with pytest.raises(ValueError, match="samples must be from 1"):
        analysis.trace(hessian, samples=0)


def test_the_cost_is_said_before(hessian, capsys):
    analysis.density(hessian, steps=5, samples=2, progress=True)
    assert capsys.readouterr().err.startswith("spectral density of the Hessian: 10 products, about 30 gradients")
