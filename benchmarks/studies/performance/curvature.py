"""Ten eigenpairs of the Gauss-Newton matrix of a ResNet-50 over 64 pictures: cost before, time and memory after.

    python -m benchmarks.studies.performance.curvature              # pictures of 224 x 224 pixels
    python -m benchmarks.studies.performance.curvature --pixels 64

Weights and pictures are random: it is about what a product costs. Needs torchvision and pgrad[analysis].
"""

from __future__ import annotations

import time

import cyclopts
import torch
import torchvision

from benchmarks.base.resources import peak_resident
from pgrad import analysis


def main(
    *, pixels: int = 224, pictures: int = 64, batch_size: int = 16, classes: int = 7, eigenpairs: int = 10
) -> None:
    """Measure the curvature of a ResNet-50.

    Parameters
    ----------
    pixels:
        Of a side of the pictures.
    pictures:
        Over which the matrix is taken.
    batch_size:
        Pictures at a time.
    classes:
        Outputs of the network.
    eigenpairs:
        That are looked for.
    """
    torch.manual_seed(0)
    model = torchvision.models.resnet50(num_classes=classes).eval()
    inputs, labels = torch.randn(pictures, 3, pixels, pixels), torch.randint(classes, (pictures,))
    batches = list(zip(inputs.split(batch_size), labels.split(batch_size), strict=True))

    curvature = analysis.GaussNewton(model, torch.nn.functional.cross_entropy, batches)
    begin = time.perf_counter()
    curvature.gradient()
    gradient = time.perf_counter() - begin
    before = peak_resident()
    begin = time.perf_counter()
    pairs = curvature.top(eigenpairs, progress=True)
    seconds = time.perf_counter() - begin
    more = (peak_resident() - before) / (4 * curvature.size)
    print(f"{curvature.size / 1e6:.1f} million parameters, one gradient over all pictures {gradient:.1f} s")
    print(f"{eigenpairs} eigenpairs: {pairs.products} products, {seconds:.0f} s = {seconds / gradient:.0f} gradients")
    print(f"the peak of memory rose by {more:.1f} vectors of the size of the model over that of the gradient")
    print("eigenvalues:", " ".join(f"{value:.4g}" for value in pairs.values.tolist()))


if __name__ == "__main__":
    cyclopts.run(main)
