"""Small data and a small recipe, so that a choice takes seconds."""

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.studies.choose.recipe import Recipe, Rung, Size

TINY = Recipe(
    algorithms=("erm", "erm-sgd-ema", "reptile"),
    sizes=(Size(3, points=1, rollouts=8, seeds=2, rungs=2), Size(3, points=10, rollouts=1_000_000)),
    rungs=(Rung(0.5, 3), Rung(1.0, 1)),
    checkpoints=4,
    batch_size=8,
)


def patients(path, sites=("north", "south", "east", "west"), rows=200, seed=0):
    """Patients of several clinics: an illness that shows in age and pressure, and a scanner that misleads."""
    rng = np.random.default_rng(seed)
    site = np.arange(rows) % len(sites)
    ill = rng.integers(0, 2, rows)
    frame = pd.DataFrame(
        {
            "site": np.array(sites)[site],
            "age": (60 + 8 * ill + 6 * rng.normal(size=rows) + 3 * site).round(1),
            "pressure": (120 + 6 * ill + 8 * rng.normal(size=rows)).round(2),
            "scanner": np.where(rng.random(rows) < 0.5 + 0.1 * site * (2 * ill - 1), "A", "B"),
            "outcome": np.where(ill, "ill", "well"),
        }
    )
    frame.to_csv(path, index=False)
    return f"table:{path}?domain=site&target=outcome"


def pictures(folder, domains=("a", "b", "c"), many=12):
    """Bright and dark pictures, each domain in another tint."""
    rng = np.random.default_rng(0)
    for number, domain in enumerate(domains):
        for label, level in (("dark", 60), ("light", 180)):
            (folder / domain / label).mkdir(parents=True)
            for each in range(many):
                pixels = np.clip(rng.normal(level, 40, (9, 9, 3)), 0, 255)
                pixels[..., number % 3] *= 0.7
                Image.fromarray(pixels.astype(np.uint8)).save(folder / domain / label / f"{each}.png")
    return f"folder:{folder}?size=8"
