"""Accelerate: prepare, clip, evaluate at the anchor, save the state in the middle of a roll-out.

python examples/accelerate_loop.py
"""

import tempfile

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import pgrad

try:
    from accelerate import Accelerator
except ImportError as error:
    raise SystemExit(f"{error}; this example needs: pip install accelerate") from error

accelerator = Accelerator()
torch.manual_seed(0)
domains = torch.arange(3).repeat_interleave(40)
x = torch.randn(120, 8) + domains[:, None]
data = TensorDataset(x, (x[:, 0] > domains).long())
sampler = pgrad.DomainBatchSampler(domains, batch_size=8)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
pg = pgrad.PGrad(model.parameters(), lr=1e-2, rollout_length=4, outer_lr=0.5)  # kept: the wrapper lacks its methods
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(pg, T_max=100)
model, opt, loader, scheduler = accelerator.prepare(model, pg, DataLoader(data, batch_sampler=sampler), scheduler)

for epoch in range(6):
    for inputs, labels in loader:
        with accelerator.accumulate(model):
            accelerator.backward(nn.functional.cross_entropy(model(inputs), labels))
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            scheduler.step()
            opt.zero_grad()
    with pg.at_anchor(), torch.no_grad():
        accuracy = (model(x.to(accelerator.device)).argmax(1).cpu() == data.tensors[1]).float().mean()
    print(f"epoch {epoch}: accuracy at the anchor {accuracy:.2f}, position {pg.rollout_position}")

with tempfile.TemporaryDirectory() as folder:
    accelerator.save_state(folder)
    accelerator.load_state(folder)
print(f"state saved and loaded at position {pg.rollout_position} of {pg.rollout_length}")
