"""Imported by the server that workers are forked from: what the first run of a process would otherwise pay for.

torch imports its compiler when an optimizer makes its first step, which takes longer than a short run.
"""

from __future__ import annotations

import torch

import benchmarks.sweeps.worker  # noqa: F401

_parameter = torch.nn.Parameter(torch.zeros(1))
_parameter.grad = torch.zeros(1)
torch.optim.Adam([_parameter]).step()
