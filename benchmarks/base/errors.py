"""Errors that point at the wrong word and at the nearest one that is known."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import AfterValidator


class ConfigError(ValueError):
    """The command line or a file does not describe what is to be done; the message names the words that are wrong."""


def unknown(name: object, known: Collection[str]) -> str:
    """What to say about a name that is not known.

    Example:
        >>> unknown("pgard", ["erm", "pgrad"])
        "'pgard' is not known. Did you mean 'pgrad'? Known are: erm, pgrad."
    """
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{name!r} is not known.{hint} Known are: {', '.join(known)}."


def one_of(registry: Mapping[str, Any]) -> AfterValidator:
    """For pydantic: the name must be in the registry, as it is when the name is read."""
    from pydantic import AfterValidator  # this module itself must be quick to import: see `benchmarks.commands.words`

    def check(name: str) -> str:
        try:
            registry[name]  # that of data sets knows names besides its keys, and says what is wrong with them
        except KeyError:
            raise ValueError(unknown(name, registry)) from None
        return name

    return AfterValidator(check)


def all_different(names: tuple[Any, ...]) -> tuple[Any, ...]:
    """For pydantic: no name may come twice."""
    if len(set(names)) < len(names):
        raise ValueError(f"every name may come once only, got {' '.join(str(name) for name in names)}.")
    return names


def require_known(option: str, names: Collection[str], known: Collection[str]) -> None:
    """Accepts one name or more, each of them known, none of them twice.

    Raises:
        ConfigError: names the option, the word, and the nearest one that is known.
    """
    if not names:
        raise ConfigError(f"{option}: name one at least of: {', '.join(known)}")
    for name in names:
        if name not in known:
            raise ConfigError(f"{option}: {unknown(name, known)}")
    if len(set(names)) < len(names):
        raise ConfigError(f"{option}: every name may come once only, got {' '.join(names)}")
