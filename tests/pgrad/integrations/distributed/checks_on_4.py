"""Checks on four ranks, run by run_checks.py: HSDP, meshes of two dimensions, uneven and empty shards."""

import torch
import torch.distributed as dist
from common import alone, batch, close, mine, net, optimizer, raised, same_everywhere, train, vector
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from torch.distributed.tensor.debug import CommDebugMode
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.nn.parallel import DistributedDataParallel

import pgrad


def same_run(model, opt, start=0, stop=12, part=None):
    """Bit for bit the same on all ranks, and equal to the run without ranks."""
    train(model, opt, start, stop, mine() if part is None else part)
    expected, expected_opt = alone(start, stop)
    close(vector(model), vector(expected))
    close(opt.last_update.gram, expected_opt.last_update.gram)
    same_everywhere(opt.last_update.weights)
    same_everywhere(vector(model))


def uneven_and_empty_shards(_):
    model = net()
    fully_shard(model)
    sizes = [p.to_local().numel() for p in model.parameters()]
    if dist.get_rank() == 3:
        assert sizes == [5, 1, 0, 0]
    opt = optimizer(model, check_ranks=True)
    same_run(model, opt, 0, 14)
    start = vector(model)
    with opt.at_anchor():
        assert not torch.equal(vector(model), start)
    assert torch.equal(vector(model), start)


def hsdp_counts_replicas_once(_):
    model = net()
    fully_shard(model, mesh=init_device_mesh("cpu", (2, 2), mesh_dim_names=("replicate", "shard")))
    assert model[0].weight.placements == (Replicate(), Shard(0))
    opt = optimizer(model, check_ranks=True)
    same_run(model, opt)


def hsdp_needs_one_all_reduce_per_outer_step(_):
    model = net()
    fully_shard(model, mesh=init_device_mesh("cpu", (2, 2), mesh_dim_names=("replicate", "shard")))
    opt = optimizer(model, rollout_length=2)
    for step in range(2):
        x, y = batch(step)
        nn.functional.cross_entropy(model(x), y).backward()
        with CommDebugMode() as communication:
            opt.step()
    assert {str(op): n for op, n in communication.get_comm_counts().items()} == {"c10d.allreduce_": 1}


def hsdp_replica_that_diverged_is_named(_):
    """Rank 2 holds the shard of rank 0; two against two cannot say who is wrong, so the lower rank is believed."""
    model = net()
    fully_shard(model, mesh=init_device_mesh("cpu", (2, 2), mesh_dim_names=("replicate", "shard")))
    opt = optimizer(model, check_ranks=True)
    train(model, opt, 0, 6, mine())
    if dist.get_rank() == 2:
        with torch.no_grad():
            model[0].weight.to_local()[0, 0] += 1e-9
    message = raised(RuntimeError, train, model, opt, 6, 8, mine())
    assert "ranks [2] differ" in message
    assert "Replicate" in message


def ddp_rank_that_diverged_is_named(_):
    model = DistributedDataParallel(net())
    opt = optimizer(model, check_ranks=True)
    train(model, opt, 0, 2, mine())
    if dist.get_rank() == 0:
        with torch.no_grad():
            model.module[2].bias[0] += 1e-9
    assert "ranks [0] differ" in raised(RuntimeError, train, model, opt, 2, 4, mine())


def fsdp2_with_tensor_parallelism(_):
    """Sharded twice, also with strides; the bias of the second layer is sharded once and repeated."""
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "tensor"))

    def even():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()

    model = parallelize_module(even(), mesh["tensor"], {"0": ColwiseParallel(), "2": RowwiseParallel()})
    fully_shard(model, mesh=mesh["data"])
    opt = optimizer(model, check_ranks=True)
    part = slice(dist.get_rank() // 2, None, 2)
    train(model, opt, 0, 14, part)
    expected = even()
    expected_opt = optimizer(expected)
    train(expected, expected_opt, 0, 14)
    close(vector(model), vector(expected))
    close(opt.last_update.gram, expected_opt.last_update.gram)
    state = opt.state_dict()["state"]
    for i, p in enumerate(expected.parameters()):  # displacements know where they are
        expected_rows = expected_opt.state_dict()["state"][i]["pgrad"]["displacements"]
        close(state[i]["pgrad"]["displacements"].full_tensor(), expected_rows)
        assert expected_rows.shape == (1, *p.shape)


def parameters_on_parts_of_a_mesh(_):
    """Some on the whole mesh, some on one of its dimensions, some plain: each element counts once."""
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("a", "b"))
    torch.manual_seed(0)
    full = [torch.randn(6, 4, dtype=torch.float64) for _ in range(5)]
    layouts = [
        (mesh, [Shard(0), Shard(1)]),
        (mesh, [Replicate(), Shard(0)]),
        (mesh["a"], [Shard(1)]),
        (mesh["b"], [Shard(0)]),
        (mesh["b"], [Replicate()]),
    ]
    spread = [nn.Parameter(distribute_tensor(t, m, p)) for t, (m, p) in zip(full, layouts, strict=True)]
    plain = nn.Parameter(torch.ones(3, dtype=torch.float64))
    alike = [nn.Parameter(t.clone()) for t in [*full, torch.ones(3, dtype=torch.float64)]]
    opts = [
        pgrad.PGrad(params, lr=0.1, rollout_length=3, inner=torch.optim.SGD, check_ranks=True)
        for params in ([*spread, plain], alike)
    ]
    for step in range(3):
        gradients = [torch.randn_like(p, generator=None) for p in alike]
        for gradient in gradients:
            dist.broadcast(gradient, 0)
        for p, (m, placements), gradient in zip(spread, layouts, gradients, strict=False):
            p.grad = distribute_tensor(gradient, m, placements)
        plain.grad = gradients[-1].clone()
        for p, gradient in zip(alike, gradients, strict=True):
            p.grad = gradient.clone()
        for opt in opts:
            opt.step()
        assert opts[0].rollout_position == (step + 1) % 3
    close(opts[0].last_update.gram, opts[1].last_update.gram)


def model_on_a_part_of_the_ranks(_):
    """Two models of two ranks each that know nothing of each other: the sums stay among two ranks."""
    first = dist.get_rank() < 2
    for ranks in ([0, 1], [2, 3]):  # making a mesh concerns all ranks
        mesh_here = DeviceMesh("cpu", ranks)
        if dist.get_rank() in ranks:
            mesh = mesh_here
    model = net()
    fully_shard(model, mesh=mesh)
    opt = optimizer(model, check_ranks=True)
    offset = 0 if first else 1
    part = slice(dist.get_rank() % 2, None, 2)
    train(model, opt, offset, offset + 12, part)
    expected, expected_opt = alone(offset, offset + 12)
    close(vector(model), vector(expected))
    close(opt.last_update.gram, expected_opt.last_update.gram)


def meshes_that_do_not_fit_are_refused(_):
    """Parts of one mesh, but no parameter lies on the whole of it, so that nothing says over which ranks to sum."""
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("a", "b"))
    params = [nn.Parameter(distribute_tensor(torch.ones(4), mesh[name], [Shard(0)])) for name in ("a", "b")]
    opt = pgrad.PGrad(params, rollout_length=1)
    for p in params:
        p.grad = torch.ones_like(p)
    assert "parts of one" in raised(ValueError, opt.step)


CHECKS = [
    uneven_and_empty_shards,
    hsdp_counts_replicas_once,
    hsdp_needs_one_all_reduce_per_outer_step,
    hsdp_replica_that_diverged_is_named,
    ddp_rank_that_diverged_is_named,
    fsdp2_with_tensor_parallelism,
    parameters_on_parts_of_a_mesh,
    model_on_a_part_of_the_ranks,
    meshes_that_do_not_fit_are_refused,
]
