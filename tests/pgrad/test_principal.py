import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pgrad
from pgrad import principal_weights, random_walk_spectrum
from pgrad.reference import principal_gradient

SETTINGS = settings(max_examples=60, deadline=None)


def points(steps, d, rank, scale, seed):
    """[T+1, d] float64: a random walk in a subspace of the chosen rank, of the chosen size, from the origin."""
    generator = torch.Generator().manual_seed(seed)
    walk = torch.randn(steps, rank, generator=generator, dtype=torch.float64).cumsum(0)
    x = walk @ torch.randn(rank, d, generator=generator, dtype=torch.float64) * scale
    return torch.cat([torch.zeros(1, d, dtype=torch.float64), x])


problems = st.builds(
    points,
    steps=st.integers(1, 12),
    d=st.integers(15, 60),
    rank=st.integers(1, 14),
    scale=st.integers(-10, 15).map(lambda e: 10.0**e),
    seed=st.integers(0, 10_000),
)


def gradient(x, n_components=None):
    return x.T @ principal_weights(x @ x.T, n_components).weights


@SETTINGS
@given(problems, st.sampled_from([1, 2, 4, None]))
def test_the_weights_give_the_dense_principal_gradient(x, k):
    # Directions whose eigenvalue ties or whose sign hangs on round-off have no answer: random walks have none.
    # The spectrum falls by at most a few orders of magnitude, so float64 leaves 1e-10.
    expected = principal_gradient(x, k)
    assert torch.allclose(gradient(x, k), expected, rtol=0, atol=1e-10 * float(expected.norm()))


@SETTINGS
@given(problems, st.sampled_from([1, 4, None]))
def test_the_norm_is_the_way_from_start_to_end(x, k):
    record = principal_weights(x @ x.T, k)
    length = float(x[-1].norm())
    assert record.length == pytest.approx(length, rel=1e-9)
    assert float((x.T @ record.weights).norm()) == pytest.approx(length, rel=1e-8)


@SETTINGS
@given(problems, st.integers(-8, 8))
def test_scaling_the_displacements_scales_the_gradient(x, exponent):
    factor = 2.0**exponent  # a power of two: nothing is rounded
    assert torch.allclose(gradient(x * factor, 4), factor * gradient(x, 4), rtol=1e-9, atol=0)


@SETTINGS
@given(problems)
def test_rotating_the_parameters_rotates_the_gradient(x):
    d = x.shape[1]
    rotation, _ = torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(d), dtype=x.dtype))
    expected = gradient(x, 4) @ rotation
    assert torch.allclose(gradient(x @ rotation, 4), expected, rtol=0, atol=1e-8 * float(expected.norm()))


@SETTINGS
@given(problems)
def test_every_direction_lies_on_the_side_of_the_way_back(x):
    # <g, theta_0 - theta_T> is a sum of non-negative terms, one for each direction.
    assert principal_weights(x @ x.T).cosine >= 0


@pytest.mark.parametrize("k", [1, 4, None])
def test_one_step_is_the_step(k):
    x = torch.tensor([[0.0, 0.0], [3.0, -4.0]], dtype=torch.float64)
    assert torch.allclose(gradient(x, k), torch.tensor([-3.0, 4.0], dtype=torch.float64))


@pytest.mark.parametrize("k", [1, 4, None])
def test_a_straight_line_is_the_way_back(k):
    direction = torch.randn(7, dtype=torch.float64)
    x = torch.tensor([0.0, 1.0, 1.5, 4.0, 4.5], dtype=torch.float64)[:, None] * direction
    assert torch.allclose(gradient(x, k), -x[-1], rtol=1e-7)


def test_a_hand_computed_right_angle():
    # Points (0,0), (2,0), (2,1). Centred: (-4,-1)/3, (2,-1)/3, (2,2)/3; covariance sums 8/3, 2/3, off-diagonal 2/3:
    # eigenvalues (5 +- sqrt(13))/3, directions proportional to (2, -3 +- sqrt(13)).
    x = torch.tensor([[0.0, 0.0], [2.0, 0.0], [2.0, 1.0]], dtype=torch.float64)
    root = math.sqrt(13)
    eigenvalues = torch.tensor([(5 + root) / 3, (5 - root) / 3], dtype=torch.float64)
    directions = torch.tensor([[2, -3 + root], [2, -3 - root]], dtype=torch.float64)
    directions /= directions.norm(dim=1, keepdim=True)
    back = -x[-1]
    signs = torch.sign(directions @ back)
    expected = (eigenvalues / eigenvalues.norm() * signs) @ directions * back.norm()

    record = principal_weights(x @ x.T)
    assert torch.allclose(record.eigenvalues, eigenvalues)
    assert torch.allclose(x.T @ record.weights, expected)
    assert torch.allclose(x.T @ principal_weights(x @ x.T, 1).weights, signs[0] * directions[0] * back.norm())
    assert record.cosine == pytest.approx(float(expected @ back / (expected.norm() * back.norm())))


def test_no_movement_gives_zero_and_never_nan():
    record = principal_weights(torch.zeros(5, 5))
    for tensor in (record.weights, record.eigenvalues, record.explained_variance_ratio, record.step_cosines):
        assert tensor.tolist() == [0.0] * len(tensor)
    assert (record.length, record.cosine, record.n_components) == (0.0, 0.0, 0)


def test_a_closed_loop_gives_zero():
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    record = principal_weights(x @ x.T)
    assert record.weights.tolist() == [0.0] * 4
    assert (record.length, record.cosine) == (0.0, 0.0)


def test_a_sign_of_zero_is_minus_one():
    # theta_0 - theta_T = (2, 0) is at a right angle to the second direction, the y axis, with eigenvector (-1, 2, -1).
    x = torch.tensor([[0.0, 0.0], [-1.0, 0.5], [-2.0, 0.0]], dtype=torch.float64)
    record = principal_weights(x @ x.T)
    assert record.signs[1] == -1
    lam = torch.tensor([2.0, 1 / 6], dtype=torch.float64)
    expected = 2 * lam / lam.norm() * torch.tensor([1.0, -1.0], dtype=torch.float64)
    assert torch.allclose(x.T @ record.weights, expected)
    assert torch.allclose(principal_gradient(x), expected)


def test_diagnostics_against_the_vectors_themselves():
    x = points(6, 40, 6, 1.0, 3)
    record = principal_weights(x @ x.T, 2)
    g = x.T @ record.weights
    cosine = torch.nn.functional.cosine_similarity
    assert record.cosine == pytest.approx(float(cosine(g, -x[-1], dim=0)))
    assert torch.allclose(record.step_cosines, cosine(g[None], x[:-1] - x[1:]))
    centred = x - x.mean(0)
    singular = torch.linalg.svdvals(centred)[:6]
    assert torch.allclose(record.eigenvalues, singular**2)
    assert torch.allclose(record.explained_variance_ratio, singular**2 / (centred**2).sum())
    assert "steps=6, n_components=2" in repr(record)


def test_directions_at_round_off_do_not_count():
    x = points(8, 30, 3, 1.0, 0)
    assert principal_weights(x @ x.T).n_components == 3
    assert principal_weights(x @ x.T, 2).n_components == 2
    assert principal_weights((x @ x.T).float()).n_components == 3
    assert principal_weights(x @ x.T, rtol=0.9).n_components == 1


@pytest.mark.parametrize("steps", [1, 2, 9, 40])
def test_the_null_is_the_spectrum_of_long_random_walks(steps):
    walk = torch.randn(steps, 200_000, generator=torch.Generator().manual_seed(1)).double().cumsum(0)
    x = torch.cat([torch.zeros(1, 200_000), walk])
    found = principal_weights(x @ x.T).explained_variance_ratio
    # The relative deviation of each eigenvalue is about sqrt(2 / d) = 0.3 %, and neighbours repel.
    assert torch.allclose(random_walk_spectrum(steps), found, rtol=0.05, atol=1e-3)


def test_the_null_tends_to_six_over_pi_squared():
    assert float(random_walk_spectrum(2000)[0]) == pytest.approx(6 / math.pi**2, rel=1e-3)
    assert float(random_walk_spectrum(17).sum()) == pytest.approx(1.0)
    assert torch.equal(principal_weights(torch.eye(4)).null_explained_variance_ratio, random_walk_spectrum(3))


GRAM = torch.eye(3)
BAD = [
    ((GRAM.numpy(), 1), TypeError, "gram must be a real floating-point tensor, got ndarray"),
    ((GRAM.long(), 1), TypeError, "gram must be a real floating-point tensor, got a torch.int64 tensor"),
    ((GRAM.cfloat(), 1), TypeError, "complex64"),
    ((GRAM[:2], 1), ValueError, r"gram must be square.*\(2, 3\)"),
    ((GRAM[:1, :1], 1), ValueError, "at least 2 rows"),
    ((GRAM[0], 1), ValueError, r"square.*\(3,\)"),
    ((GRAM * math.nan, 1), ValueError, "gram must be finite"),
    ((GRAM * math.inf, 1), ValueError, "gram must be finite"),
    ((torch.tensor([[0.0, 1.0], [0.0, 1.0]]), 1), ValueError, "symmetric"),
    ((-GRAM, 1), ValueError, "non-negative diagonal"),
    ((GRAM, 0), ValueError, "n_components must be at least 1.*got 0"),
    ((GRAM, -3), ValueError, "got -3"),
    ((GRAM, 2.0), TypeError, "n_components must be a positive int.*got 2.0"),
    ((GRAM, True), TypeError, "got True"),
]


@pytest.mark.parametrize(("arguments", "error", "pattern"), BAD)
def test_bad_input(arguments, error, pattern):
    with pytest.raises(error, match=pattern):
        principal_weights(*arguments)


@pytest.mark.parametrize("rtol", [-1e-3, 1.0, math.nan])
def test_bad_rtol(rtol):
    with pytest.raises(ValueError, match="rtol must be in"):
        principal_weights(GRAM, rtol=rtol)


@pytest.mark.parametrize(("steps", "error"), [(0, ValueError), (-1, ValueError), (2.0, TypeError), (True, TypeError)])
def test_bad_steps(steps, error):
    with pytest.raises(error, match="steps must be"):
        random_walk_spectrum(steps)


def test_the_record_cannot_be_changed():
    record = principal_weights(GRAM)
    with pytest.raises(AttributeError):
        record.length = 2.0
    assert isinstance(record, pgrad.PrincipalWeights)
