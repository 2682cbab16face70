"""One small task for all frameworks: three domains, a data set with its sampler, a plain loop to compare with."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from pgrad import DomainBatchSampler, PGrad
from pgrad.reference import principal_gradient

DOMAINS = torch.arange(3).repeat_interleave(12)
LENGTH = 3  # of a roll-out: one pass over the domains
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]


def dataset():
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(len(DOMAINS), 6, generator=generator) + DOMAINS[:, None]
    return TensorDataset(x, torch.randint(2, (len(x),), generator=generator))


def sampler():
    return DomainBatchSampler(DOMAINS, batch_size=4, generator=torch.Generator().manual_seed(3))


def loader():
    """Nine batches of one domain each: three roll-outs."""
    return DataLoader(dataset(), batch_sampler=sampler())


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))


def optimizer(params, length=LENGTH):
    return PGrad(params, lr=0.01, rollout_length=length, outer_lr=0.5)


def vector(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()]).clone()


def plain(model, opt, epochs=1, scheduler=None, accumulate=1, clip=None, dtype=None):
    """The loop of any tutorial. Returns the parameters after every optimizer step."""
    data, points = loader(), []
    for _ in range(epochs):
        for n, (x, y) in enumerate(data, 1):
            with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
                loss = nn.functional.cross_entropy(model(x), y) / accumulate
            loss.backward()
            if n % accumulate == 0:
                if clip is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), clip)
                opt.step()
                opt.zero_grad()
                points.append(vector(model))
                if scheduler is not None:
                    scheduler.step()
    return points


def dense(inner):
    """The same nine steps on the CPU in float64, by an optimizer on its own and the dense reference: the parameters."""
    model = net().double()
    walker = inner(model.parameters(), lr=0.01)
    points = [vector(model)]
    for x, y in loader():
        walker.zero_grad()
        nn.functional.cross_entropy(model(x.double()), y).backward()
        walker.step()
        points.append(vector(model))
        if len(points) > LENGTH:
            walk = torch.stack(points)
            points = [walk[0] - 0.5 * principal_gradient(walk, 4)]
            nn.utils.vector_to_parameters(points[0].clone(), model.parameters())
    return vector(model)


def distance(model, expected):
    """From parameters on any devices, relative."""
    found = torch.cat([p.detach().reshape(-1).cpu() for p in model.parameters()])
    return float((found - expected).norm() / expected.norm())
