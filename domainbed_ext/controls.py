"""The controls of PGrad: the same inner steps, put together otherwise. They know parameters and no DomainBed.

Both are driven like `pgrad.PGrad` per step: gradients of one mini-batch of one domain, then ``step``; every T-th step
the outer SGD moves the anchor. A roll-out that leaves the finite numbers is dropped, as `pgrad.PGrad` drops it.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from pgrad import PrincipalWeights, principal_weights
from pgrad._engine.trajectory import Trajectory

__all__ = ["Parallel", "Reptile"]


class _Control:
    def __init__(self, params: Iterable[Tensor], rollout_length: int, outer_lr: float, weight_decay: float) -> None:
        self.params = [p for p in params if p.requires_grad]
        self.rollout_length = rollout_length
        self.outer = torch.optim.SGD(self.params, lr=outer_lr, weight_decay=weight_decay)
        self.position = 0
        self.nonfinite_rollouts = 0

    def zero_grad(self) -> None:
        self.outer.zero_grad()

    def _drop(self, *inner: torch.optim.Optimizer) -> None:
        """The anchor is back; the moments must not carry infinities into the next roll-out."""
        self.nonfinite_rollouts += 1
        for state in (s for optimizer in inner for s in optimizer.state.values()):
            for value in state.values():
                if isinstance(value, Tensor):
                    torch.nan_to_num(value, nan=0.0, posinf=0.0, neginf=0.0, out=value)


class Reptile(_Control):
    """The matched control: the roll-out of PGrad, moved along its plain displacement theta_0 - theta_T.

    Inner optimizer (Adam, moments carry over), length T, outer SGD and order of batches are those of PGrad.

    Source: Reptile, arXiv:1803.02999, and Fish, arXiv:2104.09937; with outer_lr it is Lookahead, arXiv:1907.08610.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float, rollout_length: int, outer_lr: float, weight_decay: float
    ) -> None:
        super().__init__(params, rollout_length, outer_lr, weight_decay)
        self.inner = torch.optim.Adam(self.params, lr=lr)
        self._anchor: list[Tensor] = []

    @torch.no_grad()
    def step(self) -> None:
        if self.position == 0:
            self._anchor = [p.clone() for p in self.params]
        self.inner.step()
        self.position += 1
        if self.position < self.rollout_length:
            return
        self.position = 0
        back = [anchor - p for p, anchor in zip(self.params, self._anchor, strict=True)]
        for p, anchor, way in zip(self.params, self._anchor, back, strict=True):
            p.copy_(anchor)
            p.grad = way
        if all(bool(way.isfinite().all()) for way in back):
            self.outer.step()
        else:
            self._drop(self.inner)


class Parallel(_Control):
    """Every inner step starts at the anchor; the end points x_1 .. x_T are stacked, and their components taken.

    Each domain walks with an Adam of its own, whose moments carry over, so that no step depends on the order. The
    points are the anchor x_0 = 0, the end points, and their mean m as the point where they meet: the directions are
    turned towards -m, and the length is that of T steps taken together, ||x_1 + .. + x_T||, as in a roll-out.

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
        super().__init__(params, rollout_length, outer_lr, weight_decay)
        self.inner = [torch.optim.Adam(self.params, lr=lr) for _ in range(num_domains)]
        self.n_components = n_components
        self.last_update: PrincipalWeights | None = None
        self._trajectory = Trajectory(trajectory_dtype)

    @torch.no_grad()
    def step(self, domain: int) -> None:
        length = self.rollout_length
        if self.position == 0:
            self._trajectory.record(self.params, 0, length)
        self.inner[domain].step()
        self.position += 1
        if self.position < length:
            self._trajectory.record((), self.position, length)
            self._trajectory.restore()
            return
        self.position = 0
        gram = self._trajectory.close(length)
        if not gram.isfinite().all():
            self._drop(*self.inner)
            return
        mean = torch.full((1, length + 1), 1 / length, dtype=gram.dtype)
        mean[0, 0] = 0
        points = torch.cat([torch.eye(length + 1, dtype=gram.dtype), mean])
        rtol = (length + 2) * self._trajectory.eps
        self.last_update = principal_weights(points @ gram @ points.T, self.n_components, rtol=rtol)
        gradients = self._trajectory.weighted_sum(length * (points.T @ self.last_update.weights))
        for p in self.params:
            p.grad = gradients[p]
        self.outer.step()
