"""Overlaps, nulls and angles against dense projections, exact distributions and brute force."""

import itertools
import math

import pytest
import torch
from torch import nn

import pgrad
from pgrad import analysis
from tests.pgrad import problems
from tests.pgrad.analysis.small import as_function, batches, network, vector


def orthonormal(rows, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(size, rows, generator=generator, dtype=torch.float64))[0].T


def walk(steps=6, size=20, seed=0, drift=0.0):
    generator = torch.Generator().manual_seed(seed)
    increments = torch.randn(steps, size, generator=generator, dtype=torch.float64) + drift
    return torch.cat([torch.zeros(1, size, dtype=torch.float64), increments.cumsum(0)]) + 3.0


# ----------------------------------------------------------------------------------------------------------- points


def test_points_are_those_of_every_roll_out():
    net = problems.model(torch.float64)
    opt = pgrad.PGrad(net.parameters(), lr=1e-2, rollout_length=3, outer_lr=0.5)
    problems.train(net, opt, 0, 1)
    points = analysis.Points(opt, net.parameters(), last=2).attach()  # in the middle: the first roll-out is not whole
    problems.train(net, opt, 1, 3)
    assert not points.rollouts
    anchors = []
    for step in range(3, 12):
        if opt.rollout_position == 0:
            anchors.append(problems.vector(net))
        problems.train(net, opt, step, step + 1)
    assert [len(rollout) for rollout in points.rollouts] == [4, 4]
    for rollout, anchor in zip(points.rollouts, anchors[1:], strict=True):
        assert torch.equal(rollout[0], anchor)
    x = points.rollouts[-1] - points.rollouts[-1][0]
    torch.testing.assert_close(x @ x.T, opt.last_update.gram)
    problems.train(net, opt, 12, 14)
    opt.discard_rollout()
    problems.train(net, opt, 14, 16)
    opt.finish_rollout()
    assert [len(rollout) for rollout in points.rollouts] == [4, 3]
    points.detach()
    problems.train(net, opt, 16, 19)
    assert [len(rollout) for rollout in points.rollouts] == [4, 3]


def test_principal_directions_are_those_of_a_singular_value_decomposition():
    points = walk(drift=0.3)
    found = analysis.principal_directions(points, 4)
    _, values, rows = torch.linalg.svd(points - points.mean(0), full_matrices=False)
    torch.testing.assert_close(found.variances, values[:4] ** 2)
    torch.testing.assert_close(found.shares, (values**2 / (values**2).sum())[:4])
    torch.testing.assert_close((found.directions @ rows[:4].T).abs(), torch.eye(4).double(), rtol=0, atol=1e-9)
    towards = found.directions @ (points[0] - points[-1])
    assert (towards >= 0).all()
    g = (towards.sign() * found.variances / found.variances.norm()) @ found.directions
    length = (points[0] - points[-1]).norm()
    torch.testing.assert_close(length * g, pgrad.reference.principal_gradient(points, 4))


# --------------------------------------------------------------------------------------------------------- overlaps


def test_overlap_is_the_square_of_a_projection():
    basis, directions = orthonormal(4, 20), torch.randn(3, 20, dtype=torch.float64)
    projected = directions @ (basis.T @ basis)
    expected = projected.square().sum(1) / directions.square().sum(1)
    torch.testing.assert_close(analysis.overlap(directions, basis), expected)
    torch.testing.assert_close(analysis.overlap(7 * directions, basis), expected)
    rotation = orthonormal(20, 20, seed=5)
    torch.testing.assert_close(analysis.overlap(directions @ rotation, basis @ rotation), expected)
    order = torch.randperm(20)
    torch.testing.assert_close(analysis.overlap(directions[:, order], basis[:, order]), expected)
    torch.testing.assert_close(analysis.overlap(basis[:2], basis), torch.ones(2).double())


def test_principal_angles():
    one, other = orthonormal(3, 20, seed=1), orthonormal(2, 20, seed=2)
    found = analysis.principal_angles(one, other)
    torch.testing.assert_close(found.cos().flip(0).sort().values, torch.linalg.svdvals(one @ other.T).sort().values)
    assert found[0] <= found[1]
    torch.testing.assert_close(analysis.overlap(other, one).mean(), found.cos().square().mean())


# ------------------------------------------------------------------------------------------------------------ nulls


@pytest.mark.parametrize(("m", "k"), [(3, 1), (3, 2), (1, 4)])
def test_the_random_null_is_that_of_drawn_directions(m, k):
    size = 12
    null = analysis.random_null(size, m, k, draws=20_000)
    gaussian = torch.randn(20_000, size, k, dtype=torch.float64)
    frames = torch.linalg.qr(gaussian)[0]
    shares = frames[:, :m].square().sum(1).mean(1)
    assert null.mean == m / size
    assert float(shares.mean()) == pytest.approx(null.mean, abs=5e-3)
    assert float((shares < null.low).double().mean()) == pytest.approx(0.025, abs=5e-3)
    assert float((shares > null.high).double().mean()) == pytest.approx(0.025, abs=5e-3)


def test_the_mirrored_null_has_the_exact_mean_and_the_same_gram_matrix():
    """All signs of a few coordinates at once: the mean over every one of them."""
    points, basis = walk(size=6, drift=0.5), orthonormal(2, 6)
    null = analysis.mirrored_null(points, basis, 2, draws=2000)
    shares = []
    for number in range(2**6):
        signs = torch.tensor([1.0 if number >> bit & 1 else -1.0 for bit in range(6)]).double()
        found = analysis.principal_directions(points * signs, 2).directions
        shares.append(analysis.overlap(found, basis).mean())
    shares = torch.stack(shares)
    assert float(shares.mean()) == pytest.approx(null.mean, rel=1e-9)
    low, high = torch.quantile(shares, torch.tensor([0.025, 0.975]).double()).tolist()
    assert null.low == pytest.approx(low, abs=0.05)
    assert null.high == pytest.approx(high, abs=0.05)


def test_a_drift_along_the_subspace_is_above_the_walk_and_a_walk_is_not():
    basis = orthonormal(1, 200)
    drifting = walk(size=200) + torch.arange(7).double()[:, None] * 5 * basis
    share = float(analysis.overlap(analysis.principal_directions(drifting, 1).directions, basis).mean())
    null = analysis.walk_null(drifting, basis, momentum=0.0, draws=100)
    assert share > null.high
    inside = 0
    for seed in range(40):
        points = walk(size=200, seed=seed)
        share = float(analysis.overlap(analysis.principal_directions(points, 1).directions, basis).mean())
        null = analysis.walk_null(points, basis, momentum=0.0, draws=60)
        inside += null.low <= share <= null.high
    assert inside >= 33  # of 40 at 95 %


def test_the_walk_keeps_what_each_coordinate_moved():
    """Coordinates that never moved have no part in any walk."""
    points = walk(size=20)
    points[:, 5:] = 1.0
    resting = torch.eye(20, dtype=torch.float64)[5:]
    assert analysis.walk_null(points, resting, draws=5).high < 1e-12
    assert analysis.mirrored_null(points, resting, draws=5).high < 1e-12


def test_the_walk_carries_momentum_over():
    """The mean over every sign of every innovation."""
    points = torch.tensor([[0.0, 0.0], [1.0, 0.5], [2.4, 1.1], [3.6, 1.2]], dtype=torch.float64)
    basis = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    steps = points.diff(dim=0)
    for beta in (0.0, 0.5, 0.95):
        shares = []
        for signs in itertools.product([1.0, -1.0], repeat=6):
            drawn = torch.tensor(signs, dtype=torch.float64).view(3, 2)
            one = drawn[0] * steps[0]
            two = drawn[1] * (steps[1] - beta * steps[0]) + beta * one
            three = drawn[2] * (steps[2] - beta * steps[1]) + beta * two
            walk = torch.stack([torch.zeros(2).double(), one, one + two, one + two + three])
            first = torch.linalg.svd(walk - walk.mean(0)).Vh[0]
            shares.append(float(first[0]) ** 2)
        generator = torch.Generator().manual_seed(0)
        null = analysis.walk_null(points, basis, momentum=beta, draws=2000, generator=generator)
        assert null.mean == pytest.approx(sum(shares) / len(shares), abs=0.02)


def test_momentum_is_measured():
    generator = torch.Generator().manual_seed(3)
    steps = [torch.randn(5000, generator=generator, dtype=torch.float64)]
    for _ in range(8):
        steps.append(0.9 * steps[-1] + torch.randn(5000, generator=generator, dtype=torch.float64))
    points = torch.cat([torch.zeros(1, 5000).double(), torch.stack(steps).cumsum(0)])
    assert analysis.measured_momentum(points) == pytest.approx(0.9, abs=0.02)
    assert analysis.measured_momentum(walk(size=5000)) == pytest.approx(0.0, abs=0.05)
    assert analysis.measured_momentum(torch.zeros(4, 3)) == 0


def test_the_bootstrap_covers_the_mean():
    generator = torch.Generator().manual_seed(0)
    covered = 0
    for _ in range(200):
        found = analysis.bootstrap(torch.randn(40, generator=generator), draws=400, generator=generator)
        covered += found.low <= 0 <= found.high
    assert 175 <= covered <= 199
    values = torch.arange(30.0)
    wide = analysis.bootstrap(values, block=10, generator=generator)
    narrow = analysis.bootstrap(values, generator=generator)
    assert wide.mean == narrow.mean == pytest.approx(14.5)
    assert wide.high - wide.low > narrow.high - narrow.low
    alternating = analysis.bootstrap(torch.tensor([1.0, -1.0] * 15), block=2, generator=generator)
    assert (alternating.low, alternating.high) == (0, 0)  # any two neighbours cancel


# -------------------------------------------------------------------------------------------------------- gradients


def test_alignment_is_that_of_the_gradients():
    model = network()
    domains = {name: batches(seed=seed) for seed, name in enumerate("abc")}
    found = analysis.alignment(model, nn.functional.cross_entropy, domains)
    gradients = torch.stack(
        [
            torch.func.grad(as_function(model, nn.functional.cross_entropy, pairs))(vector(model))
            for pairs in domains.values()
        ]
    )
    torch.testing.assert_close(found.gram, gradients @ gradients.T)
    expected = torch.stack([gradients[i] @ gradients[j] for i, j in [(0, 1), (0, 2), (1, 2)]]).mean()
    assert found.inner_product == pytest.approx(float(expected))
    torch.testing.assert_close(found.cosines.diagonal(), torch.ones(3).double())
    assert found.names == ("a", "b", "c")


def test_the_noise_scale_of_gradients_with_a_known_covariance():
    """Loss theta . x: the gradient of an example is x, of which mean and covariance are set."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(60_000, 3, generator=generator, dtype=torch.float64) * torch.tensor([1.0, 2.0, 0.5]).double()
    inputs[:, 0] += 2.0
    model = nn.Linear(3, 1, bias=False).double()
    pairs = [(part, part) for part in (*inputs[:30_000].split(20), *inputs[30_000:].split(100))]
    found = analysis.noise_scale(model, lambda outputs, _: outputs.mean(), pairs)
    assert found.gradient_square == pytest.approx(4.0, rel=0.03)
    assert found.variance == pytest.approx(1 + 4 + 0.25, rel=0.1)
    assert found.scale == pytest.approx(5.25 / 4, rel=0.12)
    assert analysis.NoiseScale(-1.0, 1.0).scale == math.inf


def test_the_noise_scale_is_without_bias():
    """Four examples with the gradients 2 and -1, in all ways: variance 9/4 and squared mean 1/4 on average, exactly."""
    model = nn.Linear(1, 1, bias=False).double()
    found = []
    for values in itertools.product([2.0, -1.0], repeat=4):
        inputs = torch.tensor(values, dtype=torch.float64)[:, None]
        pairs = [(inputs[:1], inputs[:1]), (inputs[1:], inputs[1:])]
        found.append(analysis.noise_scale(model, lambda outputs, _: outputs.mean(), pairs))
    assert sum(each.variance for each in found) / 16 == pytest.approx(9 / 4)
    assert sum(each.gradient_square for each in found) / 16 == pytest.approx(1 / 4)


def test_bad_input():
    net = problems.model()
    with pytest.raises(TypeError, match=r"opt must be a pgrad\.PGrad, got SGD"):
        analysis.Points(torch.optim.SGD(net.parameters(), lr=1e-2), net.parameters())
    with pytest.raises(TypeError, match=r"opt must be a pgrad\.PGrad, got int"):
        analysis.Points(3, net.parameters())
    opt = pgrad.PGrad(net.parameters(), lr=1e-2, rollout_length=2)
    with pytest.raises(ValueError, match="last must be at least 1"):
        analysis.Points(opt, net.parameters(), last=0)
    with pytest.raises(ValueError, match="at least one parameter"):
        analysis.Points(opt, [])
    with pytest.raises(ValueError, match="points are all the same"):
        analysis.principal_directions(torch.ones(3, 4))
    with pytest.raises(ValueError, match=r"points must be \[T\+1, d\]"):
        analysis.principal_directions(torch.ones(3))
    with pytest.raises(ValueError, match="rows of the same size"):
        analysis.overlap(torch.ones(1, 3), torch.eye(4))
    with pytest.raises(ValueError, match="orthonormal rows, got products that are off by 3"):
        analysis.overlap(torch.ones(1, 3), 2 * torch.eye(3))
    with pytest.raises(ValueError, match="directions must not be zero"):
        analysis.overlap(torch.zeros(1, 3), torch.eye(3))
    with pytest.raises(ValueError, match=r"m \+ k <= size"):
        analysis.random_null(10, 10)
    with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\)"):
        analysis.walk_null(walk(), orthonormal(2, 20), momentum=1.0)
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        analysis.bootstrap(torch.ones(3), level=95)
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        analysis.random_null(10, 2, level=95)
    for null in (analysis.mirrored_null, analysis.walk_null):
        with pytest.raises(ValueError, match="draws must be at least 1, got 0"):
            null(walk(), orthonormal(2, 20), draws=0)
    with pytest.raises(ValueError, match="block must be from 1"):
        analysis.bootstrap(torch.ones(3), block=4)
    with pytest.raises(ValueError, match="at least two finite numbers"):
        analysis.bootstrap(torch.tensor([1.0, float("nan")]))
    with pytest.raises(ValueError, match="at least one domain"):
        analysis.alignment(network(), nn.functional.cross_entropy, {})
    with pytest.raises(ValueError, match="batches must be at least two"):
        analysis.noise_scale(network(), nn.functional.cross_entropy, batches()[:1])
