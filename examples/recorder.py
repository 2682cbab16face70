"""What a recorder costs: the time of a roll-out with and without it, on a network of 1.2 million parameters.

python examples/recorder.py
"""

import statistics
import time

import torch
from torch import nn

import pgrad
from pgrad import analysis

torch.manual_seed(0)
STEPS, ROLLOUTS = 9, 40
inputs, labels = torch.randn(64, 512), torch.randint(10, (64,))


def seconds(record):
    """Median over roll-outs, of a fresh model."""
    model = nn.Sequential(nn.Linear(512, 1024), nn.ReLU(), nn.Linear(1024, 640), nn.ReLU(), nn.Linear(640, 10))
    opt = pgrad.PGrad(model.parameters(), lr=1e-3, rollout_length=STEPS)
    record(opt, model)
    found = []
    for _ in range(ROLLOUTS):
        begin = time.perf_counter()
        for step in range(STEPS):
            opt.zero_grad()
            nn.functional.cross_entropy(model(inputs), labels).backward()
            opt.step(domain=step % 3)
        found.append(time.perf_counter() - begin)
    return statistics.median(found)


kinds = {
    "without": lambda opt, model: None,
    "recorder": lambda opt, model: analysis.Recorder(opt).attach(),
    "recorder with layers": lambda opt, model: analysis.Recorder(opt, parts=analysis.layers(model)).attach(),
}
rounds = [{name: seconds(record) for name, record in kinds.items()} for _ in range(3)]
best = {name: min(times[name] for times in rounds) for name in kinds}
for name, value in best.items():
    more = 100 * (value / best["without"] - 1)
    print(f"{name:<22} {1000 * value:7.2f} ms a roll-out, {more:+.1f} %, {1000 * (value - best['without']):+.2f} ms")
