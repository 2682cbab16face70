"""Roll-outs from a checkpoint: the same as a loop with pgrad.PGrad, and nothing changes."""

import copy

import pytest
import torch
from torch import nn

import pgrad
from pgrad.analysis import Recorder, walk

LOSS = nn.functional.cross_entropy


def problem():
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    batches = [(torch.randn(12, 4, generator=generator) + domain, torch.arange(12) % 3, domain) for domain in range(3)]
    return model, batches


def test_as_a_loop_of_ones_own():
    model, batches = problem()
    mine = copy.deepcopy(model)
    opt = pgrad.PGrad(mine.parameters(), lr=1e-2, rollout_length=3, inner=torch.optim.SGD)
    with Recorder(opt).attach() as recorder:
        for _ in range(4):
            for inputs, targets, domain in batches:
                opt.zero_grad()
                LOSS(mine(inputs), targets).backward()
                opt.step(domain=domain)
    rows = walk(model, LOSS, batches, lr=1e-2, rollout_length=3, rollouts=4, inner=torch.optim.SGD)
    assert rows == recorder.rows
    assert rows[0]["disagreement"] is not None


def test_the_model_stays_as_it_is():
    model, batches = problem()
    model.eval()
    model[0].weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    walk(model, LOSS, [batch[:2] for batch in batches], lr=1e-2, rollout_length=4, rollouts=2)
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("batches", "settings", "error", "said"),
    [
        ([], {}, ValueError, "at least one batch"),
        (iter([]), {}, TypeError, "looped over again, such as a DataLoader or a list, got list_iterator"),
        ([torch.zeros(2, 4)], {}, TypeError, "got Tensor as batch 0"),
        ([(1, 2, 3, 4)], {}, TypeError, "got 4 parts as batch 0"),
        (None, {"rollout_length": 1}, ValueError, "rollout_length must be an int of at least 2, got 1"),
        (None, {"rollouts": 0}, ValueError, "rollouts must be an int of at least 1, got 0"),
        (None, {"rollouts": True}, ValueError, "rollouts must be an int of at least 1, got True"),
        (None, {"lr": float("inf")}, ValueError, "lr"),
    ],
)
def test_what_is_refused(batches, settings, error, said):
    model, good = problem()
    with pytest.raises(error, match=said):
        walk(model, LOSS, good if batches is None else batches, **{"lr": 1e-2, "rollout_length": 3, **settings})


def test_a_model_without_anything_to_train_is_refused():
    model, good = problem()
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got function"):
        walk(lambda x: x, LOSS, good, lr=1e-2, rollout_length=3)
    with pytest.raises(ValueError, match="a parameter that requires a gradient, got none"):
        walk(model.requires_grad_(False), LOSS, good, lr=1e-2, rollout_length=3)
