"""Puts our algorithms, their hyper-parameters and the bridges on the modules of the imported DomainBed."""

from __future__ import annotations

import importlib
from pathlib import Path

from domainbed_ext import checkout, compat, hparams

__all__ = ["register"]


def register(domainbed: str | Path | None = None) -> Path:
    """Make ``import domainbed`` work, with our algorithms in it. Calling it again changes nothing.

    Args:
        domainbed: the checkout; by default the environment variable DOMAINBED, else the one on the Python path.

    Returns:
        The root of the checkout.

    Raises:
        Refusal: if there is no usable checkout; the message says what to clone.
    """
    root = checkout.use(domainbed)
    compat.before_import()
    algorithms = importlib.import_module("domainbed.algorithms")
    registry = importlib.import_module("domainbed.hparams_registry")
    misc = importlib.import_module("domainbed.lib.misc")
    compat.apply(algorithms, importlib.import_module("domainbed.networks"))
    hparams.install(registry, misc.seed_hash)
    ours = importlib.import_module("domainbed_ext.algorithms")
    for name in hparams.NAMES:
        setattr(algorithms, name, getattr(ours, name))
        if name not in algorithms.ALGORITHMS:
            algorithms.ALGORITHMS.append(name)
    return root
