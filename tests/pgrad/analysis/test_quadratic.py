"""The theory page, against the optimizer: a quadratic in a rotated basis, where every term is known."""

import itertools
import math

import pytest
import torch
from torch import nn

import pgrad
from pgrad import analysis

CURVATURES = torch.tensor([4.0, 2.0, 1.0, 0.5, 0.1], dtype=torch.float64)
BASIS = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0]
HESSIAN = BASIS @ CURVATURES.diag() @ BASIS.T
START = torch.tensor([0.3, -1.0, 0.7, 1.5, -2.0], dtype=torch.float64)  # a, in the eigenbasis


def roll_out(start=START, lr=0.1, steps=6, hessians=(HESSIAN,), centres=(0.0,), n_components=4):
    """PGrad around gradient descent from BASIS @ start; returns points [T+1, d], the outer gradient and the record."""
    theta = nn.Parameter(BASIS @ start)
    opt = pgrad.PGrad(
        [theta], lr=lr, rollout_length=steps, n_components=n_components, inner=torch.optim.SGD, outer_lr=1.0
    )
    anchor = theta.detach().clone()
    with analysis.Points(opt, [theta]).attach() as points:
        for step in range(steps):
            opt.zero_grad()
            away = theta - centres[step % len(centres)]
            (0.5 * away @ hessians[step % len(hessians)] @ away).backward()
            opt.step()
    return points.rollouts[-1], anchor - theta.detach(), opt.last_update


def test_the_gram_matrix_is_the_closed_form():
    points, _, update = roll_out()
    powers = (1 - 0.1 * CURVATURES)[None] ** torch.arange(7)[:, None]
    phi = (1 - powers) * START
    torch.testing.assert_close(update.gram, phi @ phi.T)
    torch.testing.assert_close((points - points[0]) @ BASIS, -phi)


def test_the_principal_directions_are_eigenvectors_of_the_scatter():
    points, _, update = roll_out()
    scatter = START[:, None] * analysis.drift_scatter(CURVATURES, 0.1, 6) * START
    values, vectors = torch.linalg.eigh(scatter)
    torch.testing.assert_close(update.eigenvalues[:5], values.flip(0).clamp_min(0), rtol=1e-6, atol=1e-12)
    found = analysis.principal_directions(points, 2).directions @ BASIS
    torch.testing.assert_close((found @ vectors.flip(1)[:, :2]).abs(), torch.eye(2).double(), rtol=0, atol=1e-8)


def test_overlap_with_the_top_eigenspace_is_what_the_closed_form_says():
    """The instrument as a whole: the model's own Hessian, Lanczos, points, overlap."""
    model = nn.Linear(5, 1, bias=False).double()
    roots = (5 * CURVATURES).sqrt()[:, None] * BASIS.T
    pairs = [(roots, torch.zeros(5, 1).double())]

    def loss(outputs, targets):
        return (outputs - targets).square().mean() / 2

    top = analysis.Hessian(model, loss, pairs).top(2)
    torch.testing.assert_close(top.values, CURVATURES[:2])
    points, _, _ = roll_out()
    found = analysis.overlap(analysis.principal_directions(points, 3).directions, top.directions)
    scatter = START[:, None] * analysis.drift_scatter(CURVATURES, 0.1, 6) * START
    vectors = torch.linalg.eigh(scatter).eigenvectors.flip(1)[:, :3]
    torch.testing.assert_close(found, vectors[:2].square().sum(0), rtol=1e-6, atol=1e-9)


def test_a_direction_without_gradient_is_not_visited_however_sharp():
    start = START.clone()
    start[0] = 0
    points, _, _ = roll_out(start)
    sharpest = BASIS[:, :1].T
    assert analysis.overlap(analysis.principal_directions(points).directions, sharpest).max() < 1e-20


def test_principal_directions_lie_in_the_krylov_space_of_the_gradient():
    points, _, _ = roll_out(steps=3)
    gradient = HESSIAN @ BASIS @ START
    krylov = torch.stack([gradient, HESSIAN @ gradient, HESSIAN @ HESSIAN @ gradient])
    angles = analysis.principal_angles(analysis.principal_directions(points, 3).directions, krylov)
    assert angles.max() < 1e-6


def cosine(a, b):
    return float(a @ b / (a.norm() * b.norm()))


def order(quantity, small=1e-3):
    """The power of lr with which a quantity vanishes."""
    return math.log2(quantity(2 * small) / quantity(small))


def between(v, w):
    """The angle of two vectors, also where it is tiny."""
    v, w = v / v.norm(), w / w.norm()
    return float(2 * torch.asin(((v - w).norm() / 2).clamp(max=1)))


def test_first_direction_displacement_and_principal_gradient_agree_to_second_order():
    """Their angles vanish with lr^2, though the path bends with lr."""

    def angle(which):
        def of(lr):
            points, g, _ = roll_out(lr=lr)
            way = points[0] - points[-1]
            first = analysis.principal_directions(points, 1).directions[0]
            start = points[0] - points[1]
            return between(way, {"first": first, "principal": g, "gradient": start}[which])

        return of

    assert order(angle("gradient")) == pytest.approx(1, abs=0.05)
    assert order(angle("first")) == pytest.approx(2, abs=0.05)
    assert order(angle("principal")) == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("steps", [2, 3, 9])
def test_the_share_of_the_second_direction(steps):
    """lambda_2 / lambda_1 = lr^2 ((T + 1)^2 - 4) / 60 ||P H g||^2 / ||g||^2, P the projection beside g."""
    lr = 1e-4
    points, _, update = roll_out(lr=lr, steps=steps)
    gradient = HESSIAN @ BASIS @ START
    curved = HESSIAN @ gradient
    beside = curved - (curved @ gradient) / (gradient @ gradient) * gradient
    expected = lr**2 * ((steps + 1) ** 2 - 4) / 60 * float(beside.square().sum() / gradient.square().sum())
    assert float(update.eigenvalues[1] / update.eigenvalues[0]) == pytest.approx(expected, rel=1e-2)
    second = analysis.principal_directions(points, 2).directions[1]
    assert abs(cosine(second, beside)) == pytest.approx(1, abs=1e-3)


def test_over_isotropic_anchors_the_scatter_has_the_eigenvectors_of_the_hessian():
    """All 2^5 vectors of signs have the covariance I."""
    lr, total = 0.1, torch.zeros(5, 5, dtype=torch.float64)
    for signs in itertools.product([1.0, -1.0], repeat=5):
        points, _, _ = roll_out(torch.tensor(signs).double(), lr=lr)
        centred = (points - points.mean(0)) @ BASIS
        total += centred.T @ centred / 2**5
    torch.testing.assert_close(
        total, analysis.drift_scatter(CURVATURES, lr, 6).diagonal().diag(), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(("steps", "peak"), [(2, 1.0), (3, 1.0), (9, 0.41), (27, 0.12)])
def test_what_spreads_most(steps, peak):
    """By drift from isotropic anchors: what relaxes in about the time of a roll-out, not what is sharpest."""
    products = torch.linspace(0.001, 1, 1000).double()
    drift = analysis.drift_scatter(products, 1.0, steps).diagonal()
    assert float(products[drift.argmax()]) == pytest.approx(peak, abs=0.01)
    by_gradient = drift / products**2  # anchors with isotropic gradients
    assert (by_gradient.diff() < 0).all()
    by_noise = products * analysis.noise_scatter(products, 1.0, steps)  # noise with the covariance of the Hessian
    assert (by_noise.diff() > 0).all()


def test_noise_spreads_a_roll_out_by_its_own_law():
    """A roll-out is linear in its noise: unit noise in every step and direction gives the expectation exactly."""
    lr, steps = 0.1, 6
    total = torch.zeros(5, dtype=torch.float64)
    for step in range(steps):
        theta = torch.zeros(5, dtype=torch.float64)
        points = [theta]
        for now in range(steps):
            theta = theta - lr * CURVATURES * theta + (1.0 if now == step else 0.0)
            points.append(theta)
        centred = torch.stack(points) - torch.stack(points).mean(0)
        total += centred.square().sum(0)
    torch.testing.assert_close(analysis.noise_scatter(CURVATURES, lr, steps), total)
    walk = analysis.noise_scatter(torch.zeros(1), lr, steps)
    assert float(walk) == pytest.approx(steps * (steps + 2) / 6)


def test_the_displacement_climbs_the_inner_product_of_domains():
    """Mean over all orders: -lr sum g_d + lr^2 / 2 sum_{pairs} grad <g_d, g_e>, up to lr^3."""
    generator = torch.Generator().manual_seed(1)
    hessians, centres = [], []
    for _ in range(3):
        root = torch.randn(5, 5, generator=generator, dtype=torch.float64)
        hessians.append(root @ root.T / 5)
        centres.append(torch.randn(5, generator=generator, dtype=torch.float64))
    at = BASIS @ START
    gradients = [h @ (at - c) for h, c in zip(hessians, centres, strict=True)]
    pairs = list(itertools.combinations(range(3), 2))
    climb = sum(hessians[d] @ gradients[e] + hessians[e] @ gradients[d] for d, e in pairs)

    def rest(lr):
        way = torch.zeros(5, dtype=torch.float64)
        for chosen in itertools.permutations(range(3)):
            points, _, _ = roll_out(
                lr=lr, steps=3, hessians=[hessians[d] for d in chosen], centres=[centres[d] for d in chosen]
            )
            way += (points[-1] - points[0]) / 6
        return float((way + lr * sum(gradients) - lr**2 / 2 * climb).norm())

    assert order(rest) == pytest.approx(3, abs=0.1)


def test_domains_that_disagree_reach_the_second_component_and_not_the_displacement():
    """No curvature: steps are gradients of domains. In one pass their differences cancel in the displacement."""
    common = torch.tensor([1.0, 0, 0, 0, 0], dtype=torch.float64)
    apart = torch.tensor([0.0, 0.8, 0, 0, 0], dtype=torch.float64)
    points = torch.stack([torch.zeros(5).double(), common + apart, 2 * common]).neg()
    way = points[0] - points[-1]
    assert way[1] == 0
    g = pgrad.reference.principal_gradient(points, 2)
    assert abs(float(g[1])) > 0.1 * float(g.norm())
    found = analysis.principal_directions(points, 2).directions
    assert abs(float(found[1, 1])) > 0.9


def test_bad_input():
    with pytest.raises(ValueError, match="steps at least 1"):
        analysis.drift_scatter(CURVATURES, 0.1, 0)
    with pytest.raises(ValueError, match="curvatures must be a vector"):
        analysis.noise_scatter(HESSIAN, 0.1, 2)
