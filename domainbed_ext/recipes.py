"""Recipes: the arguments of a sweep in a TOML file, every hyper-parameter said, with what it is expected to cost.

Expected figures are estimates, derived by `estimate` from counted operations and stored tensors; nobody timed them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domainbed_ext.errors import Refusal, closest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Recipe", "estimate", "load", "main", "names"]

FOLDER = Path(__file__).parent / "recipes"

# ResNet-50 on 224 x 224 images, counted with torch's FlopCounterMode and saved_tensors_hooks.
_FORWARD, _TRAIN = 8.18e9, 24.3e9  # operations for an image: forward alone, and with backward
_ACTIVATIONS = 82 * 2**20  # bytes kept for backward, for an image
_PARAMETERS = 23_508_032  # without the classifier
_RATE = 10e12  # operations a second that a GPU is assumed to sustain; slow image loading can cost more


@dataclass(frozen=True)
class Recipe:
    """One file: `sweep` holds DomainBed's arguments, `data` the size of the data set, `expected` the estimates."""

    name: str
    sweep: dict[str, Any]
    hparams: dict[str, Any]
    data: dict[str, Any]
    expected: dict[str, Any]

    def arguments(self) -> list[str]:
        """For DomainBed's sweep."""
        argv: list[str] = []
        for name, value in self.sweep.items():
            if value is False:
                continue
            values = [] if value is True else value if isinstance(value, list) else [value]
            argv += [f"--{name}", *map(str, values)]
        return [*argv, "--hparams", json.dumps(self.hparams, sort_keys=True)]


def names() -> list[str]:
    """Of the recipes that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Recipe:
    """A recipe by its name, or from a file of one's own.

    Raises:
        Refusal: if there is none, or it cannot be read.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise Refusal(f"no recipe {name}{closest(name, names())}; there are {', '.join(names())}, or give a .toml file")
    try:
        return Recipe(name=path.stem, **tomllib.loads(path.read_text()))
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise Refusal(f"{path} is not a recipe: {error}") from error


def estimate(recipe: Recipe) -> dict[str, float]:
    """What one job of PGrad costs: operations, hours, and GiB of memory beside PGrad's and ERM's.

    An update trains on batch_size images of every training domain; every checkpoint_freq steps, and at the end, all
    images are classified. Memory: parameters, gradients, two moments of Adam, T displacements (the anchor is one of
    them), and the activations of the largest part of a mini-batch; ERM has the activations of all images at once.
    """
    data, h, steps = recipe.data, recipe.hparams, recipe.sweep["steps"]
    domains = data["domains"] - 1
    images = h["batch_size"] * domains
    freq = data["checkpoint_freq"]
    evaluations = (steps - 1) // freq + 1 + ((steps - 1) % freq != 0)
    operations = _TRAIN * images * steps + _FORWARD * data["images"] * evaluations
    parameters = 4 * (_PARAMETERS + 2049 * data["classes"])
    part = -(-h["batch_size"] // h["pgrad_splits"])
    length = h["pgrad_splits"] * domains
    return {
        "operations": float(f"{operations:.2g}"),
        "hours": round(operations / _RATE / 3600, 1),
        "memory_gib": round((parameters * (4 + length) + part * _ACTIVATIONS) / 2**30, 1),
        "memory_gib_erm": round((parameters * 4 + images * _ACTIVATIONS) / 2**30, 1),
    }


def main(argv: Sequence[str]) -> int:
    """List the recipes, or print one."""
    parser = argparse.ArgumentParser("domainbed_ext recipes")
    parser.add_argument("name", nargs="?", help="the recipe to print")
    name = parser.parse_args(argv).name
    if name:
        load(name)
        print((FOLDER / f"{name}.toml").read_text() if name in names() else Path(name).read_text(), end="")
        return 0
    for recipe in map(load, names()):
        expected = recipe.expected
        print(
            f"{recipe.name}: {', '.join(recipe.sweep['datasets'])}, {recipe.sweep['steps']} steps; a job of PGrad is "
            f"estimated at {expected['hours']} h and {expected['memory_gib']} GiB"
        )
    return 0
