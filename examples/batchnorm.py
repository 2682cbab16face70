"""What BatchNorm's running statistics are worth at the anchor: frozen, left to run, or recalibrated.

    python examples/batchnorm.py [SEEDS]

Three domains with their own mean and scale, a small network, 360 steps on batches of one domain: 40 roll-outs of PGrad,
and plain Adam as the control. Printed: the loss on fresh data of the training domains, in evaluation mode (at the
anchor); and how far the statistics of the last BatchNorm layer are from those of the same data at the same weights, in
standard deviations. Mean and standard deviation over the seeds (5 of them).
"""

import copy
import functools
import sys

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

import pgrad

ROLLOUTS = 40


def batch(domain, size, generator):
    z = torch.randn(size, 16, generator=generator)
    return z * (1 + domain) + domain, (z[:, :4].sum(1) > 0).long()


def freeze(model):
    """Call it after every ``model.train()``, which would unfreeze."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.eval()


def train(seed, optimizer, frozen):
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    layers = [nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32), nn.BatchNorm1d(32), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(32, 2))
    if frozen:  # statistics of the data at the start, as a pretrained model brings them
        update_bn([batch(domain, 256, generator)[0] for domain in range(3)], model)
        freeze(model)
    opt = optimizer(model.parameters(), lr=1e-2)
    for step in range(9 * ROLLOUTS):
        x, y = batch(step % 3, 32, generator)
        opt.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        opt.step()
    return model


def measure(model, seed):
    generator = torch.Generator().manual_seed(1000 + seed)
    test = [batch(domain, 2000, generator) for domain in range(3)]
    right = copy.deepcopy(model)
    update_bn([x for x, _ in test], right)
    norm, true = model[4], right[4]
    gap = ((norm.running_mean - true.running_mean) / true.running_var.sqrt()).abs().mean()
    model.eval()
    with torch.no_grad():
        return [float(sum(nn.functional.cross_entropy(model(x), y) for x, y in test) / 3), float(gap)]


def recalibrated(seed, optimizer):
    model = train(seed, optimizer, frozen=False)
    generator = torch.Generator().manual_seed(2000 + seed)
    update_bn([batch(domain, 256, generator)[0] for domain in range(3)], model)
    return model


def main(seeds=5):
    torch.set_num_threads(1)  # the tensors are small
    policies = {
        "left to run": functools.partial(train, frozen=False),
        "recalibrated": recalibrated,
        "frozen": functools.partial(train, frozen=True),
    }
    optimizers = {"Adam": torch.optim.Adam, "PGrad": functools.partial(pgrad.PGrad, rollout_length=9, outer_lr=0.5)}
    print("optimizer  policy        loss             gap")
    for title, optimizer in optimizers.items():
        for name, policy in policies.items():
            found = torch.tensor([measure(policy(seed, optimizer), seed) for seed in range(seeds)])
            (loss, gap), (loss_sd, gap_sd) = found.mean(0).tolist(), found.std(0, correction=int(seeds > 1)).tolist()
            print(f"{title:<9}  {name:<12}  {loss:.3f} +- {loss_sd:.3f}  {gap:.3f} +- {gap_sd:.3f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
