"""What single words of a command line say about a sweep; quick to import, so that wrong ones are refused early."""

from __future__ import annotations

from typing import Any

import yaml

from benchmarks.base.errors import ConfigError, unknown
from benchmarks.base.names import SETTINGS, SWEEP
from benchmarks.sweeps.given import as_search

NO_DATASETS = "which data sets? Name a sweep file, or give --datasets"


def assigned(word: str) -> tuple[tuple[str, ...], Any]:
    """The place in a sweep file, and the value, that ``KEY=VALUE`` names. The value is YAML.

    Raises:
        ConfigError: if it has another form, or begins with a name that sweep files do not know.

    Example:
        >>> assigned("batch_size=8"), assigned("fixed.pgrad.n_components=2")
        ((('settings', 'batch_size'), 8), (('fixed', 'pgrad', 'n_components'), 2))
    """
    key, equals, text = word.partition("=")
    if not equals or not key or not text:
        raise ConfigError(f"--set {word}: must be KEY=VALUE, as in --set batch_size=8")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {word}: {text!r} is no YAML: {error}") from error
    first, *others = key.split(".")
    if first in SETTINGS and not others:
        return ("settings", first), value
    if first not in SWEEP or first == "datasets":
        known = [*SETTINGS, *(name for name in SWEEP if name != "datasets")]
        raise ConfigError(f"--set {word}: {unknown(first, known)}")
    return (first, *others), value


def searched(value: Any, where: str) -> Any:
    """Words of a search as the mapping that they are short for, so that other words can join them.

    Raises:
        ConfigError: if one is not known.
    """
    try:
        return as_search(value)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
