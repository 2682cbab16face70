"""Ten eigenpairs of the Gauss-Newton matrix of a ResNet-50 over 64 pictures: cost before, time and memory after.

    python examples/curvature.py              # pictures of 224 x 224 pixels
    python examples/curvature.py --pixels 64

Weights and pictures are random: it is about what a product costs. Needs torchvision and pgrad[analysis].
"""

import argparse
import resource
import time

import torch
import torchvision

from pgrad import analysis


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pixels", type=int, default=224)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--classes", type=int, default=7)
    parser.add_argument("--eigenpairs", type=int, default=10)
    options = parser.parse_args()

    torch.manual_seed(0)
    model = torchvision.models.resnet50(num_classes=options.classes).eval()
    pictures = torch.randn(options.pictures, 3, options.pixels, options.pixels)
    labels = torch.randint(options.classes, (options.pictures,))
    batches = list(zip(pictures.split(options.batch_size), labels.split(options.batch_size), strict=True))

    curvature = analysis.GaussNewton(model, torch.nn.functional.cross_entropy, batches)
    begin = time.perf_counter()
    curvature.gradient()
    gradient = time.perf_counter() - begin
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    pairs = curvature.top(options.eigenpairs, progress=True)
    seconds = time.perf_counter() - begin
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / (4 * curvature.size)
    print(f"{curvature.size / 1e6:.1f} million parameters, one gradient over all pictures {gradient:.1f} s")
    took = f"{seconds:.0f} s = {seconds / gradient:.0f} gradients"
    print(f"{options.eigenpairs} eigenpairs: {pairs.products} products, {took}")
    print(f"the peak of memory rose by {more:.1f} vectors of the size of the model over that of the gradient")
    print("eigenvalues:", " ".join(f"{value:.4g}" for value in pairs.values.tolist()))


if __name__ == "__main__":
    main()
