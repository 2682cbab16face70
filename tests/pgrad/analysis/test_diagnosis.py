"""The verdict on runs that are straight, bent, and lost."""

import pytest
import torch

import pgrad
from pgrad import analysis


def rows(points, n_components=4):
    x = points - points[0]
    return [{"inner_steps": len(points) - 1} | analysis.measures(pgrad.principal_weights(x @ x.T, n_components))]


STRAIGHT = torch.arange(7).double()[:, None] * torch.ones(1, 20).double()


def test_verdicts():
    one = analysis.diagnose(5 * rows(STRAIGHT))
    assert one.verdict == "one direction"
    assert one.rollouts == 5
    assert one.quantiles["cosine with the displacement"] == pytest.approx((1, 1, 1))
    assert one.quantiles["angle, in degrees"][1] < 1e-4
    assert one.quantiles["excess over a random walk"][1] == pytest.approx(1 - float(pgrad.random_walk_spectrum(6)[0]))
    assert "disagreement of domains" not in one.quantiles
    (bent,) = rows(torch.tensor([[0.0, 0.0], [1.0, 3.0], [-1.0, 3.5], [0.4, 0.5]]).double(), 1)
    assert bent["cosine"] < 0.9
    assert analysis.diagnose([bent, *rows(STRAIGHT), bent]).verdict == "another direction"
    mixed = analysis.diagnose([bent, *(4 * rows(STRAIGHT))])
    assert mixed.verdict == "nearly one direction"
    low, middle, high = mixed.quantiles["angle, in degrees"]
    assert low <= middle <= high


def test_roll_outs_that_did_not_move_have_no_direction():
    still = rows(torch.zeros(7, 20).double())
    assert analysis.diagnose(still + rows(STRAIGHT)) == analysis.diagnose(rows(STRAIGHT))
    with pytest.raises(ValueError, match="roll-outs that moved, got 3 in which"):
        analysis.diagnose(3 * still)
    with pytest.raises(ValueError, match="a roll-out that moved"):
        analysis.figures.cosine_over_training(3 * still)


def test_rows_without_points_are_refused():
    points = STRAIGHT - STRAIGHT[0]
    two = pgrad.Update.of(torch.tensor([1.0, -1.0]), (points @ points.T)[[0, -1]][:, [0, -1]])
    with pytest.raises(ValueError, match="got 1 rows without"):
        analysis.diagnose([analysis.measures(two)])
    with pytest.raises(ValueError, match="got 0 rows without"):
        analysis.diagnose([])
    with pytest.raises(ValueError, match="a number as points, got None"):
        analysis.diagnose([{"cosine": 1.0}])
    with pytest.raises(ValueError, match="rows must hold a roll-out that moved"):
        analysis.figures.cosine_over_training([])


def test_the_angle_is_drawn():
    pytest.importorskip("matplotlib")
    ax = analysis.figures.cosine_over_training(10 * rows(STRAIGHT), window=5)
    assert list(ax.lines[0].get_ydata()) == pytest.approx([0, 0], abs=1e-4)
