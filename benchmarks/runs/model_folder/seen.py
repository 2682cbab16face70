"""How unlike new examples are to those that a model was trained on: a distance in the space of its features.

The features of an example are what the last linear layer gets. Of those of the training examples scikit-learn's
principal component analysis keeps the main directions, whitened; the measure of a set of examples is the mean of their
squared distances from the mean in that space, over the number of directions (the Mahalanobis distance of Lee et al.
2018, arXiv:1807.03888): about 1 for examples like those of training. What is large is told by the same measure of each
training domain when it was the one left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

DIRECTIONS = 32
AT_ONCE = 256
MOST = 5000
"""Training examples that the directions are found from, evenly spaced in their order."""


@torch.inference_mode()
def features(model: nn.Module, inputs: Tensor) -> Tensor:
    """``[n, features]``, float32 on the CPU: what the last linear layer of a model gets.

    Raises:
        ValueError: if it has no linear layer.
    """
    linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    if not linear:
        raise ValueError("the model has no linear layer, whose inputs would be the features of an example")
    found: list[Tensor] = []

    def note(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        found.append(given[0].detach().float().flatten(1).cpu())

    hook = linear[-1].register_forward_pre_hook(note)
    try:
        for part in inputs.split(AT_ONCE):
            model(part)
    finally:
        hook.remove()
    return torch.cat(found)


@dataclass(frozen=True)
class Seen:
    """What the training examples looked like.

    Attributes:
        mean: ``[features]``.
        directions: ``[directions, features]``, each divided by the deviation along it.
    """

    mean: Tensor
    directions: Tensor

    @classmethod
    def of(cls, found: Tensor) -> Seen:
        """That of features ``[n, features]``."""
        if len(found) > MOST:
            found = found[torch.linspace(0, len(found) - 1, MOST).long()]
        values = found.double().numpy()
        if not np.ptp(values, axis=0).any():
            return cls(found[0].clone(), torch.empty(0, found.shape[1]))
        number = min(DIRECTIONS, *values.shape)
        pca = PCA(n_components=number, svd_solver="full").fit(values)
        variances = pca.explained_variance_
        real = variances > 1e-9 * max(float(variances[0]), 1e-30)
        directions = pca.components_[real] / np.sqrt(variances[real])[:, None]
        return cls(torch.from_numpy(pca.mean_).float(), torch.from_numpy(directions).float())

    def tensors(self) -> dict[str, Tensor]:
        """For a file."""
        return {"mean": self.mean, "directions": self.directions}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Seen | None:
        """From a file; None if it holds nothing.

        Raises:
            ValueError: if the tensors do not fit together.
        """
        if not tensors:
            return None
        mean, directions = tensors.get("mean"), tensors.get("directions")
        if mean is None or directions is None or directions.shape[1:] != mean.shape:
            raise ValueError("seen.safetensors must hold mean [features] and directions [directions, features]")
        return cls(mean, directions)


def unlikeness(seen: Seen, found: Tensor) -> float:
    """The measure of examples with features ``[n, features]``; 0 where training examples did not vary.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> seen = Seen.of(torch.randn(2000, 4))
        >>> round(unlikeness(seen, torch.randn(2000, 4)), 1), round(unlikeness(seen, 2 + torch.randn(2000, 4)), 1)
        (1.0, 4.8)
    """
    if not len(seen.directions):
        return 0.0
    along = (found.double() - seen.mean.double()) @ seen.directions.double().T
    return float(along.square().mean())
