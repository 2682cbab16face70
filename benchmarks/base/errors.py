"""Errors that point at the wrong word and at the nearest one that is known."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import AfterValidator


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
