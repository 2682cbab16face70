"""Kinds of options: how their text becomes a value, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import cyclopts
from cyclopts import Parameter, Token


def whole(_: Any, tokens: Sequence[Token]) -> int:
    """A whole number, written as one: 1.5 is refused, not rounded.

    Raises:
        ValueError: if the text is no whole number.
    """
    text = tokens[0].value
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"must be a whole number, got {text!r}") from None


def at_least(number: int) -> Parameter:
    """For whole numbers."""
    return Parameter(converter=whole, validator=cyclopts.validators.Number(gte=number))


def number_at_least(number: float) -> Parameter:
    """For numbers of any kind."""
    return Parameter(validator=cyclopts.validators.Number(gte=number))


Whole = Annotated[int, Parameter(converter=whole)]
Positive = Annotated[int, at_least(1)]
Natural = Annotated[int, at_least(0)]
Rate = Annotated[float, number_at_least(0)]
Words = Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")]
