"""On Apple's MPS, which has no float64."""

import copy

import pytest
import torch

import pgrad
from tests.pgrad.integrations.problem import LENGTH, loader, net, vector

pytestmark = pytest.mark.skipif(not torch.backends.mps.is_available(), reason="MPS IS NOT TESTED: needs a Mac with it")


@pytest.mark.parametrize("place", [None, "cpu"])
def test_a_rollout_is_that_of_the_cpu(place):
    trained = []
    for device in ("cpu", "mps"):
        model = net().float().to(device)
        opt = pgrad.PGrad(model.parameters(), 0.01, LENGTH, outer_lr=0.5, trajectory_device=place)
        for x, y in loader():
            opt.zero_grad()
            torch.nn.functional.cross_entropy(model(x.float().to(device)), y.to(device)).backward()
            opt.step()
            copy.deepcopy(opt.state_dict())
        trained.append(vector(model).cpu())
    assert torch.allclose(*trained, atol=1e-4)
