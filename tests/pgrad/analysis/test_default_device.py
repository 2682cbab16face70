"""A model on the CPU is analysed alike whatever torch makes where nothing is said: its default device and dtype."""

import pytest
import torch
from torch import nn

import pgrad
from pgrad import analysis


@pytest.fixture
def default():
    yield (
        lambda value: (
            torch.set_default_dtype(value) if isinstance(value, torch.dtype) else torch.set_default_device(value)
        )
    )
    torch.set_default_device(None)
    torch.set_default_dtype(torch.float32)


def every_part():
    """Numbers from all of it."""
    kind = {"device": "cpu", "dtype": torch.float32}
    generator = torch.Generator("cpu").manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5, **kind), nn.Tanh(), nn.Linear(5, 3, **kind))
    for p in model.parameters():
        p.data = torch.randn(p.shape, generator=generator, **kind) / 2
    inputs = torch.randn(12, 4, generator=generator, **kind)
    targets = torch.arange(12, device="cpu") % 3
    pairs = [(inputs[:5], targets[:5]), (inputs[5:], targets[5:])]
    loss = nn.functional.cross_entropy
    opt = pgrad.PGrad(model.parameters(), lr=1e-1, rollout_length=3, inner=torch.optim.SGD)
    with (
        analysis.Recorder(opt, parts=analysis.layers(model)).attach() as recorder,
        analysis.Points(opt, model.parameters()).attach() as points,
    ):
        for step in range(3):
            opt.zero_grad()
            loss(model(inputs[step::3]), targets[step::3]).backward()
            opt.step(domain=step)
    walk = points.rollouts[0]
    hessian, few = analysis.Hessian(model, loss, pairs), analysis.GaussNewton(model, loss, [pairs[0]])
    top = hessian.top(2)
    directions = analysis.principal_directions(walk, 2).directions
    nulls = [
        analysis.random_null(43, 2, 2, draws=50, generator=generator),
        analysis.mirrored_null(walk, top.directions, draws=5, generator=generator),
        analysis.walk_null(walk, top.directions, draws=5, generator=generator),
        analysis.bootstrap(torch.arange(5, device="cpu"), draws=50, generator=generator),
    ]
    plane = analysis.plane(model, loss, pairs, walk, resolution=3)
    path = analysis.path(model, loss, pairs, walk, 5)
    curvatures = torch.ones(2, device="cpu")
    return [
        *recorder.rows[0].values(),
        *(number for null in nulls for number in (null.mean, null.low, null.high)),
        *top.values.tolist(),
        *hessian.bottom(1).values.tolist(),
        *few.top(2).values.tolist(),
        *analysis.overlap(directions, top.directions).tolist(),
        *analysis.principal_angles(directions, top.directions).tolist(),
        analysis.trace(hessian, 3).value,
        analysis.density(hessian, 4, 2).moment(2).value,
        analysis.alignment(model, loss, {"a": pairs[:1], "b": pairs[1:]}).inner_product,
        analysis.noise_scale(model, loss, pairs).scale,
        *plane.losses.flatten().tolist(),
        analysis.smoothness(path.losses, path.distances).bend,
        *analysis.drift_scatter(curvatures, 0.1, 3).flatten().tolist(),
        *analysis.noise_scatter(curvatures, 0.1, 3).tolist(),
    ]


@pytest.mark.parametrize("value", ["meta", torch.float64])
def test_defaults_change_nothing(default, value):
    expected = every_part()
    default(value)
    assert every_part() == expected
