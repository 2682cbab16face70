"""What a recorder costs: the time of a roll-out with and without it, on a network of 1.2 million parameters.

python -m benchmarks.studies.performance.recorder
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

import pgrad
from pgrad import analysis

STEPS, ROLLOUTS, ROUNDS = 9, 40, 3

Begin = Callable[[pgrad.PGrad, nn.Module], object]

KINDS: dict[str, Begin] = {
    "without": lambda opt, model: None,
    "recorder": lambda opt, model: analysis.Recorder(opt).attach(),
    "recorder with layers": lambda opt, model: analysis.Recorder(opt, parts=analysis.layers(model)).attach(),
}


def seconds(begin: Begin, rollouts: int = ROLLOUTS) -> float:
    """Median over roll-outs, of a fresh model."""
    torch.manual_seed(0)
    inputs, labels = torch.randn(64, 512), torch.randint(10, (64,))
    model = nn.Sequential(nn.Linear(512, 1024), nn.ReLU(), nn.Linear(1024, 640), nn.ReLU(), nn.Linear(640, 10))
    opt = pgrad.PGrad(model.parameters(), lr=1e-3, rollout_length=STEPS)
    begin(opt, model)
    found = []
    for _ in range(rollouts):
        start = time.perf_counter()
        for step in range(STEPS):
            opt.zero_grad()
            nn.functional.cross_entropy(model(inputs), labels).backward()
            opt.step(domain=step % 3)
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def main(rollouts: int = ROLLOUTS, rounds: int = ROUNDS) -> None:
    """Prints the best of some rounds of each kind."""
    times = [{name: seconds(begin, rollouts) for name, begin in KINDS.items()} for _ in range(rounds)]
    best = {name: min(each[name] for each in times) for name in KINDS}
    for name, value in best.items():
        more = 100 * (value / best["without"] - 1)
        print(
            f"{name:<22} {1000 * value:7.2f} ms a roll-out, {more:+.1f} %, {1000 * (value - best['without']):+.2f} ms"
        )


if __name__ == "__main__":
    main()
