"""Mixed precision: float16 with a gradient scaler, clipping, and a step that the scaler skips.

python examples/amp.py
"""

import torch
from torch import nn

import pgrad

device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2)).to(device)
opt = pgrad.PGrad(model.parameters(), lr=3e-3, rollout_length=3, outer_lr=0.5)
scaler = torch.amp.GradScaler(device)  # its first scale of 65536 is too much here

for step in range(90):
    domain = step % 3
    x = torch.randn(16, 8, device=device) + domain
    y = (x[:, 0] > domain).long()
    opt.zero_grad()
    with torch.autocast(device, dtype=torch.float16):
        loss = nn.functional.cross_entropy(model(10 * x), y)
    scaler.scale(loss).backward()
    scaler.unscale_(opt)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    before = opt.rollout_position
    scaler.step(opt)  # without a closure: torch allows none here
    skipped = opt.rollout_position == before
    scaler.update()
    if skipped:
        print(f"step {step}: gradients overflowed, position stays {before}, scale is now {scaler.get_scale():.0f}")
print(f"loss {loss.item():.3f}, position {opt.rollout_position}, roll-outs lost: {opt.nonfinite_rollouts}")
