"""A whole roll-out in one call: a closure for each part of each domain's mini-batch.

python examples/closures.py
"""

import torch
from torch import nn

import pgrad
from pgrad.data import microbatches

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
opt = pgrad.PGrad(model.parameters(), lr=3e-3, rollout_length=None, outer_lr=0.5)
generator = torch.Generator().manual_seed(0)


def minibatch(domain):
    x = torch.randn(12, 8, generator=generator) + domain
    return x, (x[:, 0] > domain).long()


def closure(x, y):
    def backward():
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        return loss

    return backward


for step in range(60):
    parts = microbatches({domain: minibatch(domain) for domain in range(3)}, splits=3, generator=generator)
    losses = opt.rollout([closure(*part) for _, part in parts], shuffle=False)  # microbatches made the order
    if step % 20 == 0 or step == 59:
        mean = torch.stack(losses).mean().item()
        print(f"roll-out {step}: mean loss {mean:.3f}, cosine with theta_0 - theta_T {opt.last_update.cosine:.3f}")
