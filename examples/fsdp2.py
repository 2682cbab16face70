"""Sharded training of one model on several processes (FSDP2), with checkpoints in the middle of a roll-out.

    torchrun --nproc-per-node 2 examples/fsdp2.py FOLDER STEPS

Trains up to inner step STEPS and saves all there is in FOLDER. Called again with more STEPS, and as many processes as
you like, it goes on from there. Printed, by the first process: where it started, and the loss on fresh data of another
domain at the anchor. It runs on CPUs (gloo); for GPUs see docs/distributed.md.
"""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import fully_shard

import pgrad
from pgrad.integrations.distributed import optimizer_template

BATCH = 24


def batch(domain: int, number: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(100 * number + domain)
    z = torch.randn(BATCH, 16, generator=generator)
    return z * (1 + domain / 2) + domain / 2, (z[:, :4].sum(1) > 0).long()


def save(folder: Path, model: nn.Module, opt: pgrad.PGrad, step: int) -> None:
    state = {"model": get_model_state_dict(model), "optimizer": get_optimizer_state_dict(model, opt), "step": step}
    dcp.save(state, checkpoint_id=folder / f"{step:06d}")


def load(checkpoint: Path, model: nn.Module, opt: pgrad.PGrad) -> int:
    state = {"model": get_model_state_dict(model), "optimizer": optimizer_template(model, opt, checkpoint), "step": 0}
    dcp.load(state, checkpoint_id=checkpoint)
    set_model_state_dict(model, state["model"])
    set_optimizer_state_dict(model, opt, state["optimizer"])
    return state["step"]


def main(folder: Path, steps: int) -> None:
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 2))
    fully_shard(model[0])
    fully_shard(model)
    opt = pgrad.PGrad(model.parameters(), lr=3e-3, rollout_length=9, outer_lr=1.0)

    # A checkpoint that was not finished has no .metadata, which is written last.
    checkpoints = sorted(path.parent for path in folder.glob("*/.metadata"))
    start = load(checkpoints[-1], model, opt) if checkpoints else 0
    if dist.get_rank() == 0:
        print(f"from step {start}, {opt.rollout_position} steps into a roll-out")

    mine = slice(dist.get_rank(), None, dist.get_world_size())
    for step in range(start, steps):
        x, y = batch(domain=step % 3, number=step)
        opt.zero_grad()
        nn.functional.cross_entropy(model(x[mine]), y[mine]).backward()
        opt.step()
    if steps > start:
        save(folder, model, opt, steps)

    x, y = batch(domain=3, number=0)
    with torch.no_grad(), opt.at_anchor():
        loss = nn.functional.cross_entropy(model(x), y)
    if dist.get_rank() == 0:
        print(f"step {max(start, steps)}, {opt.rollout_position} steps into a roll-out: loss {loss:.4f} at the anchor")
    dist.destroy_process_group()


if __name__ == "__main__":
    if "RANK" not in os.environ or len(sys.argv) != 3 or not sys.argv[2].isdecimal():
        sys.exit("run it on several processes: torchrun --nproc-per-node 2 examples/fsdp2.py FOLDER STEPS")
    main(Path(sys.argv[1]), int(sys.argv[2]))
