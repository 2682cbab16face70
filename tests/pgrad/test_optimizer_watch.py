"""Gram matrices of parts of the parameters, beside that of the whole."""

import copy

import pytest
import torch

import pgrad
from tests.pgrad import problems


@pytest.mark.parametrize("dtype", [None, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("aggregation", [pgrad.aggregation.principal, pgrad.aggregation.displacement])
def test_parts_are_those_of_the_points(aggregation, dtype):
    net = problems.model(torch.float64 if dtype is None else torch.float32)
    opt = pgrad.PGrad(
        net.parameters(), lr=1e-2, rollout_length=4, aggregation=aggregation, outer_lr=0.5, trajectory_dtype=dtype
    )
    parts = {"first": net[0].parameters(), "second": net[2].parameters()}
    opt.watch(parts)
    points = {"first": [], "second": []}

    def note(*_):
        for name, layer in zip(points, (net[0], net[2]), strict=True):
            points[name].append(torch.cat([p.detach().reshape(-1) for p in layer.parameters()]).double().clone())

    hooks = [opt.inner.register_step_pre_hook(note)]
    problems.train(net, opt, 0, 3)
    hooks.append(opt.inner.register_step_post_hook(note))
    problems.train(net, opt, 3, 4)
    for name, found in opt.last_parts.items():
        x = torch.stack(points[name]) - points[name][0]
        x = x if aggregation is pgrad.aggregation.principal else x[[0, -1]]
        tolerance = {None: 1e-9, torch.float64: 1e-5, torch.bfloat16: 2e-2}[dtype]
        assert problems.relative(found, x @ x.T) < tolerance
    torch.testing.assert_close(sum(opt.last_parts.values()), opt.last_update.gram, rtol=1e-5, atol=0)


def test_nothing_is_kept_unless_asked_for_and_a_copy_does_not_ask():
    net = problems.model()
    opt = pgrad.PGrad(net.parameters(), lr=1e-2, rollout_length=2)
    problems.train(net, opt, 0, 2)
    assert opt.last_parts == {}
    opt.watch({"all": net.parameters(), "none": []})
    problems.train(net, opt, 2, 4)
    torch.testing.assert_close(opt.last_parts["all"], opt.last_update.gram, rtol=1e-6, atol=0)
    assert not opt.last_parts["none"].any()
    net, other = copy.deepcopy((net, opt))
    problems.train(net, other, 4, 6)
    opt.watch({})
    assert opt.last_parts == {}
