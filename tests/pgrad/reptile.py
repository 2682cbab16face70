"""Reptile, written without pgrad: the independent check of the displacement aggregation."""

import torch


class Reptile(torch.optim.Optimizer):
    """T inner steps, then one step of the outer optimizer from the anchor along theta_0 - theta_T.

    Nichol et al. 2018, arXiv:1803.02999; over domains it is Fish, Shi et al. 2022, arXiv:2104.09937.
    """

    def __init__(self, params, lr, rollout_length, outer_lr, inner=torch.optim.Adam, outer=torch.optim.SGD):
        params = list(params)
        super().__init__(params, {"lr": lr})
        self.inner, self.outer = inner(params, lr=lr), outer(params, lr=outer_lr)
        self.params, self.rollout_length = params, rollout_length
        self.position = 0

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self.position == 0:
            self.anchor = [p.clone() for p in self.params]
        self.inner.step()
        self.position += 1
        if self.position == self.rollout_length:
            for p, anchor in zip(self.params, self.anchor, strict=True):
                p.grad = anchor - p
                p.copy_(anchor)
            self.outer.step()
            self.position = 0
        return loss
