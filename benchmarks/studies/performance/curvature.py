"""Ten eigenpairs of the Gauss-Newton matrix of a ResNet-50 over 64 pictures: cost before, time and memory after.

    python -m benchmarks.studies.performance.curvature              # pictures of 224 x 224 pixels
    python -m benchmarks.studies.performance.curvature --pixels 64 --batch-size 64

Weights and pictures are random: it is about what a product costs. Needs torchvision and pgrad[analysis].
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import cyclopts
import torch
import torchvision

from benchmarks.base.resources import peak_resident
from pgrad import analysis

_Made = TypeVar("_Made")


def main(
    *,
    pixels: int = 224,
    pictures: int = 64,
    batch_size: int = 16,
    classes: int = 7,
    eigenpairs: int = 10,
    tol: float = 1e-4,
) -> None:
    """Measure the curvature of a ResNet-50.

    Parameters
    ----------
    pixels:
        Of a side of the pictures.
    pictures:
        Over which the matrix is taken.
    batch_size:
        Pictures at a time; the graph of a single batch is kept between products.
    classes:
        Outputs of the network.
    eigenpairs:
        That are looked for.
    tol:
        Their accuracy.
    """
    torch.manual_seed(0)
    model = torchvision.models.resnet50(num_classes=classes).eval()
    inputs, labels = torch.randn(pictures, 3, pixels, pixels), torch.randint(classes, (pictures,))
    batches = list(zip(inputs.split(batch_size), labels.split(batch_size), strict=True))

    curvature = analysis.GaussNewton(model, torch.nn.functional.cross_entropy, batches)
    gradient = _seconds(curvature.gradient)[1]
    before = peak_resident()
    pairs, seconds = _seconds(lambda: curvature.top(eigenpairs, tol=tol, progress=True))
    more = (peak_resident() - before) / (4 * curvature.size)
    print(f"{curvature.size / 1e6:.1f} million parameters, one gradient over all pictures {gradient:.1f} CPU s")
    print(
        f"{eigenpairs} eigenpairs: {pairs.products} products, {seconds:.0f} CPU s = {seconds / gradient:.0f} gradients"
    )
    print(f"the peak of memory rose by {more:.1f} vectors of the size of the model over that of the gradient")
    print("eigenvalues:", " ".join(f"{value:.4g}" for value in pairs.values.tolist()))


def _seconds(do: Callable[[], _Made]) -> tuple[_Made, float]:
    """What it makes, and its processor time: of all threads, and the same beside other work."""
    begin = time.process_time()
    made = do()
    return made, time.process_time() - begin


if __name__ == "__main__":
    cyclopts.run(main)
