"""An ordinary loop: one single-domain mini-batch a step. Stopped in the middle of a roll-out and resumed.

python examples/plain.py
"""

import io

import torch
from torch import nn
from torch.utils.data import TensorDataset

import pgrad


def make():
    torch.manual_seed(0)
    domains = torch.arange(3).repeat_interleave(40)
    x = torch.randn(120, 8) + domains[:, None]
    data = TensorDataset(x, (x[:, 0] > domains).long())
    sampler = pgrad.DomainBatchSampler(domains, batch_size=8, splits=2)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    opt = pgrad.PGrad(model.parameters(), lr=3e-3, rollout_length=sampler.rollout_length, outer_lr=0.5)
    return model, opt, pgrad.ResumableLoader(data, sampler), data


def accuracy(model, opt, data):
    with opt.at_anchor(), torch.no_grad():  # the model is at a solution here, whatever the position
        x, y = data.tensors
        return (model(x).argmax(1) == y).float().mean().item()


def steps(model, opt, loader, count):
    for _, (x, y) in zip(range(count), loader, strict=False):
        opt.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        opt.step()


model, opt, loader, data = make()
print(f"start: accuracy {accuracy(model, opt, data):.2f}")
for _ in range(8):
    steps(model, opt, loader, len(loader))
print(f"after {8 * len(loader)} steps: accuracy {accuracy(model, opt, data):.2f}; {opt.last_update}")

steps(model, opt, loader, 4)
file = io.BytesIO()
torch.save({"model": model.state_dict(), "opt": opt.state_dict(), "data": loader.state_dict()}, file)
file.seek(0)
saved = torch.load(file, weights_only=True)

resumed, its_opt, its_loader, _ = make()
resumed.load_state_dict(saved["model"])
its_opt.load_state_dict(saved["opt"])
its_loader.load_state_dict(saved["data"])
loader.load_state_dict(saved["data"])  # both go on from the same place
steps(model, opt, loader, 6)
steps(resumed, its_opt, its_loader, 6)
same = all(map(torch.equal, model.parameters(), resumed.parameters()))
print(f"resumed at position {its_opt.rollout_position} of {opt.rollout_length}, the same bits: {same}")
