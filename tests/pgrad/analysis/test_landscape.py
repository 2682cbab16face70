"""Lines, paths and planes of a quadratic whose losses are known, and smoothness of curves that are."""

import math

import pytest
import torch
from torch import nn

from pgrad import analysis
from tests.pgrad.analysis.small import as_function, batches, network, vector

CURVATURES = torch.tensor([1.0, 4.0, 9.0, 16.0], dtype=torch.float64)
ROOTS = CURVATURES.sqrt().diag()


def quadratic(*start):
    """1/2 sum_j h_j theta_j^2, as a mean over four examples."""
    model = nn.Linear(4, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([start or (0.0,) * 4]))
    return model, lambda outputs, targets: 2 * outputs.square().mean(), [(ROOTS, torch.zeros(4))]


def value(theta):
    return 0.5 * (CURVATURES * theta**2).sum(-1)


def test_a_line_of_a_quadratic():
    model, loss, pairs = quadratic(1.0, 0.0, 0.0, 0.0)
    distances = torch.linspace(-1, 2, 7)
    found = analysis.line(model, loss, pairs, torch.tensor([0.0, 5.0, 0.0, 0.0]), distances)
    torch.testing.assert_close(found.losses, 0.5 + 2 * found.distances**2)
    assert model.weight.tolist() == [[1.0, 0.0, 0.0, 0.0]]


def test_a_path_is_read_at_equal_distances():
    model, loss, pairs = quadratic()
    points = torch.tensor([[3.0, 0, 0, 0], [3.0, 0, 0, 0], [0.0, 0, 0, 0], [0.0, 1.0, 0, 0]], dtype=torch.float64)
    found = analysis.path(model, loss, pairs, points, 9)
    torch.testing.assert_close(found.distances, torch.linspace(0, 4, 9).double())
    expected = [
        value(torch.tensor([3 - t, 0, 0, 0]) if t <= 3 else torch.tensor([0, t - 3, 0, 0]))
        for t in found.distances.tolist()
    ]
    torch.testing.assert_close(found.losses, torch.stack(expected))


@pytest.mark.parametrize("axes", ["displacement", "components"])
def test_every_loss_on_a_plane_is_that_of_its_point(axes):
    model, loss, pairs = network(), nn.functional.cross_entropy, batches()
    anchor = vector(model)
    points = anchor + torch.cat([torch.zeros(1, 43), torch.randn(5, 43).cumsum(0) / 10]).double()
    mark = anchor + 0.1
    found = analysis.plane(model, loss, pairs, points, axes=axes, resolution=5, marks={"other": mark})
    torch.testing.assert_close(found.axes @ found.axes.T, torch.eye(2).double(), rtol=0, atol=1e-12)
    function = as_function(model, loss, pairs)
    for row, b in enumerate(found.beside):
        for column, a in enumerate(found.along):
            expected = function(anchor + a * found.axes[0] + b * found.axes[1])
            torch.testing.assert_close(found.losses[row, column], expected.detach())
    torch.testing.assert_close(found.path, (points - anchor) @ found.axes.T)
    assert not found.path[0].any()
    torch.testing.assert_close(torch.tensor(found.marks["other"]).double(), found.axes @ (mark - anchor))
    for at in (found.path, torch.tensor([found.marks["other"]])):
        assert (at[:, 0] >= found.along[0]).all()
        assert (at[:, 0] <= found.along[-1]).all()
        assert (at[:, 1] >= found.beside[0]).all()
        assert (at[:, 1] <= found.beside[-1]).all()
    if axes == "displacement":  # the end point lies in the plane, on the first axis
        torch.testing.assert_close(found.path[-1], torch.tensor([(points[-1] - anchor).norm(), 0]).double())
    else:
        pca = analysis.principal_directions(points, 2).directions
        torch.testing.assert_close((pca @ found.axes.T).abs(), torch.eye(2).double(), rtol=0, atol=1e-12)
    inside = (points - anchor) @ found.axes.T @ found.axes
    assert found.share == pytest.approx(float(inside.square().sum() / (points - anchor).square().sum()))


def test_the_model_is_left_alone_and_may_overflow():
    model, loss, pairs = network(), nn.functional.cross_entropy, batches()
    before = vector(model)
    found = analysis.line(model, loss, pairs, before, torch.tensor([1e200, 1e308]))
    assert torch.equal(vector(model), before)
    assert all(p.grad is None for p in model.parameters())
    assert not found.losses[1].isfinite()


def test_smoothness_of_known_curves():
    x = torch.linspace(0, 2, 401).double()
    straight = analysis.smoothness(5 - x, x)
    assert (straight.descent, straight.variation) == (pytest.approx(2), pytest.approx(2))
    assert straight.rising_share == pytest.approx(0, abs=1e-9)
    assert straight.bend == pytest.approx(0, abs=1e-9)
    assert analysis.smoothness(5 - 3 * x**2, x).bend == pytest.approx(6, rel=1e-3)
    wave = analysis.smoothness((2 * math.pi * x).cos(), x, number=401)
    assert wave.variation == pytest.approx(8, rel=1e-3)
    assert wave.rising_share == pytest.approx(0.5)
    half = analysis.smoothness((2 * math.pi * x).cos(), x, up_to=0.5, number=401)
    assert (half.distance, half.descent) == (0.5, pytest.approx(2, rel=1e-6))
    assert math.isnan(analysis.smoothness(torch.ones(3), torch.arange(3)).rising_share)


def test_smoothness_does_not_depend_on_how_often_a_curve_was_written_down():
    x = torch.linspace(0, 1, 1001).double() ** 3
    coarse = torch.linspace(0, 1, 201).double()
    one, other = (analysis.smoothness((9 * at).sin(), at, number=20) for at in (x, coarse))
    assert one.variation == pytest.approx(other.variation, rel=1e-3)
    assert one.bend == pytest.approx(other.bend, rel=1e-2)


def test_the_cost_is_said_before(capsys):
    model, loss, pairs = quadratic(1.0, 2.0, 3.0, 4.0)
    points = torch.tensor([[0.0, 0, 0, 0], [1.0, 1, 0, 0], [2.0, 0, 0, 0]]).double()
    found = analysis.plane(model, loss, pairs, points, resolution=4, progress=True)
    number = found.losses.numel()
    assert capsys.readouterr().err.startswith(f"loss on a plane: {number} passes forward over all batches, about")


def test_bad_input():
    model, loss, pairs = quadratic()
    straight = torch.arange(3).double()[:, None] * torch.ones(4).double()
    for axes in ("displacement", "components"):
        with pytest.raises(ValueError, match="span a plane, got some on a line"):
            analysis.plane(model, loss, pairs, straight, axes=axes)
    with pytest.raises(ValueError, match='axes must be "displacement" or "components"'):
        analysis.plane(model, loss, pairs, straight, axes="both")
    with pytest.raises(ValueError, match="d = 4 parameters"):
        analysis.plane(model, loss, pairs, straight[:, :3])
    with pytest.raises(ValueError, match="resolution must be at least 2"):
        analysis.plane(model, loss, pairs, straight, resolution=1)
    with pytest.raises(ValueError, match="direction must be neither zero nor infinite"):
        analysis.line(model, loss, pairs, torch.zeros(4), torch.ones(1))
    with pytest.raises(ValueError, match="points must move"):
        analysis.path(model, loss, pairs, torch.ones(2, 4).double())
    for look in (analysis.path, analysis.plane):
        with pytest.raises(ValueError, match="points must be finite"):
            look(model, loss, pairs, straight * float("nan"))
    with pytest.raises(ValueError, match="number must be at least 2"):
        analysis.path(model, loss, pairs, straight, 1)
    with pytest.raises(ValueError, match="vectors of one length"):
        analysis.smoothness(torch.ones(2), torch.ones(3))
    with pytest.raises(ValueError, match="cut the run before it diverged"):
        analysis.smoothness(torch.tensor([1.0, math.inf]), torch.arange(2))
    with pytest.raises(ValueError, match="distances must ascend"):
        analysis.smoothness(torch.ones(2), torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="up_to must be above 0 and at most 1"):
        analysis.smoothness(torch.ones(2), torch.arange(2), up_to=2.0)
