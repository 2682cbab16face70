"""What less memory costs in accuracy: the principal gradient of options against that of all points in float32.

``python -m benchmarks.studies.performance.accuracy`` prints, over ten roll-outs on the rotated digits (five angles in
turn, batches of 32, an MLP of 64 units, Adam), the lowest cosine and the largest error relative to the length. The
outer optimizer keeps the model where it is, so that all options see the same points.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import cross_entropy

import pgrad
from benchmarks.datasets import DATASETS, MultiDomainData
from benchmarks.models import mlp

ROLLOUTS = 10
OPTIONS: dict[str, Mapping[str, Any]] = {
    "trajectory_dtype=torch.bfloat16": {"trajectory_dtype": torch.bfloat16},
}


def principal_gradients(data: MultiDomainData, steps: int, options: Mapping[str, Any]) -> Tensor:
    """[roll-outs, d]."""
    found: list[Tensor] = []

    class Keep(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]  # noqa: ARG002  torch has overloads
            found.append(torch.cat([p.grad.flatten() for group in self.param_groups for p in group["params"]]))

    torch.manual_seed(0)
    model = mlp(data.input_shape, data.n_outputs, 64)
    optimizer = pgrad.PGrad(model.parameters(), 1e-2, steps, outer=Keep, **options)
    found.clear()  # what it saw when the optimizer was made, and tried it
    for step in range(ROLLOUTS * steps):
        domain = data.domains[step % 5]
        index = torch.randint(len(domain), (32,))
        optimizer.zero_grad()
        cross_entropy(model(domain.inputs[index]), domain.labels[index]).backward()
        optimizer.step()
    return torch.stack(found)


def main() -> None:
    """One line for each length and option."""
    data = DATASETS["rotated-digits"].factory()
    table = Table("T", "option", f"cosine, lowest of {ROLLOUTS}", f"relative error, largest of {ROLLOUTS}")
    for steps in (9, 27, 64):
        exact = principal_gradients(data, steps, {})
        for name, options in OPTIONS.items():
            found = principal_gradients(data, steps, options)
            cosine = torch.cosine_similarity(found, exact, dim=1).min()
            error = ((found - exact).norm(dim=1) / exact.norm(dim=1)).max()
            table.add_row(str(steps), name, f"{cosine:.6f}", f"{error:.1e}")
    Console().print(table)


if __name__ == "__main__":
    main()
