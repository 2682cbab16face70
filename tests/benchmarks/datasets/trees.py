"""Trees of made pictures."""

import numpy as np
from PIL import Image


def noise(seed, shape=(12, 16), low=0, high=256, dtype=np.uint8):
    """Values that fill a span, its ends among them."""
    values = np.random.default_rng(seed).integers(low, high, shape)
    values.flat[0], values.flat[-1] = low, high - 1
    return values.astype(dtype)


def tree(root, save, domains=("a", "b", "c"), classes=("cat", "dog"), number=6, ending="png"):
    """`save(seed, path)` writes a picture; all are different."""
    seed = 0
    for domain in domains:
        for name in classes:
            folder = root / domain / name
            folder.mkdir(parents=True, exist_ok=True)
            for each in range(number):
                save(seed, folder / f"p{each % 3}_{each:03}.{ending}")
                seed += 1
    return root


def grey(seed, path):
    """Eight bits."""
    Image.fromarray(noise(seed)).save(path)
