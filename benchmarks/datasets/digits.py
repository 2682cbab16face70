"""Two multi-domain sets made from the 1,797 real handwritten digits (8 x 8) that scikit-learn carries.

*Rotated digits*: the recipe of RotatedMNIST. The images are dealt out to six angles; every image appears at one angle
only, so no training domain holds a rotated copy of a held-out image.

*Coloured digits*: the recipe of ColoredMNIST (Arjovsky et al. 2019, "Invariant Risk Minimization", section 5). The
label is ``digit >= 5``, flipped with probability 0.25; the colour (which of two channels holds the image) agrees with
that noisy label with probability 0.9, 0.8 and 0.1 in the three domains. A rule that reads the colour wins on two
domains and fails on the third; a perfect rule that reads the shape has an accuracy of 0.75 in all of them.

Which image goes where, the noise and the colours are drawn once from a fixed seed: the data set is the same for every
run. Pixels are scaled from 0..16 to 0..1.
"""

from __future__ import annotations

import numpy as np
import scipy.ndimage
import torch
from sklearn.datasets import load_digits

from benchmarks.datasets.base import Domain, MultiDomainData

ANGLES = (0, 15, 30, 45, 60, 75)
AGREEMENTS = (0.9, 0.8, 0.1)
LABEL_NOISE = 0.25
_SEED = 20230501


def deal(n_examples: int, n_domains: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Deals ``n_examples`` indices out to ``n_domains`` domains: disjoint, complete, sizes within one of each other."""
    return np.array_split(rng.permutation(n_examples), n_domains)


def _digits() -> tuple[np.ndarray, np.ndarray]:
    bunch = load_digits()
    return bunch.images / 16.0, bunch.target


def _domain(name: str, inputs: np.ndarray, labels: np.ndarray) -> Domain:
    return Domain(name, torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels, dtype=torch.int64))


def rotated_digits() -> MultiDomainData:
    """Six domains: about 300 digits each, turned counter-clockwise by 0, 15, ..., 75 degrees (bilinear, 8 x 8)."""
    images, targets = _digits()
    domains = []
    for angle, index in zip(ANGLES, deal(len(images), len(ANGLES), np.random.default_rng(_SEED)), strict=True):
        turned = scipy.ndimage.rotate(images[index], angle, axes=(2, 1), reshape=False, order=1)
        domains.append(_domain(f"{angle}°", turned[:, np.newaxis], targets[index]))
    return MultiDomainData(tuple(domains), n_outputs=10)


def coloured_digits() -> MultiDomainData:
    """Three domains of 599 digits in two colour channels; the colour agrees with the label in 90, 80 and 10 %."""
    images, targets = _digits()
    rng = np.random.default_rng(_SEED)
    domains = []
    for agreement, index in zip(AGREEMENTS, deal(len(images), len(AGREEMENTS), rng), strict=True):
        clean = targets[index] >= 5
        labels = clean ^ (rng.random(len(index)) < LABEL_NOISE)
        colours = labels ^ (rng.random(len(index)) >= agreement)
        inputs = np.zeros((len(index), 2, 8, 8))
        inputs[np.arange(len(index)), colours.astype(int)] = images[index]
        domains.append(_domain(f"{agreement:.0%}", inputs, labels))
    return MultiDomainData(tuple(domains), n_outputs=2)
