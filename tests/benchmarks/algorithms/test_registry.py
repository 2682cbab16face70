import copy

import pytest
import torch

from benchmarks.algorithms import ALGORITHMS, Setup
from benchmarks.models import mlp

HPARAMS = {"lr": 0.02, "outer_lr": 0.3, "weight_decay": 1e-2, "n_components": 4}


@pytest.fixture
def model():
    return mlp((1, 4, 4), n_outputs=3, width=8)


def minibatches(number):
    generator = torch.Generator().manual_seed(0)
    for _ in range(number):
        yield torch.randn(6, 1, 4, 4, generator=generator), torch.randint(3, (6,), generator=generator)


def trained(name, model, rollout_length, updates):
    model = copy.deepcopy(model)
    setup = Setup(rollout_length=rollout_length, n_domains=1, updates=updates)
    algorithm = ALGORITHMS[name].factory(model, HPARAMS, setup)
    losses = [algorithm.update(*minibatch) for minibatch in minibatches(updates)]
    assert all(loss.shape == () and not loss.requires_grad for loss in losses)
    return algorithm, torch.nn.utils.parameters_to_vector(model.parameters()).detach()


def test_control_and_principal_gradient_agree_on_roll_outs_of_one_step(model):
    _, control = trained("reptile", model, rollout_length=1, updates=12)
    _, principal = trained("pgrad", model, rollout_length=1, updates=12)
    torch.testing.assert_close(principal, control, rtol=1e-4, atol=1e-6)


def test_control_and_principal_gradient_differ_on_longer_ones(model):
    _, control = trained("reptile", model, rollout_length=6, updates=12)
    _, principal = trained("pgrad", model, rollout_length=6, updates=12)
    assert (principal - control).norm() > 1e-3 * control.norm()


def test_control_is_lookahead_of_adam(model):
    start = torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    _, moved = trained("reptile", model, rollout_length=5, updates=5)
    plain = torch.optim.Adam(model.parameters(), lr=HPARAMS["lr"])
    for inputs, labels in minibatches(5):
        plain.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs), labels).backward()
        plain.step()
    end = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    expected = start - HPARAMS["outer_lr"] * (start - end + HPARAMS["weight_decay"] * start)
    torch.testing.assert_close(moved, expected, rtol=1e-5, atol=1e-6)


def test_diagnostics_of_the_principal_gradient(model):
    algorithm, _ = trained("pgrad", model, rollout_length=5, updates=15)
    found = algorithm.diagnostics()
    assert len(found["explained_variance_ratio"]) == 5
    assert sum(found["explained_variance_ratio"]) == pytest.approx(1)
    assert 0 < found["cosine"][0] <= 1
    assert found["n_components"] == [4]
    assert trained("pgrad", model, rollout_length=5, updates=4)[0].diagnostics() == {}
