"""pgrad: an optimizer for domain generalization in PyTorch (PGrad, arXiv:2305.01134).

An ordinary optimizer walks a short roll-out over the training domains; pgrad takes the principal components of that
walk and moves the model once along the directions that the domains share.

Example:
    >>> import torch, pgrad
    >>> model = torch.nn.Linear(2, 1)
    >>> opt = pgrad.PGrad(model.parameters(), lr=1e-2, rollout_length=6)
    >>> for step in range(6):  # one mini-batch of one domain a step
    ...     opt.zero_grad()
    ...     loss = model(torch.randn(4, 2)).square().mean()
    ...     loss.backward()
    ...     _ = opt.step()
    >>> opt.rollout_position, opt.last_update.n_components
    (0, 3)
"""

from pgrad import aggregation, reference
from pgrad.data import DomainBatchSampler, microbatches, split_by_domain
from pgrad.optimizer import PGrad
from pgrad.principal import PrincipalWeights, principal_weights, random_walk_spectrum

__all__ = [
    "DomainBatchSampler",
    "PGrad",
    "PrincipalWeights",
    "aggregation",
    "microbatches",
    "principal_weights",
    "random_walk_spectrum",
    "reference",
    "split_by_domain",
]

__version__ = "0.1.0"
