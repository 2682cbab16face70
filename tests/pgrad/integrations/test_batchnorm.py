"""BatchNorm's running statistics belong to no point of the roll-out: what moves them, and what puts them right."""

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from pgrad import PGrad
from tests.pgrad.integrations.problem import LENGTH, loader, vector


@pytest.fixture
def model():
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2))


def walk(model, steps):
    opt = PGrad(model.parameters(), lr=0.05, rollout_length=LENGTH, outer_lr=0.5)
    for x, y in list(loader())[:steps]:
        opt.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        opt.step()
    return opt


def statistics(model):
    return torch.cat([model[1].running_mean, model[1].running_var]).clone()


def test_a_dropped_roll_out_leaves_its_traces(model):
    """The weights are those of the start, bit for bit; the statistics are those of the walk."""
    weights, before = vector(model), statistics(model)
    walk(model, 2).discard_rollout()
    assert torch.equal(vector(model), weights)
    assert not torch.equal(statistics(model), before)
    assert model[1].num_batches_tracked == 2


def test_frozen_statistics_stay(model):
    """In evaluation mode the layer uses and keeps its statistics, and its scale and shift are trained on."""
    before, scale = statistics(model), model[1].weight.detach().clone()
    model.train()
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.eval()
    walk(model, 6)
    assert torch.equal(statistics(model), before)
    assert not torch.equal(model[1].weight, scale)


def test_recalibration_at_the_anchor_of_a_walk(model):
    """update_bn inside at_anchor gives the statistics of the data at the anchor, and disturbs no weight."""
    opt = walk(model, 5)
    walking = vector(model)
    data = torch.cat([x for x, _ in loader()])
    with opt.at_anchor():
        hidden = model[0](data).detach()
        update_bn([data], model)
    torch.testing.assert_close(model[1].running_mean, hidden.mean(0))
    torch.testing.assert_close(model[1].running_var, hidden.var(0))
    assert torch.equal(vector(model), walking)
