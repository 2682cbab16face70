"""Checks on one rank, run by run_checks.py: on the CPU with gloo, on a CUDA device with NCCL.

What they compare with is the run without ranks, on the CPU.
"""

import torch
import torch.distributed as dist
from common import alone, batch, close, here, net, optimizer, train, vector
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel


def sharded():
    model, mesh = net(), init_device_mesh(here(), (1,))
    fully_shard(model[0], mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def same_run(model, **options):
    opt = optimizer(model, **options)
    train(model, opt, 0, 14)
    expected, expected_opt = alone(0, 14)
    close(vector(model), vector(expected))
    close(opt.last_update.gram, expected_opt.last_update.gram)
    with opt.at_anchor(), expected_opt.at_anchor():
        close(vector(model), vector(expected))
    with torch.no_grad():
        x, _ = batch(0)
        close(model(x.to(here())), expected(x))


def backend_is_that_of_the_device(_):
    assert dist.get_world_size() == 1
    assert (here(), dist.get_backend()) in {("cpu", "gloo"), ("cuda", "nccl")}


def ddp_is_the_run_without_ranks(_):
    same_run(DistributedDataParallel(net().to(here())), check_ranks=True)


def fsdp2_is_the_run_without_ranks(_):
    model = sharded()
    assert all(isinstance(p, DTensor) and p.to_local().device.type == here() for p in model.parameters())
    same_run(model, check_ranks=True)


def fsdp2_with_displacements_in_host_memory(_):
    same_run(sharded(), trajectory_device="cpu")


CHECKS = [
    backend_is_that_of_the_device,
    ddp_is_the_run_without_ranks,
    fsdp2_is_the_run_without_ranks,
    fsdp2_with_displacements_in_host_memory,
]
