"""One of two ranks, started by test_ranks.py. Rank 1 dies in a roll-out; rank 0 says what it met at its outer step."""

import datetime
import os
import signal
import sys

import torch
import torch.distributed as dist

import pgrad

rank, store = int(sys.argv[1]), sys.argv[2]
dist.init_process_group(
    "gloo", init_method=f"file://{store}", rank=rank, world_size=2, timeout=datetime.timedelta(minutes=10)
)
weight = torch.nn.Parameter(torch.ones(3))
opt = pgrad.PGrad([weight], lr=0.1, rollout_length=3, check_ranks=True)
for step in range(6):
    if rank == 1 and step == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    if step == 3:
        anchor = weight.detach().clone()
    weight.grad = torch.arange(3.0) + step
    try:
        opt.step()
    except RuntimeError as error:
        sys.stdout.write(f"step {step}: {error}\n")
        sys.stdout.write(f"at the anchor: {torch.equal(weight, anchor)}, position: {opt.rollout_position}\n")
        sys.exit(3)
