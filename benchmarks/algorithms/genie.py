"""GENIE, an optimizer that evens out how much each parameter gains in generalization.

Cho, Kim & Kim 2025 (ICML; arXiv:2606.16301), written from the paper's idea and the update in the authors' released code
(00ssum/GENIE). Per parameter, from moving averages m of the gradient g and v of its square with decay beta, both
corrected for their start at zero (t is the number of updates)::

    r2     = (1 - beta) (1 + beta^t) / ((1 + beta) (1 - beta^t))      share of one gradient's variance that m still has
    s2     = (v - m^2) / (1 - r2)                                      variance of g
    trust  = tanh(min(1 / s2, 10))
    snr    = 1 / (1 + r2 s2 / m^2)                                     signal of m over signal and noise
    step   = trust snr m + (1 - trust) n e,      n = sum trust snr |m| / sum trust  over one tensor,  e ~ N(0, 1)
    theta <- theta - lr mask step,               mask = Bernoulli(1 - p) / (1 - p)

Noise takes the place of gradients that are too noisy to trust, and the mask drops a part p of the update.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.algorithms.base import AlgorithmEntry, Setup
from benchmarks.algorithms.erm import ERM
from benchmarks.base.search import Choice, HParams, LogUniform

_FLOOR = 1e-8  # of variances and squares that are divided by


class GENIE(Optimizer):
    """The update above.

    Args:
        params: As for every optimizer of torch.
        lr: Length of the step; the authors' code calls it convergence_rate.
        weight_decay: L2 regularization.
        beta: Decay of the moving averages.
        drop: The part p of the update that is left out.
        generator: Where noise and mask are drawn.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        weight_decay: float = 0.0,
        beta: float = 0.95,
        drop: float = 0.4,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "beta": beta, "drop": drop})
        self.generator = generator

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group)
        return loss

    def _move(self, parameter: Tensor, group: dict[str, Any]) -> None:
        gradient = (parameter * group["weight_decay"]).add_(parameter.grad)
        state = self.state[parameter]
        if not state:
            state.update(step=0, mean=torch.zeros_like(parameter), square=torch.zeros_like(parameter))
        state["step"] += 1
        state["mean"].lerp_(gradient, 1 - group["beta"])
        state["square"].lerp_(gradient.square_(), 1 - group["beta"])
        signal, trust = signal_and_trust(state["mean"], state["square"], group["beta"], state["step"])
        scale = signal.abs().mul_(trust).sum() / trust.sum()
        noise = torch.randn(parameter.shape, generator=self.generator, dtype=parameter.dtype).to(parameter.device)
        step = noise.mul_((1 - trust).mul_(scale)).add_(signal.mul_(trust))
        if group["drop"] > 0:
            kept = torch.rand(parameter.shape, generator=self.generator).to(parameter.device) > group["drop"]
            step.mul_(kept).div_(1 - group["drop"])
        parameter.sub_(step.mul_(group["lr"]))


def signal_and_trust(mean: Tensor, square: Tensor, beta: float, step: int) -> tuple[Tensor, Tensor]:
    """``snr m`` and ``trust`` of the formulas above, from the moving averages before their correction."""
    correction = 1 - beta**step
    mean = mean / correction
    power = mean.square()
    share = (1 - beta) * (1 + beta**step) / ((1 + beta) * correction)
    if step > 1:
        variance = (square / correction).sub_(power).div_(1 - share)
        variance = torch.where(variance > 0, variance, _FLOOR)
    else:
        variance = torch.full_like(mean, _FLOOR)  # of one gradient no variance can be told
    trust = variance.reciprocal().clamp_max_(10.0).tanh_()
    noise_to_signal = variance.mul_(share).clamp_min_(_FLOOR).div_(power.add_(_FLOOR))
    return mean.mul_(noise_to_signal.add_(1).reciprocal_()), trust


class GENIEDescent(ERM):
    """ERM by GENIE."""

    optimizer: GENIE

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup) -> None:
        super().__init__(model, hparams, setup, optimizer=_genie)

    def state_dict(self) -> dict[str, Any]:
        generator = self.optimizer.generator
        return {**super().state_dict(), "generator": None if generator is None else generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        if self.optimizer.generator is not None:
            self.optimizer.generator.set_state(state["generator"].cpu())


def _genie(model: nn.Module, hparams: HParams, setup: Setup) -> GENIE:
    return GENIE(setup.parameters(model), **hparams, generator=torch.Generator().manual_seed(setup.seed))


ENTRIES = {
    "genie": AlgorithmEntry(
        factory=GENIEDescent,
        description="steps preconditioned by the trust in each parameter's gradient, with noise and dropout",
        use="noise against overfitting to single domains: best on rotated Fashion-MNIST, not elsewhere",
        batches="pooled",
        space={
            "lr": LogUniform(default=0.1, low=1e-2, high=1.0),
            "weight_decay": LogUniform(default=1e-5, low=1e-6, high=1e-2),
            "beta": Choice(default=0.95, values=(0.9, 0.95, 0.99)),
            "drop": Choice(default=0.4, values=(0.0, 0.2, 0.4)),
        },
        source="Cho et al. 2025, arXiv:2606.16301; the update of the authors' released code",
    ),
}
