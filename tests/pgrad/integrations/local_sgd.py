"""The program of every rank of a run with Accelerate's LocalSGD, started by test_accelerate.py.

``torchrun local_sgd.py STEPS_BETWEEN_AVERAGES``: rank 0 writes, after each step, the roll-out position of eight steps
in roll-outs of four, then what was said, and whether the average of the ranks is in the model and stays there.
"""

import sys
import warnings

import torch
from accelerate import Accelerator
from accelerate.local_sgd import LocalSGD
from torch import nn

import pgrad
from tests.pgrad.integrations.problem import DOMAINS, dataset, net, vector


def main(every):
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    plain = net()
    opt = pgrad.PGrad(plain.parameters(), 0.01, 4, outer_lr=0.1)
    model, prepared = accelerator.prepare(plain, opt)
    sampler = pgrad.DomainBatchSampler(DOMAINS, batch_size=2, generator=torch.Generator().manual_seed(0))
    x, y = dataset().tensors
    positions = []
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        with LocalSGD(accelerator=accelerator, model=model, local_sgd_steps=every) as local:
            for rows in [batch for _, batch in zip(range(8), sampler, strict=False)]:
                accelerator.backward(nn.functional.cross_entropy(model(x[rows]), y[rows]))
                prepared.step()
                prepared.zero_grad()
                local.step()
                positions.append(opt.rollout_position)
        averaged = vector(plain)
        opt.finish_rollout()
    said = [str(w.message) for w in found if "set from outside" in str(w.message)]
    ranks = [torch.empty_like(averaged) for _ in range(accelerator.num_processes)]
    torch.distributed.all_gather(ranks, averaged)
    if accelerator.is_main_process:
        same = torch.equal(*ranks) and torch.equal(vector(plain), averaged)
        sys.stdout.write(f"positions {positions}; said {len(said)} times; the average is there: {same}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
