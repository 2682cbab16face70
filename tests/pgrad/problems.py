"""Small problems that several tests share: a model, its data by domain, and a plain training loop."""

import torch
from torch import nn

DOMAINS = 3


def model(dtype=torch.float32, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2)).to(dtype)


def batch(step, dtype=torch.float32):
    """The mini-batch of inner step number `step`: one domain after the other, always the same."""
    generator = torch.Generator().manual_seed(1000 + step)
    x = torch.randn(5, 6, generator=generator, dtype=torch.float64) + step % DOMAINS
    y = torch.randint(2, (5,), generator=generator)
    return x.to(dtype), y


def loss(net, step):
    dtype = next(net.parameters()).dtype
    x, y = batch(step, dtype)
    return nn.functional.cross_entropy(net(x), y)


def train(net, opt, start, stop):
    """Steps start .. stop-1 of an ordinary loop; returns the losses."""
    losses = []
    for step in range(start, stop):

        def closure(step=step):
            opt.zero_grad()
            value = loss(net, step)
            value.backward()
            return value

        losses.append(opt.step(closure).item())
    return losses


def vector(net):
    return torch.cat([p.detach().reshape(-1) for p in net.parameters()]).clone()


def relative(found, expected):
    return float((found.double() - expected.double()).norm() / expected.double().norm())
