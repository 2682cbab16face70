"""The one error of this package that a user is meant to read without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["Refusal", "closest"]


class Refusal(ValueError):
    """Something that would hang, fail late or mix results is refused; the message says why and what to do."""


def closest(name: str, known: Iterable[str]) -> str:
    """A hint at the known name that is most like `name`: `` (did you mean X?)`` or nothing."""
    found = difflib.get_close_matches(name, sorted(known), n=1)
    return f" (did you mean {found[0]}?)" if found else ""
