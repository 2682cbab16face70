"""Data-parallel training of one model on several processes (DDP).

    torchrun --nproc-per-node 2 examples/ddp.py

Three domains with their own mean and scale. Every process has a copy of the model; at every step all of them see the
same domain, each its own examples, and DDP averages their gradients. Printed, by the first process: the loss on fresh
data of a fourth domain, before and after. It runs on CPUs (gloo); for GPUs see docs/distributed.md.
"""

import os
import sys

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

import pgrad

SIZE = 480  # examples of each domain


def make_domain(number: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    z = torch.randn(SIZE, 16, generator=generator)
    return z * (1 + number / 2) + number / 2, (z[:, :4].sum(1) > 0).long()


def main() -> None:
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.cat(parts) for parts in zip(*(make_domain(n, generator) for n in range(3)), strict=True))
    unseen = make_domain(3, generator)
    domains = [n for n in range(3) for _ in range(SIZE)]

    # The same seed on every rank: the same order of the domains, and samples that do not overlap.
    sampler = pgrad.DomainBatchSampler(domains, batch_size=24, splits=3, generator=torch.Generator().manual_seed(1))
    loader = DataLoader(TensorDataset(x, y), batch_sampler=sampler)

    model = DistributedDataParallel(nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 2)))
    opt = pgrad.PGrad(
        model.parameters(), lr=3e-3, rollout_length=sampler.rollout_length, outer_lr=1.0, check_ranks=True
    )

    def report(when: str) -> None:
        with torch.no_grad(), opt.at_anchor():
            loss = nn.functional.cross_entropy(model.module(unseen[0]), unseen[1])
        if dist.get_rank() == 0:
            print(f"{when}: loss {loss:.4f}")

    report("before")
    for _epoch in range(2):
        for inputs, labels in loader:
            opt.zero_grad()
            nn.functional.cross_entropy(model(inputs), labels).backward()
            opt.step()
    report("after")
    dist.destroy_process_group()


if __name__ == "__main__":
    if "RANK" not in os.environ:
        sys.exit("this example runs on several processes: torchrun --nproc-per-node 2 examples/ddp.py")
    main()
