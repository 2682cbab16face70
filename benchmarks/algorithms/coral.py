"""CORAL: the features of the domains should have the same mean and covariance.

Sun & Saenko 2016 (Deep CORAL, arXiv:1607.01719) match covariances of two domains; over all pairs of D domains and with
the means, as DomainBed has it::

    penalty = mean over pairs (d, e) of  mean_i (m_d - m_e)_i^2  +  mean_ij (C_d - C_e)_ij^2

m and C are mean and (unbiased) covariance over a mini-batch of what goes into the last linear layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.algorithms.base import AlgorithmEntry, Setup
from benchmarks.algorithms.joint import Features, require_pairs
from benchmarks.algorithms.optimizers import ADAM
from benchmarks.algorithms.penalized import Penalized
from benchmarks.base.search import HParams, LogUniform


def distances(features: Tensor) -> Tensor:
    """How far the first two moments of every two sets of features are apart: ``[D, n, d] -> [D (D - 1) / 2]``.

    No covariance ``[d, d]`` is formed: with centred features A and B, of n rows each,
    ``(n - 1)^2 |C_A - C_B|^2 = |A A'|^2 + |B B'|^2 - 2 |A B'|^2``, and n is the small number where features are wide.
    """
    n_domains, n, width = features.shape
    means = features.mean(dim=1)
    centred = (features - means[:, None]).flatten(0, 1)
    products = (centred @ centred.T).square().view(n_domains, n, n_domains, n).sum(dim=(1, 3)) / (n - 1) ** 2
    one, other = torch.triu_indices(n_domains, n_domains, offset=1, device=features.device)
    covariances = products[one, one] + products[other, other] - 2 * products[one, other]
    return (means[one] - means[other]).square().mean(dim=1) + covariances / width**2


class CORAL(Penalized):
    """The mean risk and the mean distance of the domains' features."""

    def __init__(self, model: nn.Module, hparams: HParams, setup: Setup) -> None:
        super().__init__(model, hparams, setup)
        self.features = Features(model)

    def penalty(self, outputs: Tensor, labels: Tensor, risks: Tensor) -> Tensor:  # noqa: ARG002
        require_pairs(labels, "coral, which takes their covariance")
        features = self.features.take().unflatten(0, labels.shape[:2])
        return distances(features).mean() if len(features) > 1 else outputs.new_zeros(())


ENTRIES = {
    "coral": AlgorithmEntry(
        factory=CORAL,
        description="Adam on the mean risk and the distance of the domains' features in mean and covariance",
        use="features that look alike in every domain; best on the physics regression; just the mean risk where "
        "nothing is trained before the last layer",
        batches="joint",
        space={**ADAM, "penalty_weight": LogUniform(default=1.0, low=0.1, high=10.0)},
        source="Sun & Saenko 2016, arXiv:1607.01719; between all pairs of domains as in DomainBed",
    ),
}
