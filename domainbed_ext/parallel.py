"""The parallel variant of PGrad: every inner step starts at the anchor. It knows parameters and no DomainBed.

It is driven like `pgrad.PGrad` per step: gradients of one mini-batch of one domain, then ``step``; every T-th step the
outer SGD moves the anchor. A roll-out that leaves the finite numbers is dropped, as `pgrad.PGrad` drops it.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

import pgrad

__all__ = ["Parallel"]


class Parallel:
    """Every inner step starts at the anchor; the end points x_1 .. x_T are stacked, and their components taken.

    Each domain has an Adam of its own, whose moments carry over, so that no step depends on the order. The points are
    the anchor x_0 = 0, the end points, and their mean m as the point where they meet: the directions are turned towards
    -m, and the length is that of T steps taken together, ||x_1 + .. + x_T||, as in a roll-out.

    The principal weights are those of A G A', with G the Gram matrix of x_0 .. x_T and A = [I; (0, 1/T, .., 1/T)].
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        rollout_length: int,
        outer_lr: float,
        weight_decay: float,
        n_components: int,
        num_domains: int,
        trajectory_dtype: torch.dtype | None = None,
    ) -> None:
        self.params = [p for p in params if p.requires_grad]
        self.rollout_length = rollout_length
        self.n_components = n_components
        self.inner = [torch.optim.Adam(self.params, lr=lr) for _ in range(num_domains)]
        self.outer = torch.optim.SGD(self.params, lr=outer_lr, weight_decay=weight_decay)
        self.nonfinite_rollouts = 0
        self.last_update: pgrad.Update | None = None
        self._dtype = trajectory_dtype
        self._rows: list[Tensor] = []

    def zero_grad(self) -> None:
        self.outer.zero_grad()

    @torch.no_grad()
    def step(self, domain: int) -> None:
        """An inner step from the anchor; the T-th also makes the outer step."""
        anchor = [p.clone() for p in self.params]
        self.inner[domain].step()
        row = torch.cat([(p - kept).reshape(-1) for p, kept in zip(self.params, anchor, strict=True)])
        self._rows.append(row if self._dtype is None else row.to(self._dtype))
        for p, kept in zip(self.params, anchor, strict=True):
            p.copy_(kept)
        if len(self._rows) == self.rollout_length:
            self._outer_step()

    def _outer_step(self) -> None:
        rows, steps = self._rows, self.rollout_length
        self._rows = []
        gram = torch.zeros(steps + 1, steps + 1, dtype=torch.float64)
        for parts in zip(*(row.split(1 << 16) for row in rows), strict=True):
            part = torch.stack(parts).double()
            gram[1:, 1:] += (part @ part.T).cpu()
        if not gram.isfinite().all():
            self._drop()
            return
        points = torch.cat(
            [torch.eye(steps + 1, dtype=torch.float64), torch.full((1, steps + 1), 1 / steps, dtype=torch.float64)]
        )
        points[-1, 0] = 0
        rtol = (steps + 2) * torch.finfo(torch.float32).eps
        self.last_update = pgrad.principal_weights(points @ gram @ points.T, self.n_components, rtol=rtol)
        weights = steps * (points.T @ self.last_update.weights)
        gradient = torch.zeros_like(rows[0], dtype=self.params[0].dtype)
        for weight, row in zip(weights[1:].tolist(), rows, strict=True):
            gradient.add_(row, alpha=weight)
        shapes = [p.numel() for p in self.params]
        for p, part in zip(self.params, gradient.split(shapes), strict=True):
            p.grad = part.view_as(p)
        self.outer.step()

    def _drop(self) -> None:
        """The moments must not carry infinities into the next roll-out."""
        self.nonfinite_rollouts += 1
        for state in (s for optimizer in self.inner for s in optimizer.state.values()):
            for value in state.values():
                if isinstance(value, Tensor):
                    torch.nan_to_num(value, nan=0.0, posinf=0.0, neginf=0.0, out=value)
