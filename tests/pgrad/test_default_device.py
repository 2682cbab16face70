"""A model on the CPU trains alike whatever torch makes where nothing is said: its default device and dtype."""

import copy
import functools

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

import pgrad

MOMENTUM = functools.partial(torch.optim.SGD, momentum=0.9)  # Adam counts its steps on the default device
AGGREGATIONS = [pgrad.aggregation.principal, pgrad.aggregation.displacement]


@pytest.fixture
def default():
    """Sets a default device or dtype, for the time of a test."""
    yield (
        lambda value: (
            torch.set_default_dtype(value) if isinstance(value, torch.dtype) else torch.set_default_device(value)
        )
    )
    torch.set_default_device(None)
    torch.set_default_dtype(torch.float32)


def model():
    torch.manual_seed(0)
    kind = {"device": "cpu", "dtype": torch.float32}
    return nn.Sequential(nn.Linear(6, 8, **kind), nn.Tanh(), nn.Linear(8, 2, **kind))


def every_path(aggregation):
    """Roll-outs, averages, samplers, checkpoints and diagnostics; returns all weights at the end."""
    net = model()
    x = torch.ones(5, 6, device="cpu", dtype=torch.float32)
    opt = pgrad.PGrad(net.named_parameters(), 1e-2, 3, inner=MOMENTUM, aggregation=aggregation)
    averages = [
        pgrad.averaging.EMA(net).follow(opt),
        pgrad.averaging.Mean(net).follow(opt),
        pgrad.averaging.SWAD(net, 1, 1, 0.5).follow(opt),
    ]

    def closure():
        opt.zero_grad()
        loss = net(x + opt.rollout_position).square().mean()
        loss.backward()
        return loss

    sampler = pgrad.DomainBatchSampler([0, 1, 2] * 8, 2, generator=torch.Generator("cpu").manual_seed(0))
    groups = pgrad.GroupBatchSampler([0, 1, 2] * 8, 2, 3, generator=torch.Generator("cpu").manual_seed(0))
    for batches in (sampler, groups):
        for batch in batches:
            opt.step(closure, domain=batches.domain_of(batch))
        batches.load_state_dict(batches.state_dict())
    for generator in (None, torch.Generator("cpu").manual_seed(0)):
        opt.rollout([closure] * 3, [0, 1, 2], generator)
    update = opt.last_update
    found = [update.explained_variance_ratio, update.null_explained_variance_ratio, update.step_cosines]
    assert all(values.device.type == "cpu" for values in found)
    assert {type(value) for value in (*update.domain_shares.values(), *update.domain_cosines.values())} <= {float}
    averages[2].validate(1.0)
    opt.step(closure)
    with opt.at_anchor():
        net(x)
    for average in averages[:2]:
        with average.applied():
            net(x)
    both = copy.deepcopy((net.state_dict(), opt.state_dict(), *(average.state_dict() for average in averages)))
    opt.discard_rollout()
    for one, state in zip((net, opt, *averages), both, strict=True):
        one.load_state_dict(state)
    opt.step(closure)
    opt.finish_rollout()
    net[0].weight.grad[0, 0] = torch.inf
    opt.step()
    with pytest.warns(RuntimeWarning, match="left the finite numbers"):
        opt.finish_rollout()
    return [p.detach().clone() for p in (*net.parameters(), *averages[0].average().values())]


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("value", ["meta", torch.float64, torch.float16], ids=str)
def test_every_path_of_the_library(default, value, aggregation):
    expected = every_path(aggregation)
    default(value)
    found = every_path(aggregation)
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("value", ["meta", torch.float64, torch.float16], ids=str)
def test_shards(default, value):
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        ends = []
        for kind in (None, value):
            weight = torch.arange(12, device="cpu", dtype=torch.float32).reshape(4, 3)
            weight = nn.Parameter(distribute_tensor(weight, mesh, [Shard(0)]))
            default(kind) if kind is not None else None
            opt = pgrad.PGrad([weight], 1e-2, 3, inner=MOMENTUM, check_ranks=True)
            for step in range(4):
                weight.grad = weight.detach() * (step + 1)
                opt.step()
            with opt.at_anchor():
                pass
            opt.finish_rollout()
            ends.append(weight.detach().to_local().clone())
        assert torch.equal(*ends)
    finally:
        dist.destroy_process_group()
